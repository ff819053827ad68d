"""Reading together: what one operation reads from Neo4j at one moment is asked for by one statement.

Each of the operation's statements becomes a subquery, and its rows one list. That spares a round trip for each
statement but one, and the driver a record for each row, which together are most of what reading costs a process.
The embedded engine takes each by itself: it looks for no index range within a subquery.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast

import structlog
from neo4j.exceptions import CypherSyntaxError, Neo4jError

from core.errors import BadUserInput
from core.loops import running_loop

Rows = list[dict[str, Any]]
Columns = tuple[str, ...]
# Statements with their columns.
Combination = tuple[tuple[LiteralString, Columns], ...]
Send = Callable[[LiteralString, dict[str, Any]], Awaitable[tuple[Columns, Rows]]]

log = structlog.get_logger(__name__)

# A statement of more parts takes Neo4j longer to plan than it spares, and meets the same parts less often.
MOST_PARTS = 6
# Neo4j takes up to a second to plan a statement that it has not seen. So parts are joined once they have come together
# so often, and no more than so many combinations are new in a minute: nobody makes it plan by asking for ever different
# things. Of those that are kept the one goes that was not asked for longest.
COMES_AGAIN = 3
NEW_A_MINUTE = 20
MOST_JOINED = 300
# So many combinations that have not come so often yet are remembered.
MOST_MET = 2_000
MINUTE_SECONDS = 60.0
PARAMETER = re.compile(r"\$(\w+)")


@dataclass(slots=True)
class Wish:
    """One statement that waits for its rows."""

    query: LiteralString
    parameters: dict[str, Any]
    rows: asyncio.Future[Rows]


@dataclass(slots=True)
class Moment:
    """What an operation has asked for since its last statement went out."""

    wishes: list[Wish] = field(default_factory=list[Wish])
    # The loop keeps no more than a weak reference to a task.
    going: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    is_over: bool = False


MOMENT: ContextVar[Moment | None] = ContextVar("moment", default=None)


class reading_together:
    """What is read inside the block, also by its tasks, is read together; the block is of one operation.

    What nobody has waited for by its end is stopped, so that Neo4j is free of it before anybody else is let in.
    """

    __slots__ = ("_moment", "_token")

    async def __aenter__(self) -> None:
        self._moment = Moment()
        self._token = MOMENT.set(self._moment)

    async def __aexit__(self, *_: object) -> None:
        MOMENT.reset(self._token)
        self._moment.is_over = True
        left = list(self._moment.going)
        for task in left:
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)


class Together:
    """Sends the statements of a moment as one; one per client, since it knows which columns each statement has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._columns: dict[LiteralString, Columns] = {}
        # What Neo4j has refused as a part of another, which it does whenever it is asked.
        self._alone: set[LiteralString] = set()
        # Of single ones there are as many as we have statements.
        self._single: dict[Combination, LiteralString] = {}
        self._joined: OrderedDict[Combination, LiteralString] = OrderedDict()
        self._minute, self._new = float("-inf"), 0
        self._met: OrderedDict[Combination, int] = OrderedDict()

    async def read(self, moment: Moment, query: LiteralString, parameters: dict[str, Any]) -> Rows:
        """The rows of the statement, asked for with all that is asked for within two turns of the loop."""
        if query not in self._columns or query in self._alone:
            return await self._by_itself(query, parameters)
        loop = running_loop()
        wish = Wish(query, parameters, loop.create_future())
        moment.wishes.append(wish)
        if len(moment.wishes) == 1:
            # In the first turn those join who have been woken by the same thing.
            loop.call_soon(loop.call_soon, self._go, moment)
        return await wish.rows

    def _go(self, moment: Moment) -> None:
        wishes, moment.wishes = moment.wishes, []
        if moment.is_over:
            forsake(wishes)
            return
        for start in range(0, len(wishes), MOST_PARTS):
            task = running_loop().create_task(self._ask(wishes[start : start + MOST_PARTS]))
            moment.going.add(task)
            task.add_done_callback(moment.going.discard)

    async def _by_itself(self, query: LiteralString, parameters: dict[str, Any]) -> Rows:
        columns, rows = await self._send(query, parameters)
        self._columns[query] = columns
        return rows

    async def _ask(self, wishes: Sequence[Wish]) -> None:
        """Fulfil these wishes; whoever fails is told so, and nobody fails for another's mistake.

        But they have one time limit: where one is too slow, all of them are late.
        """
        # The same parts in whichever order are the same statement, which Neo4j plans once.
        wishes = sorted((wish for wish in wishes if not wish.rows.done()), key=lambda wish: wish.query)
        if not wishes:
            return
        statement = self._statement(tuple((wish.query, self._columns[wish.query]) for wish in wishes))
        if statement is None:
            await asyncio.gather(*(self._ask([wish]) for wish in wishes))
            return
        try:
            await self._fulfil(wishes, statement)
        except (Neo4jError, BadUserInput) as error:
            log.warning("read_apart", error=f"{type(error).__name__}: {error}", parts=len(wishes))
            if len(wishes) == 1:
                await self._apart(wishes[0], is_no_part=isinstance(error, CypherSyntaxError))
            else:
                await asyncio.gather(*(self._ask([wish]) for wish in wishes))
        except asyncio.CancelledError:
            forsake(wishes)
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the rows are waited for
            for wish in wishes:
                refuse(wish, error)

    def _statement(self, parts: Combination) -> LiteralString | None:
        """The statement of these; None where they are to be asked for one by one, as they have not met often enough."""
        if len(parts) == 1:
            if parts not in self._single:
                self._single[parts] = joined(parts)
            return self._single[parts]
        if parts in self._joined:
            self._joined.move_to_end(parts)
        elif self._comes_again(parts) and self._may_be_new():
            self._joined[parts] = joined(parts)
            if len(self._joined) > MOST_JOINED:
                self._joined.popitem(last=False)
        return self._joined.get(parts)

    def _comes_again(self, parts: Combination) -> bool:
        """Whether a combination has come often enough by now."""
        times = min(self._met.pop(parts, 0) + 1, COMES_AGAIN)
        self._met[parts] = times
        if len(self._met) > MOST_MET:
            self._met.popitem(last=False)
        return times == COMES_AGAIN

    def _may_be_new(self) -> bool:
        """Whether one more may be planned in this minute, and then it counts."""
        now = time.monotonic()
        if now - self._minute >= MINUTE_SECONDS:
            self._minute, self._new = now, 0
        self._new += 1
        return self._new <= NEW_A_MINUTE

    async def _fulfil(self, wishes: Sequence[Wish], statement: LiteralString) -> None:
        """Ask for all of them by one statement."""
        given = {name_of(n, name): value for n, wish in enumerate(wishes) for name, value in wish.parameters.items()}
        _, (row,) = await self._send(statement, given)
        for number, wish in enumerate(wishes):
            columns = self._columns[wish.query]
            fulfil(wish, [dict(zip(columns, values, strict=True)) for values in row[part_of(number)]])

    async def _apart(self, wish: Wish, *, is_no_part: bool) -> None:
        """Ask for one that failed as a part, as it was written; and if it can be none, from now on."""
        try:
            rows = await self._by_itself(wish.query, wish.parameters)
        except Exception as error:  # noqa: BLE001 - likewise
            refuse(wish, error)
            return
        if is_no_part:
            self._alone.add(wish.query)
        fulfil(wish, rows)


