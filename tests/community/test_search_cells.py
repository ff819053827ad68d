"""The cells that cover a circle: all of its points are in them, and they are few and hardly larger."""

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from community.search_cells import FIRST_LEVEL, LAST_LEVEL, MOST_CELLS, Cell, cells_in_circle, cells_of, sides
from community.search_fulltext import circle_of
from community.search_keys import EARTH_RADIUS, Area, cell_keys, cells_around
from graph.client import GraphClient

# By how much the cells may be larger than a circle of at least a kilometre; on average they are twice as large.
AT_MOST = 4

# Poles, the meridians of 0 and 180 degrees, and where the faces of the cube meet: at edges, and three at a corner.
latitudes = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0, 89.99, 45.0, 35.26438968]))
longitudes = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, 179.999, 45.0, -135.0]))
radii = st.one_of(st.floats(0.001, 500), st.floats(0.001, 2), st.sampled_from([500.0, 10.0]))
areas = st.builds(Area, latitudes, longitudes, radii)


def point_at(area: Area, part: float, bearing: float) -> tuple[float, float]:
    """The point at a part of the radius in a direction, by spherical trigonometry."""
    angle = area.radius * part / EARTH_RADIUS
    north, east = math.radians(area.latitude), math.radians(area.longitude)
    height = math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(bearing)
    latitude = math.asin(max(-1.0, min(1.0, height)))
    longitude = east + math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(north), math.cos(angle) - math.sin(north) * math.sin(latitude)
    )
    return math.degrees(latitude), (math.degrees(longitude) + 180) % 360 - 180


@given(areas, st.one_of(st.floats(0, 1), st.floats(0.999, 1)), st.floats(0, 2 * math.pi))
def test_every_point_of_an_area_lies_in_its_cells(area: Area, part: float, bearing: float) -> None:
    """Given a circle and a point in it, also over a pole, the date line or the edges of faces, then they share a
    cell, and one only."""
    area.check()
    point = point_at(area, part, bearing)
    if area.contains(*point):
        assert len(set(cell_keys(*point)) & set(cells_around(area))) == 1


@given(st.builds(Area, latitudes, longitudes, st.floats(1, 500)))
def test_cells_are_few_and_hold_hardly_more_than_the_circle(area: Area) -> None:
    cells = cells_in_circle(area.latitude, area.longitude, area.radius / EARTH_RADIUS)
    assert len(cells) <= MOST_CELLS
    assert not any(holds(one, other) or holds(other, one) for one, other in combinations(cells, 2))
    circle = 2 * math.pi * (1 - math.cos(area.radius / EARTH_RADIUS))
    assert 1 - 1e-6 <= sum(solid_angle(cell) for cell in cells) / circle <= AT_MOST


@given(areas)
def test_the_smallest_areas_have_few_cells_too(area: Area) -> None:
    assert 1 <= len(set(cells_around(area))) <= MOST_CELLS


@given(latitudes, longitudes)
def test_a_point_has_a_cell_of_each_level_inside_each_other(latitude: float, longitude: float) -> None:
    cells = cells_of(latitude, longitude)
    assert [cell.level for cell in cells] == list(range(LAST_LEVEL, FIRST_LEVEL - 1, -1))
    assert all(holds(cells[-1], cell) for cell in cells)
    assert all(0 <= each < 2**cell.level for cell in cells for each in (cell.row, cell.column))
    assert len(set(cell_keys(latitude, longitude))) == len(cells)
    assert all(key.isalnum() for key in cell_keys(latitude, longitude))


def test_the_first_level_covers_the_earth_once() -> None:
    side = range(2**FIRST_LEVEL)
    cells = [Cell(FIRST_LEVEL, face, row, column) for face in range(6) for row in side for column in side]
    angles = [solid_angle(cell) for cell in cells]
    assert sum(angles) == pytest.approx(4 * math.pi)
    assert max(angles) / min(angles) < 1.42


def holds(cell: Cell, other: Cell) -> bool:
    """Whether the other is the cell or a part of it."""
    steps = other.level - cell.level
    parts = other.face, other.row >> max(steps, 0), other.column >> max(steps, 0)
    return steps >= 0 and (cell.face, cell.row, cell.column) == parts


def solid_angle(cell: Cell) -> float:
    """The part of the unit sphere that is seen through the cell, by the solid angle of a pyramid."""
    west, east, south, north = sides(cell)
    return pyramid(east, north) - pyramid(west, north) - pyramid(east, south) + pyramid(west, south)


def pyramid(across: float, up: float) -> float:
    return math.atan(across * up / math.sqrt(1 + across * across + up * up))


MEASURE = """
UNWIND $rows AS row
WITH row, point({latitude: row.latitude, longitude: row.longitude}) AS centre
RETURN point.distance(centre, point({latitude: row.others[0], longitude: row.others[1]})) <= row.metres AS is_near,
       point.distance(centre, point({latitude: row.others[2], longitude: row.others[3]})) <= row.metres AS is_far
"""


@pytest.mark.anyio
async def test_neo4j_measures_a_circle_as_we_do(graph: GraphClient) -> None:
    """Given points a millionth of the radius inside and outside circles of all sizes, then Neo4j finds the former
    inside and the latter not: so no candidate takes the place of an answer."""
    if await graph.is_embedded():
        pytest.skip("the embedded engine measures no circles: they are measured in Python")
    circles = [
        Area(latitude, longitude, radius)
        for latitude in (-80.0, 0.0, 31.23, 89.9)
        for longitude in (-180.0, 0.0, 121.47)
        for radius in (0.1, 10.0, 500.0)
    ]
    rows = [
        {**(circle_of(area) or {}), "others": [*point_at(area, 1 - 1e-6, bearing), *point_at(area, 1 + 1e-6, bearing)]}
        for area in circles
        for bearing in (0.3, 1.6, 4.0)
    ]
    found = await graph.read(MEASURE, rows=rows)
    assert {(row["is_near"], row["is_far"]) for row in found} == {(True, False)}
