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


@pytest.mark.parametrize(("parent", "name"), LISTS)
async def test_from_its_end_a_list_is_the_same(world: World, parent: str, name: str) -> None:
    """Given a list that is read whole from both ends, and one row after another from its last; then they agree."""
    whole = await read(world, parent, name, first=100)
    assert await read(world, parent, name, last=100) == whole
    assert (whole["pageInfo"]["hasNextPage"], whole["pageInfo"]["hasPreviousPage"]) == (False, False)
    walked: list[str] = []
    place: dict[str, Any] = {"last": 1}
    for _ in whole["edges"]:
        page = await read(world, parent, name, **place)
        ((cursor),) = (edge["cursor"] for edge in page["edges"])
        assert page["pageInfo"]["hasNextPage"] is bool(walked)
        walked.insert(0, cursor)
        assert page["pageInfo"]["hasPreviousPage"] is (len(walked) < len(whole["edges"]))
        place = {"last": 1, "before": cursor}
    assert walked == [edge["cursor"] for edge in whole["edges"]]
    nothing = await read(world, parent, name, **place)
    if whole["edges"]:
        assert (nothing["edges"], nothing["pageInfo"]["hasPreviousPage"]) == ([], False)