def forsake(wishes: Sequence[Wish]) -> None:
    """End the waiting of whoever still waits."""
    for wish in wishes:
        wish.rows.cancel()


def fulfil(wish: Wish, rows: Rows) -> None:
    # Whoever was cancelled meanwhile waits no longer.
    if not wish.rows.done():
        wish.rows.set_result(rows)


def refuse(wish: Wish, error: Exception) -> None:
    if not wish.rows.done():
        wish.rows.set_exception(error)


def part_of(number: int) -> str:
    return f"part_{number}"


def name_of(number: int, parameter: str) -> str:
    return f"p{number}_{parameter}"


def joined(parts: Combination) -> LiteralString:
    """One statement of these: its one row has the rows of each in their order, each as a list in the order of its
    columns, whose names are spared that way."""
    lines: list[str] = []
    for number, (query, columns) in enumerate(parts):
        own = PARAMETER.sub(lambda found, number=number: f"${name_of(number, found.group(1))}", query)
        row = ", ".join(columns)
        # The list is made within a subquery: outside, where a part finds nothing, nothing would be left of the others.
        lines.append(f"CALL () {{\nCALL () {{\n{own}\n}}\nRETURN collect([{row}]) AS {part_of(number)}\n}}")
    lines.append("RETURN " + ", ".join(part_of(number) for number in range(len(parts))))
    # Made of constants only, although a type checker cannot follow it.
    return cast(LiteralString, "\n".join(lines))
