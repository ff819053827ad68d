"""Whether the check of an answer's shape sees what is wrong with one."""

from typing import Any

import pytest
from graphql import build_schema

from tests.hostile.shape import fits

SCHEMA = build_schema("""
type Query { things(first: Int): [Thing!] }
interface Named { name: String! }
type Cat implements Named { name: String!, lives: Int }
type Box { size: Size!, full: Boolean, weight: Float }
union Thing = Cat | Box
enum Size { SMALL LARGE }
""")
DOCUMENT = (
    """{ all: things { __typename ... on Named { name } ... on Cat { lives } ... on Box { size full weight } } }"""
)
CAT = {"__typename": "Cat", "name": "Tom", "lives": 9}
BOX = {"__typename": "Box", "size": "LARGE", "full": None, "weight": 1}


@pytest.mark.parametrize("data", [{"all": None}, {"all": []}, {"all": [CAT, BOX]}, {"all": [{**CAT, "lives": None}]}])
def test_a_good_answer_fits(data: Any) -> None:
    assert fits(SCHEMA, DOCUMENT, data)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"things": []},
        {"all": CAT},
        {"all": [None]},
        {"all": [{**CAT, "name": None}]},
        {"all": [{**CAT, "lives": True}]},
        {"all": [{**CAT, "size": "LARGE"}]},
        {"all": [{**CAT, "__typename": "Box"}]},
        {"all": [{**BOX, "size": "HUGE"}]},
        {"all": [{**BOX, "full": 1}]},
        {"all": [{**BOX, "weight": "1"}]},
        {"all": [{name: value for name, value in BOX.items() if name != "full"}]},
    ],
)
def test_one_that_is_not_what_was_asked_for_does_not(data: Any) -> None:
    assert not fits(SCHEMA, DOCUMENT, data)
