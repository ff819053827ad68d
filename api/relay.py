"""Relay's conventions: global ids and connections."""

from binascii import b2a_base64
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

import strawberry

from core.errors import BadUserInput
from core.ids import is_id, raw_of
from core.paging import Cursor, Page, Place

T = TypeVar("T")
Row = TypeVar("Row")


class IdInvalid(BadUserInput):
    code = "ID_INVALID"
    en = "This is not an id of the right kind."
    zh = "标识符无效。"


@strawberry.interface(description="Anything with a global id.")
class Node:
    id: strawberry.ID = strawberry.field(
        description="By which it is known everywhere: `node(id:)` finds it again, and a cache may keep it by this."
    )


def global_id(kind: str, local: str) -> strawberry.ID:
    """The opaque id by which clients know a thing."""
    # As `opaque` makes it, which takes longer, and an answer has dozens of ids: of letters, figures, hyphens and colons
    # Base64 has neither of its two signs that addresses do not take.
    return b2a_base64(f"{kind}:{local}".encode(), newline=False).decode().rstrip("=")  # pyright: ignore[reportReturnType]


def split_id(value: str, *path: str) -> tuple[str, str]:
    """Kind and local id of a global id; raises IdInvalid with the path of the argument.

    What stands between two things, such as a registration, has the ids of both, with a colon between them.
    """
    try:
        raw = raw_of(value)
        kind, _, local = raw.decode("ascii").partition(":")
    except ValueError as error:
        raise IdInvalid(path=path) from error
    if not all(is_id(part) for part in local.split(":")):
        raise IdInvalid(path=path)
    return kind, local


def local_id(kind: str, value: str, *path: str) -> str:
    """The local id behind a global id of this kind; raises IdInvalid otherwise."""
    found, local = split_id(value, *path)
    if found != kind or not is_id(local):
        raise IdInvalid(path=path, detail=f"an id of {kind} is expected")
    return local


First = Annotated[int | None, strawberry.argument(description="How many to show, 1 to 100; 20 by default.")]
After = Annotated[str | None, strawberry.argument(description="Cursor after which the page starts.")]
Resume = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last message that you have, from its `extensions.cursor`: what came after it "
        "comes first. Null: from now on."
    ),
]
Last = Annotated[
    int | None, strawberry.argument(description="How many to show from the end or before a cursor, 1 to 100.")
]
Before = Annotated[
    str | None, strawberry.argument(description="Cursor before which the page ends; not together with first or after.")
]


# A cursor as edges hold it: it is made when it is shown.
Mark = Cursor | str


@strawberry.type(description="Where a page ends and whether more follows.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follows.")
    has_previous_page: bool = strawberry.field(
        description="Whether some go before; forwards: whether one came from some."
    )
    start_cursor: Mark | None = strawberry.field(graphql_type=str | None, description="Cursor of the first edge.")
    end_cursor: Mark | None = strawberry.field(
        graphql_type=str | None, description="Cursor of the last edge; pass it as `after`."
    )


@strawberry.type(description="One item of a page.")
class Edge(Generic[T]):
    cursor: Mark = strawberry.field(
        graphql_type=str, description="Marks this item's place; it stays valid when others are inserted."
    )
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of items.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The items of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follows.")


# In the schema it has the name of a connection: what it is of is always counted, or never.
@strawberry.type(name="Connection", description="A page of items.")
class CountedConnection(Connection[T]):
    total_count: int | None = strawberry.field(
        description="How many there are in all, on whichever page; null where they would have to be counted for it."
    )


def page_info(page: Page[Row], after: Place) -> PageInfo:
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=isinstance(after, str) if page.has_previous is None else page.has_previous,
        start_cursor=page.mark(0),
        end_cursor=page.mark(-1),
    )


def connection(page: Page[Row], after: Place, make: Callable[[Row], T | None]) -> Connection[T]:
    """A connection of what `make` builds; an item that has gone from view since it was listed is left out."""
    nodes = map(make, page.rows)
    edges = [Edge(cursor=mark, node=node) for mark, node in zip(page.marks(), nodes, strict=True) if node is not None]
    return Connection(edges=edges, page_info=page_info(page, after))


def counted(page: Page[Row], after: Place, make: Callable[[Row], T | None], total: int | None) -> CountedConnection[T]:
    """Likewise where the number of all is known by a figure that was read already."""
    plain = connection(page, after, make)
    return CountedConnection(edges=plain.edges, page_info=plain.page_info, total_count=total)
