"""Cells of the earth, so that a search in a circle asks an index for few keys that hold hardly more than the circle.

The earth is seen from its centre on the six faces of a cube around it, and each face is halved both ways again and
again, by equal angles. So no place is special: there are no poles and no meridian at which numbers begin anew, and of
one level the largest cell is 1.42 times the smallest (the "tangent projection" of the S2 library). On a face a circle
is an ellipse, of which is known exactly what it has in common with a cell.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

# Points have keys for the cells of these levels; their sides are about 600 km long, and half as long at each further
# level, until 0.6 km.
FIRST_LEVEL, LAST_LEVEL = 4, 14
# So few keys that an index asks for all of them quickly: 64 cells would be 1.3 times as large as the circle and not
# twice, and cost both engines more than the candidates that are spared.
MOST_CELLS = 16
# So much more is taken for inside, that no rounding leaves a point out: around a circle of 1 km half a millimetre, and
# the smallest circle is taken for one of a metre.
ROUNDING = 1e-14
# How far from its axis a face can be reached by a circle of up to 500 km: its corners are 54.7 degrees off.
NEAR_AXIS = 0.5

# A direction from the centre of the earth.
Vector = tuple[float, float, float]


class Cell(NamedTuple):
    """A square of the grid that a level lays on a face; row and column are counted from its edges."""

    level: int
    face: int
    row: int
    column: int

    def children(self) -> Iterator["Cell"]:
        level, face, row, column = self.level + 1, self.face, 2 * self.row, 2 * self.column
        yield Cell(level, face, row, column)
        yield Cell(level, face, row, column + 1)
        yield Cell(level, face, row + 1, column)
        yield Cell(level, face, row + 1, column + 1)

    def parent(self) -> "Cell":
        return Cell(self.level - 1, self.face, self.row >> 1, self.column >> 1)

    def key(self) -> str:
        """A word of letters and digits, as both indexes keep it whole."""
        return f"q{self.level:x}f{self.face}r{self.row:x}c{self.column:x}"


def direction(latitude: float, longitude: float) -> Vector:
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


def seen_from(face: int, vector: Vector) -> Vector:
    """The vector by the axes of a face, its own first; each axis has two faces."""
    axis = face >> 1
    return (-vector[axis] if face & 1 else vector[axis]), vector[axis - 2], vector[axis - 1]


@lru_cache(maxsize=4096)
def line(level: int, number: int) -> float:
    """Where a line of the grid is on the face; kept, because neighbours share it."""
    return math.tan(math.pi / 2 * (number / 2**level - 0.5))


def number_at(level: int, angle: float) -> int:
    """Between which lines an angle from the axis lies."""
    return min(max(math.floor((angle / (math.pi / 2) + 0.5) * 2**level), 0), 2**level - 1)


def cells_of(latitude: float, longitude: float) -> list[Cell]:
    """The cells of all levels that a point lies in."""
    vector = direction(latitude, longitude)
    face = max(range(6), key=lambda each: seen_from(each, vector)[0])
    depth, across, up = seen_from(face, vector)
    cell = Cell(LAST_LEVEL, face, *(number_at(LAST_LEVEL, math.atan2(way, depth)) for way in (up, across)))
    found = [cell]
    while cell.level > FIRST_LEVEL:
        cell = cell.parent()
        found.append(cell)
    return found


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A circle as it is seen on a face: where `height` is not negative.

    That is a concave function, because the cosine of the circle's `angle` is positive: so a square is inside if its
    corners are, and the highest point of a square that does not hold the peak is on a side that faces the peak.
    """

    face: int
    centre: Vector
    angle: float
    cosine: float
    # How far the peak is, and how far the highest point of a line is for each unit of the line's distance.
    peak: tuple[float, float]
    slopes: tuple[float, float]

    def height(self, across: float, up: float) -> float:
        depth, right, above = self.centre
        return depth + right * across + above * up - self.cosine * math.sqrt(1 + across * across + up * up)

    def holds(self, cell: Cell) -> bool:
        """Whether all of the cell is inside."""
        west, east, south, north = sides(cell)
        return all(self.height(across, up) >= 0 for across in (west, east) for up in (south, north))

    def meets(self, cell: Cell) -> bool:
        """Whether a point of the cell is inside."""
        west, east, south, north = sides(cell)
        across, up = min(max(self.peak[0], west), east), min(max(self.peak[1], south), north)
        if across != self.peak[0]:
            highest = self.slopes[1] * math.sqrt(1 + across * across)
            if self.height(across, min(max(highest, south), north)) >= 0:
                return True
        if up != self.peak[1]:
            highest = self.slopes[0] * math.sqrt(1 + up * up)
            return self.height(min(max(highest, west), east), up) >= 0
        return across == self.peak[0]

    def first_cells(self, level: int) -> Iterator[Cell]:
        """The cells of a level around the circle."""
        depth, right, above = self.centre
        rows, columns = (
            range(number_at(level, angle - width), number_at(level, angle + width) + 1)
            for angle, width in (
                (math.atan2(way, depth), math.asin(math.sin(self.angle) / math.hypot(way, depth)) + ROUNDING)
                for way in (above, right)
            )
        )
        return (Cell(level, self.face, row, column) for row, column in product(rows, columns))


