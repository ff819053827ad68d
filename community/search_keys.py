"""What else the search asks of a thing, as short words beside its text, and its place in the order of answers.

A place is one whole number: seconds in the order in which answers are given, and below them a part of the id that
keeps things of the same second apart. It depends on nothing but the thing, so a page that ends at a place begins
there again whatever was inserted meanwhile, and it is the same on both engines.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from community.search_cells import cells_in_circle, cells_of
from community.search_text import SearchInvalid

ID_BITS = 28
LAST_SECOND = 2**32 - 1
LAST_PLACE = (LAST_SECOND + 1) * 2**ID_BITS - 1

SECONDS_A_DAY = 86_400
# Days of the first window, and how much longer each is than the one before.
FIRST_WINDOW = 2
LONGER = 8

FREE = "free"

LARGEST_RADIUS = 500.0
EARTH_RADIUS = 6371.0088


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
    return [cell.key() for cell in cells_of(latitude, longitude)]


def cells_around(area: Area) -> list[str]:
    """Cells that together hold every point of the area, and a little around it."""
    return [cell.key() for cell in cells_in_circle(area.latitude, area.longitude, area.radius / EARTH_RADIUS)]


def windows(first_place: int, last_place: int, *, first_length: int = FIRST_WINDOW) -> Iterator[tuple[int, int]]:
    """First and last day of windows that cover these places in order, each much longer than the one before."""
    day, last_day, length = day_of(first_place), day_of(last_place), first_length
    while day <= last_day:
        yield day, min(day + length - 1, last_day)
        day += length
        length *= LONGER
