"""Where communities usually meet, and that those near to one's own are told so."""

from datetime import timedelta
from math import isnan
from typing import Any

import numpy as np
import pytest

from community.recommendation_learning import ScoringPolicy
from community.recommendation_places import NONE, kilometres, places_of
from community.search_keys import distance
from core.clock import utc_now
from graph.client import GraphClient
from graph.places import NOWHERE, usual_place
from tests.community.places import make_community, make_customers, make_event
from tests.community.test_recommendations import add_members, run
from tests.community.ties import acquaint, read_all

MEET = """
MATCH (e:Event {id: $id})
SET e.latitude = $latitude, e.longitude = $longitude, e.attendance_mode = $mode, e.segment_id = $segment
"""


async def meet(graph: GraphClient, community: str, latitude: float, *, count: int = 1, **said: Any) -> None:
    """Events of a community on the meridian of Shanghai, in so many degrees of the north."""
    given: dict[str, Any] = {"mode": None, "segment": None, "status": "PUBLISHED", "starts_at": None, **said}
    for _ in range(count):
        event = await make_event(graph, community, status=given["status"], starts_at=given["starts_at"])
        names: dict[str, Any] = {
            "latitude": latitude,
            "longitude": 121.5,
            "mode": given["mode"],
            "segment": given["segment"],
        }
        await graph.write(MEET, id=event, **names)


@pytest.mark.anyio
async def test_a_community_that_meets_near_one_s_own_is_told_so(graph: GraphClient) -> None:
    """Given communities that meet in one's own town, in the next and far away; then the near ones say how far."""
    viewer, *others = await make_customers(graph, 6)
    own, *alike = [await make_community(graph) for _ in range(6)]
    near, next_town, far, nowhere, elsewhere = alike
    await add_members(graph, own, [viewer])
    await acquaint(graph, viewer, others)
    for community in alike:
        await add_members(graph, community, others)
    await meet(graph, own, 31.2)
    # Two of three meetings are what is usual, a year ago is not, and neither is what is not to be seen by all.
    await meet(graph, near, 31.23, count=2)
    await meet(graph, near, 39.9)
    await meet(graph, next_town, 31.8)
    await meet(graph, far, 32.4)
    unseen: list[dict[str, Any]] = [{"mode": "ONLINE"}, {"status": "DRAFT"}, {"status": "CANCELLED"}, {"segment": "s"}]
    for said in unseen:
        await meet(graph, nowhere, 31.2, **said)
    await meet(graph, elsewhere, 31.2, count=3, starts_at=utc_now() - timedelta(days=366))
    await meet(graph, elsewhere, 39.9, starts_at=utc_now() - timedelta(days=300))
    await run(graph, [viewer, *others])
    found = {row["community_id"]: row for row in await read_all(graph, viewer) if row["community_id"] in alike}

    told = {one: [r for r in row["reasons"] if r["kind"] != "ACQUAINTANCES"] for one, row in found.items()}
    assert told == {
        near: [{"kind": "NEARBY", "kilometres": 25}],
        next_town: [{"kind": "NEARBY", "kilometres": 75}],
        far: [],
        nowhere: [],
        elsewhere: [],
    }
    gains = {one: found[one]["score"] - found[far]["score"] for one in alike}
    weight = ScoringPolicy().weights.nearby
    assert gains == pytest.approx({near: weight, next_town: weight / 2, far: 0, nowhere: 0, elsewhere: 0}, abs=2e-6)


def test_the_usual_place_is_the_town_of_most_events() -> None:
    """Given points in some order; then the middle of the town of most, and of towns alike the first, as finely."""
    points = [(39.9, 116.4), (31.21, 121.44), (31.27, 121.48)]
    assert usual_place(points) == usual_place(points[::-1]) == (31.2, 121.5)
    assert usual_place(points[:2]) == usual_place(points[1::-1]) == (31.2, 121.4)
    assert usual_place([(-0.04, -179.96)]) == (0.0, -180.0)
    assert all(isnan(one) for one in usual_place([]))


def test_places_are_shared_and_near_by_steps() -> None:
    """Given communities in three places and in none; then equal ones share theirs, and what is far is no entry."""
    places = places_of(np.array([(31.2, 121.5), NOWHERE, (31.8, 121.5), (31.2, 121.5), (39.9, 116.4)]))
    assert places.of.tolist() == [0, NONE, 1, 0, 2]
    assert places.near.toarray().tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]
    assert places.near.nnz == 5
    assert places_of(np.empty((0, 2))).near.shape == (0, 0)


def test_many_distances_are_as_one_by_one() -> None:
    points = np.random.default_rng(3).uniform((-90, -180), (90, 180), (20, 2))
    found = kilometres(points, points)
    expected = [[distance(*one, *other) for other in points.tolist()] for one in points.tolist()]
    assert found == pytest.approx(np.array(expected))
