"""A small schema with everything that executing knows, over data in which anything may be wrong."""

from collections.abc import Generator
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, Generic, TypeVar, cast

import strawberry
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from api.documents import Prepared
from api.execution import Schema
from api.scalars import DAY, INSTANT, JSON_VALUE, SAFE_INT, SafeInt
from api.selections import at_hand
from core.errors import NotFound

T = TypeVar("T")
JSON = strawberry.scalars.JSON


@strawberry.enum
class Colour(StrEnum):
    RED = "RED"
    DARK_RED = "dark red"


@strawberry.enum
class Size(Enum):
    SMALL = 1
    LARGE = 2


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    def label(self) -> str:
        return f"<{self.name.upper()}>"


@strawberry.type
class Leaf(Named):
    text: str | None
    number: int
    ratio: float | None
    flag: bool
    colour: Colour | None
    size: Size
    at: datetime
    day: date | None
    big: SafeInt
    thing: JSON | None
    ids: list[strawberry.ID]
    matrix: list[list[int | None]] | None


@strawberry.type
class Fruit(Named):
    sweet: bool | None
    seed: Leaf | None
    kept: strawberry.Private[Any] = None

    @strawberry.field
    @at_hand("kept")
    async def seeds(self) -> list[Leaf]:
        return cast(Any, [self.seed] if self.kept is None else self.kept)

    @strawberry.field
    async def juice(self) -> float:
        return len(self.name) / 2


@strawberry.type
class Box(Generic[T]):
    content: T
    others: list[T] | None


Grown = Annotated[Leaf | Fruit, strawberry.union("Grown")]


@strawberry.type
class Branch(Named):
    leaf: Leaf
    maybe: Leaf | None
    leaves: list[Leaf]
    gaps: list[Leaf | None] | None
    named: Named | None
    crowd: list[Named]
    grown: Grown | None
    basket: list[Grown | None]
    fruit: list[Fruit] | None
    boxed: Box[Leaf] | None
    hidden: strawberry.Private[Any]

    @strawberry.field
    def first(self) -> Leaf | None:
        return self.leaves[0]

    @strawberry.field
    def own_fruit(self) -> list[Fruit] | None:
        return self.fruit

    @strawberry.field
    async def stored(self) -> list[Fruit] | None:
        return self.fruit

    @strawberry.field
    async def later(self, info: strawberry.Info, times: int = 2, colours: list[Colour] | None = None) -> list[Leaf]:
        return self.leaves * times if info.context is not None and colours is None else []

    @strawberry.field
    async def branches(self) -> list["Branch | None"]:
        return self.hidden

    @strawberry.field
    async def branch(self) -> "Branch":
        return self.hidden[0]

    @strawberry.field
    async def fails(self, info: strawberry.Info) -> str:
        raise NotFound if info.path else ValueError

    @strawberry.field
    async def fails_quietly(self) -> Leaf | None:
        raise ValueError(self.name)

    @strawberry.field
    def fails_at_once(self) -> int | None:
        raise KeyError(self.name)


@strawberry.type
class Query:
    @strawberry.field
    async def root(self, info: strawberry.Info) -> Branch | None:
        return info.context.root

    @strawberry.field
    async def sure(self, info: strawberry.Info) -> Branch:
        return info.context.root


def orchard() -> Schema:
    return Schema(
        query=Query,
        extensions=[Prepared],
        config=StrawberryConfig(scalar_map={datetime: INSTANT, date: DAY, SafeInt: SAFE_INT, JSON: JSON_VALUE}),
    )


class Promise:
    """What comes when it is awaited, as often as one likes; it may be an exception, which is raised then."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Text(str):
    """Text of a class that nobody expects."""

    __slots__ = ()


FAULTS: tuple[Any, ...] = (
    *(None, "", "text", Text("odd"), 7, 2**40, 1.5, float("nan"), True, [], [None], {}, {"a": 1}, (), set[int]()),
    *(Colour.DARK_RED, Size.LARGE, datetime(2026, 11, 29, tzinfo=UTC), date(2026, 11, 29), b"bytes"),
    *(ValueError("a value"), NotFound(), Promise(None), Promise("late"), Promise(3), Promise(ValueError("late"))),
)
faults = st.sampled_from(FAULTS)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What should be there, and at times what should not."""
    return st.integers(0, 19).flatmap(lambda number: faults if number == 0 else good)


texts = st.text('aé林\n"', max_size=3)
numbers = st.integers(-(2**31), 2**31 - 1)
leaves = st.builds(
    Leaf,
    name=mostly(texts),
    text=mostly(texts | st.none()),
    number=mostly(numbers),
    ratio=mostly(st.floats(-9, 9) | st.integers(-9, 9)),
    flag=mostly(st.booleans()),
    colour=mostly(st.sampled_from(Colour) | st.none()),
    size=mostly(st.sampled_from(Size)),
    at=mostly(st.just(datetime(2026, 11, 29, 8, tzinfo=UTC)) | st.just("2026-11-29T08:00:00Z")),
    day=mostly(st.just(date(2026, 2, 28)) | st.none()),
    big=mostly(st.integers(0, 2**53 - 1)),
    thing=mostly(st.dictionaries(texts, numbers, max_size=2) | st.none()),
    ids=mostly(st.lists(texts | mostly(texts), max_size=2)),
    matrix=mostly(st.lists(st.lists(mostly(numbers | st.none()), max_size=2), max_size=2)),
)
fruit = st.builds(
    Fruit,
    name=mostly(texts),
    sweet=mostly(st.booleans()),
    seed=mostly(leaves | st.none()),
    kept=mostly(st.lists(mostly(leaves), max_size=2) | st.none()),
)
grown = leaves | fruit


def box() -> st.SearchStrategy[Any]:
    return st.builds(Box[Leaf], content=mostly(leaves), others=mostly(st.lists(mostly(leaves), max_size=2)))


def branches_over(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        Branch,
        name=mostly(texts),
        leaf=mostly(leaves),
        maybe=mostly(leaves | st.none()),
        leaves=mostly(st.lists(mostly(leaves), min_size=1, max_size=3)),
        gaps=mostly(st.lists(leaves | st.none() | mostly(leaves), max_size=3) | st.lists(leaves).map(tuple)),
        named=mostly(grown | st.none()),
        crowd=mostly(st.lists(mostly(grown | inner), max_size=3)),
        grown=mostly(grown | st.none()),
        basket=mostly(st.lists(mostly(grown | st.none()), max_size=3)),
        fruit=mostly(st.lists(mostly(fruit), max_size=3)),
        boxed=mostly(box() | st.none()),
        hidden=mostly(st.lists(mostly(inner), min_size=1, max_size=3)),
    )


branches = st.recursive(st.none(), branches_over, max_leaves=4).flatmap(
    lambda one: branches_over(st.none()) if one is None else st.just(one)
)
