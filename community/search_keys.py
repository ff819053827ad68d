"""What else the search asks of a thing, as short words beside its text, and its place in the order of answers.

A place is one whole number: seconds in the order in which answers are given, and below them a part of the id that
keeps things of the same second apart. It depends on nothing but the thing, so a page that ends at a place begins
there again whatever was inserted meanwhile, and it is the same on both engines.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from community.search_text import SearchInvalid

ID_BITS = 28
LAST_SECOND = 2**32 - 1
LAST_PLACE = (LAST_SECOND + 1) * 2**ID_BITS - 1

SECONDS_A_DAY = 86_400
# Days of the first window, and how much longer each is than the one before.
FIRST_WINDOW = 2
LONGER = 8

FREE = "free"

# Sides of the cells in degrees, the finest first; an area is asked for by the finest that covers it in few cells.
CELL_SIDES = (0.1, 1.0, 10.0)
MOST_CELLS = 200
LARGEST_RADIUS = 500.0
EARTH_RADIUS = 6371.0088
KM_PER_DEGREE = math.pi * EARTH_RADIUS / 180
# In degrees (a tenth of a millimetre): so much are boxes larger, that no rounding leaves a point out.
ROUNDING = 1e-9


class SearchKind(StrEnum):
    """What can be found, in the order in which kinds follow each other in an answer."""

    COMMUNITY = "COMMUNITY"
    EVENT = "EVENT"
    POST = "POST"


def seconds_of(kind: SearchKind, at: datetime) -> int:
    """Seconds in the order of answers: events by their start, communities and posts the newest first."""
    seconds = min(max(int(at.timestamp()), 0), LAST_SECOND)
    return seconds if kind == SearchKind.EVENT else LAST_SECOND - seconds


def place_of(kind: SearchKind, at: datetime, local_id: str) -> int:
    """Where a thing stands; `at` is an event's start, the creation of anything else."""
    below = int.from_bytes(hashlib.sha256(local_id.encode()).digest()[:4], "big") >> (32 - ID_BITS)
    return (seconds_of(kind, at) << ID_BITS) | below


def named(letter: str, name: str) -> str:
    """A key that stands for a name of any characters; Lucene and SQL take it for one word."""
    return letter + hashlib.sha256(name.encode()).hexdigest()[:12]


def tag_key(tag: str) -> str:
    return named("t", tag)


def community_key(community_id: str) -> str:
    return named("c", community_id)


def sign_key(sign: str, *, in_title: bool) -> str:
    """The key of a single Chinese character, which Lucene's analyzer keeps inside pairs only."""
    return f"{'u' if in_title else 'v'}{ord(sign):x}"


def day_key(day: int, *, is_open: bool) -> str:
    """The key of a day in the order of answers, apart for what everybody may find; these sort as texts."""
    return f"{'d' if is_open else 'e'}{day:05}"


def day_of(place: int) -> int:
    return (place >> ID_BITS) // SECONDS_A_DAY


def first_place_of(day: int) -> int:
    return day * SECONDS_A_DAY << ID_BITS


@dataclass(frozen=True, slots=True)
class Area:
    """A circle on the earth; the radius is in kilometres."""

    latitude: float
    longitude: float
    radius: float

    def check(self) -> None:
        """Raise SearchInvalid with the path of what cannot be."""
        for name, value, low, high in (
            ("latitude", self.latitude, -90.0, 90.0),
            ("longitude", self.longitude, -180.0, 180.0),
            ("radiusKm", self.radius, 0.0, LARGEST_RADIUS),
        ):
            if not low <= value <= high or (name == "radiusKm" and value == 0):
                raise SearchInvalid(path=("near", name), detail=f"{low:g} to {high:g}")

    def contains(self, latitude: float | None, longitude: float | None) -> bool:
        """Whether a point is inside, by the great circle; no point is not."""
        if latitude is None or longitude is None:
            return False
        return distance(self.latitude, self.longitude, latitude, longitude) <= self.radius


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Kilometres along the great circle (haversine)."""
    north, other_north = math.radians(latitude), math.radians(other_latitude)
    east = math.radians(other_longitude - longitude)
    chord = math.sin((other_north - north) / 2) ** 2 + math.cos(north) * math.cos(other_north) * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, chord)))


def cell_keys(latitude: float, longitude: float) -> list[str]:
    """The cells of all sizes that a point lies in."""
    return [cell_key(level, *cell(side, latitude, longitude)) for level, side in enumerate(CELL_SIDES)]


def cell(side: float, latitude: float, longitude: float) -> tuple[int, int]:
    """Row and column; 180 degrees west and east are the same meridian."""
    return math.floor((latitude + 90) / side), math.floor((longitude + 180) % 360 / side)


def cell_key(level: int, row: int, column: int) -> str:
    return f"g{level}x{row}x{column}"


def cells_around(area: Area) -> list[str]:
    """Cells that together hold every point of the area, and some more around it."""
    south, north, west, east = bounding_box(area)
    for level, side in enumerate(CELL_SIDES):
        rows = range(cell(side, south, 0)[0], cell(side, north, 0)[0] + 1)
        columns = columns_between(side, west, east)
        if len(rows) * len(columns) <= MOST_CELLS or side == CELL_SIDES[-1]:
            return [cell_key(level, row, column) for row in rows for column in columns]
    raise AssertionError("the coarsest cells always do")


def bounding_box(area: Area) -> tuple[float, float, float, float]:
    """South, north, west and east; west and east may pass 180 degrees, and near a pole they are all round."""
    height = area.radius / KM_PER_DEGREE + ROUNDING
    south, north = area.latitude - height, area.latitude + height
    if south <= -90 or north >= 90:
        return max(south, -90.0), min(north, 90.0), -180.0, 180.0
    # How far the meridians that touch the circle are from its centre.
    width = math.degrees(math.asin(math.sin(math.radians(height)) / math.cos(math.radians(area.latitude)))) + ROUNDING
    return south, north, area.longitude - width, area.longitude + width


def columns_between(side: float, west: float, east: float) -> Sequence[int]:
    """The columns from west to east, each once; after the last comes the first again."""
    around = round(360 / side)
    first, last = math.floor((west + 180) / side), math.floor((east + 180) / side)
    return [column % around for column in range(first, min(last, first + around - 1) + 1)]


def windows(first_place: int, last_place: int, *, first_length: int = FIRST_WINDOW) -> Iterator[tuple[int, int]]:
    """First and last day of windows that cover these places in order, each much longer than the one before."""
    day, last_day, length = day_of(first_place), day_of(last_place), first_length
    while day <= last_day:
        yield day, min(day + length - 1, last_day)
        day += length
        length *= LONGER