def sides(cell: Cell) -> tuple[float, float, float, float]:
    """The lines around a cell: of its column, then of its row."""
    level, _, row, column = cell
    return line(level, column), line(level, column + 1), line(level, row), line(level, row + 1)


def ellipse_on(face: int, centre: Vector, angle: float) -> Ellipse:
    cosine = math.cos(angle) - ROUNDING
    _, right, above = centre
    far = math.sqrt(cosine**2 - right**2 - above**2)
    slopes = right / math.sqrt(cosine**2 - right**2), above / math.sqrt(cosine**2 - above**2)
    return Ellipse(face, centre, angle, cosine, (right / far, above / far), slopes)


@lru_cache(maxsize=256)
def cells_in_circle(latitude: float, longitude: float, angle: float) -> tuple[Cell, ...]:
    """At most MOST_CELLS cells that together hold every point of a circle; its radius is an angle of at most 500 km.

    Kept, because every condition and every page of a question asks for the same.
    """
    vector = direction(latitude, longitude)
    centres = {face: seen_from(face, vector) for face in range(6)}
    ellipses = {face: ellipse_on(face, centre, angle) for face, centre in centres.items() if centre[0] > NEAR_AXIS}
    level = min(max(math.floor(math.log2(math.pi / 2 / angle)), FIRST_LEVEL), LAST_LEVEL)
    first = [cell for each in ellipses.values() for cell in each.first_cells(level) if each.meets(cell)]
    return tuple(merged(divided(ellipses, first)))


def divided(ellipses: dict[int, Ellipse], cells: Iterable[Cell]) -> list[Cell]:
    """The cells, of which those on the border are divided, the largest first, as long as there are not too many."""
    inside: list[Cell] = []
    border = deque(cells)
    while border and border[0].level < LAST_LEVEL:
        cell = border[0]
        ellipse = ellipses[cell.face]
        if ellipse.holds(cell):
            inside.append(border.popleft())
            continue
        parts = [part for part in cell.children() if ellipse.meets(part)]
        if len(inside) + len(border) - 1 + len(parts) > MOST_CELLS:
            break
        border.popleft()
        border += parts
    return [*inside, *border]


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """The same squares in fewer cells: four that make up a larger one are that one."""
    found = set(cells)
    parts = Counter(cell.parent() for cell in found if cell.level > FIRST_LEVEL)
    for whole in (parent for parent, count in parts.items() if count == 4):
        found = found.difference(whole.children()) | {whole}
    return sorted(found)
