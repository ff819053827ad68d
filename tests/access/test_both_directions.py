"""Lists that are read from their end as well: the same rows in the same order, whichever way one comes."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType

from tests.access.documents import SCHEMA, document_of
from tests.access.given import given_of
from tests.access.world import World

pytestmark = pytest.mark.anyio

PAGE = "{ edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"


def lists_of(name: str) -> list[str]:
    """The fields of a type that may be read from their end."""
    kind = SCHEMA.type_map[name]
    if not isinstance(kind, GraphQLObjectType):
        return []
    return [name for name, field in kind.fields.items() if "last" in field.args]


# Where such lists stand, and who may read one of each kind.
OF_OTHERS = {"viewer": "customer, own", "customer360": "customer's RM"}
TYPES = {"viewer": "Viewer", "customer360": "Customer360"}
LISTS = [("query", name) for name in lists_of("Query")] + [
    (parent, name) for parent, kind in TYPES.items() for name in lists_of(kind)
]


def test_every_such_list_is_asked_here() -> None:
    assert {name for name in SCHEMA.type_map if lists_of(name)} == {"Query", *TYPES.values()}
    assert len(LISTS) >= 37


async def read(world: World, parent: str, name: str, **place: Any) -> Any:
    """One page of a list, by whoever may read it."""
    if parent == "query":
        given: Mapping[str, Any] = {**given_of(world, name, "administrator"), **place}
        document, variables = document_of(name, world.ids, given, PAGE)
        return (await world.administrator.ask(document, **variables))[name]
    more = {"programId": world.ids["ReferralProgram"]} if name == "referralCodes" else {}
    told = ", ".join(f"{argument}: {orjson.dumps(value).decode()}" for argument, value in {**more, **place}.items())
    inner = f"{{ list: {name}({told}) {PAGE} }}"
    document, variables = document_of(parent, world.ids, given_of(world, parent, OF_OTHERS[parent]), inner)
    return (await world.callers[OF_OTHERS[parent]].ask(document, **variables))[parent]["list"]


async def walked(world: World, parent: str, name: str, size: int, *, forwards: bool, pages: int = 100) -> list[str]:
    """The cursors of so many pages, in the order of the list, from its beginning or from its end."""
    asked, cursor_at, more = (
        ("first", "endCursor", "hasNextPage") if forwards else ("last", "startCursor", "hasPreviousPage")
    )
    found: list[str] = []
    place: dict[str, Any] = {}
    for _ in range(pages):
        page = await read(world, parent, name, **{asked: size}, **place)
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage" if forwards else "hasNextPage"] is bool(found)
        found = found + cursors if forwards else cursors + found
        if not page["pageInfo"][more]:
            break
        place = {"after" if forwards else "before": page["pageInfo"][cursor_at]}
    return found


@pytest.mark.parametrize(("parent", "name"), LISTS)
async def test_from_its_end_a_list_is_the_same(world: World, parent: str, name: str) -> None:
    """Given a list that is read from both ends, in large pages and its last rows one by one; then they agree."""
    whole = await walked(world, parent, name, 100, forwards=True)
    assert len(set(whole)) == len(whole)
    assert await walked(world, parent, name, 100, forwards=False) == whole
    assert await walked(world, parent, name, 1, forwards=False, pages=3) == whole[-3:]
    if whole:
        nothing = await read(world, parent, name, last=1, before=whole[0])
        assert (nothing["edges"], nothing["pageInfo"]["hasPreviousPage"]) == ([], False)
