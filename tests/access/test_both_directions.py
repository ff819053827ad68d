"""Lists that are read from their end as well: the same rows in the same order, whichever way one comes."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType

from tests.access.documents import SCHEMA, document_of
from tests.access.filling import fill
from tests.access.given import given_of
from tests.access.world import World, founded
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio

PAGE = "{ edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"


def lists_of(name: str) -> list[str]:
    """The fields of a type that may be read from their end."""
    kind = SCHEMA.type_map[name]
    if not isinstance(kind, GraphQLObjectType):
        return []
    return [name for name, field in kind.fields.items() if "last" in field.args]


@pytest.fixture(scope="module")
async def world(
    stores: Addresses, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[World, None]:
    """A world of its own: in that of the matrix people are erased, and nothing of theirs is listed any more."""
    async with founded(stores, redis_url, tmp_path_factory.mktemp("both")) as found:
        await fill(found)
        yield found


# Where such lists stand beside the query itself: the field that leads there, and who may read one of each kind.
PLACES = {
    "Viewer": ("viewer", "customer, own"),
    "Customer360": ("customer360", "customer's RM"),
    "Community": ("community", "manager of the place"),
    "Event": ("event", "manager of the place"),
    "Product": ("product", "administrator"),
    "Segment": ("segment", "administrator"),
    "ImportReport": ("importReport", "administrator"),
    "Post": ("node", "manager of the place"),
    "EventSeries": ("node", "manager of the place"),
}
# Lists that go one way only; docs/adr/0017-places-and-figures.md says why.
ONE_WAY = {
    "Community.events",
    "Query.events",
    "Query.referralLeaderboard",
    "Query.referralTree",
    "Query.search",
    "Viewer.recommendedCommunities",
    "Viewer.recommendedEvents",
    "Viewer.recommendedPeople",
}
LISTS = [(kind, name) for kind in ("Query", *PLACES) for name in lists_of(kind)]


def test_every_such_list_is_asked_here() -> None:
    assert {name for name in SCHEMA.type_map if lists_of(name)} == {"Query", *PLACES}
    assert len(LISTS) >= 90


def test_no_other_list_goes_one_way_only() -> None:
    """Given each list that is a connection, then it goes both ways, or the documentation says why it does not."""
    one_way = {
        f"{kind.name}.{name}"
        for kind in SCHEMA.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if "after" in field.args and "last" not in field.args and kind.name != "Subscription"
    }
    assert one_way == ONE_WAY


async def read(world: World, kind: str, name: str, **place: Any) -> Any:
    """One page of a list, by whoever may read it."""
    if kind == "Query":
        given: Mapping[str, Any] = {**given_of(world, name, "administrator"), **place}
        document, variables = document_of(name, world.ids, given, PAGE)
        return (await world.administrator.ask(document, **variables))[name]
    parent, role = PLACES[kind]
    more = {"programId": world.ids["ReferralProgram"]} if name == "referralCodes" else {}
    told = ", ".join(f"{argument}: {orjson.dumps(value).decode()}" for argument, value in {**more, **place}.items())
    inner, given = f"{{ list: {name}({told}) {PAGE} }}", given_of(world, parent, role)
    if parent == "node":
        ids = {**world.ids, "EventSeries": world.words["series"]}
        inner, given = f"{{ ... on {kind} {inner} }}", {"id": ids[kind]}
    document, variables = document_of(parent, world.ids, given, inner)
    return (await world.callers[role].ask(document, **variables))[parent]["list"]


async def walked(world: World, kind: str, name: str, size: int, *, forwards: bool, pages: int = 100) -> list[str]:
    """The cursors of so many pages, in the order of the list, from its beginning or from its end."""
    asked, cursor_at, more = (
        ("first", "endCursor", "hasNextPage") if forwards else ("last", "startCursor", "hasPreviousPage")
    )
    found: list[str] = []
    place: dict[str, Any] = {}
    for _ in range(pages):
        page = await read(world, kind, name, **{asked: size}, **place)
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage" if forwards else "hasNextPage"] is bool(found)
        found = found + cursors if forwards else cursors + found
        if not page["pageInfo"][more]:
            break
        place = {"after" if forwards else "before": page["pageInfo"][cursor_at]}
    return found


@pytest.mark.parametrize(("kind", "name"), LISTS)
async def test_from_its_end_a_list_is_the_same(world: World, kind: str, name: str) -> None:
    """Given a list that is read from both ends, in large pages and its last rows one by one; then they agree."""
    whole = await walked(world, kind, name, 100, forwards=True)
    assert len(set(whole)) == len(whole)
    assert await walked(world, kind, name, 100, forwards=False) == whole
    assert await walked(world, kind, name, 1, forwards=False, pages=3) == whole[-3:]
    if whole:
        nothing = await read(world, kind, name, last=1, before=whole[0])
        assert (nothing["edges"], nothing["pageInfo"]["hasPreviousPage"]) == ([], False)
