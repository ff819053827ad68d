"""Where a community usually meets, as finely as a town: no address is kept or told."""

from collections import Counter
from collections.abc import Iterable, Sequence

# What counts as one town while its most frequent one is looked for, in degrees: some 50 km.
TOWN = 0.5
# To how much a place is rounded, in decimals of a degree: some 10 km.
DECIMALS = 1
NOWHERE = (float("nan"), float("nan"))

Point = tuple[float, float]


def usual_place(points: Iterable[Sequence[float]]) -> Point:
    """The middle of the town in which most of these points (latitude, longitude) lie; NOWHERE where there are none."""
    towns: dict[tuple[int, int], list[Sequence[float]]] = {}
    for point in points:
        towns.setdefault((int(point[0] // TOWN), int(point[1] // TOWN)), []).append(point)
    if not towns:
        return NOWHERE
    counts = Counter({town: len(found) for town, found in towns.items()})
    # Of towns alike the first from south and west, so that it is the same whatever the order of the points.
    most = towns[min(counts, key=lambda town: (-counts[town], town))]
    latitude, longitude = (sum(point[axis] for point in most) / len(most) for axis in (0, 1))
    return round(latitude, DECIMALS), round(longitude, DECIMALS)
