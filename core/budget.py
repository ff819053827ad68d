"""How much each principal may ask for in a minute: counted in Redis for all, and borrowed by each process in portions.

A process takes a portion of a principal's budget at a time and spends it by itself, so that most requests do not wait
for Redis. What several processes hold never comes to more than the budget; what one holds and does not spend is lost
at the end of the minute, which makes the limit a little stricter for who comes to many processes.

Redis may be lost, and then nothing is counted: everybody is served, and the log says so.
"""

import asyncio
import math
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from core.errors import KinshipError
from core.outage import Outage
from core.rate import MOST_AT_ONCE

PREFIX = "kinship:budget:"
WINDOW_SECONDS = 60.0
# A process borrows this share of the budget at first, and twice as much each time until it is the larger share: what
# somebody who asks little leaves unspent in many processes must not come to much of their budget.
FIRST_PORTION = 0.001
PORTION = 0.05
PATIENCE_SECONDS = 3.0
# Beyond so many principals, those whose minute is over are forgotten.
MOST_KNOWN = 10_000

# In one step: see what is left, and take the portion, or at least what is needed, or nothing.
BORROW = """
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = tonumber(ARGV[1]) - used
local needed, portion = tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = 0
if left >= needed then
  taken = math.min(math.max(needed, portion), left)
  redis.call('INCRBY', KEYS[1], taken)
  if used == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
end
return {taken, left - taken, redis.call('PTTL', KEYS[1])}
"""


class RateLimited(KinshipError):
    """`seconds` is how long to wait."""

    code = "RATE_LIMITED"
    en = "You ask for too much at once. Please try again later."
    zh = "请求过于频繁，请稍后再试。"

    def __init__(self, *, seconds: int = 1) -> None:
        super().__init__(detail=f"in {seconds} s")
        self.seconds = seconds


@dataclass(slots=True)
class Loan:
    """What this process may spend for a principal until an instant (monotonic seconds), what was left in Redis, and
    how much is borrowed next."""

    mine: int
    elsewhere: int
    until: float
    portion: int


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget for so many whole seconds."""

    units: int
    seconds: int


class Budget:
    """The budgets of all principals as one process sees them; safe to share between tasks."""

    def __init__(self, redis: Redis, most: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._borrow = redis.register_script(BORROW)
        self._now = now
        self._loans: dict[str, Loan] = {}
        self._forget_at = MOST_KNOWN
        self._borrowing: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._outage = Outage("budget", patience=PATIENCE_SECONDS)

    async def spend(self, who: str, units: int) -> Left:
        """Take so many units from a principal's budget; raises RateLimited, and then nothing is taken."""
        loan = self._current(who)
        if loan is None or loan.mine < units:
            # Of a crowd one borrows, and the others find what it has brought.
            async with self._borrowing.setdefault(who, asyncio.Lock()):
                loan = self._current(who)
                if loan is None or loan.mine < units:
                    loan = await self._borrowed(who, loan, units)
        if loan is None:
            return Left(self.most, 0)
        seconds = max(1, math.ceil(loan.until - self._now()))
        if loan.mine < units:
            raise RateLimited(seconds=seconds)
        loan.mine -= units
        return Left(loan.mine + loan.elsewhere, seconds)

    def _current(self, who: str) -> Loan | None:
        loan = self._loans.get(who)
        if loan is not None and loan.until <= self._now():
            del self._loans[who]
            return None
        return loan

    async def _borrowed(self, who: str, loan: Loan | None, units: int) -> Loan | None:
        """The loan with as much more as there is of what is needed; None where Redis does not answer."""
        if loan is not None and loan.mine + loan.elsewhere < units:
            # What is left elsewhere only becomes less until the minute is over.
            return loan
        needed = units - (loan.mine if loan is not None else 0)
        async with self._turns:
            portion = loan.portion if loan is not None else math.ceil(self.most * FIRST_PORTION)
            arguments = [self.most, needed, portion, int(WINDOW_SECONDS * 1000)]
            answer: Any = await self._outage.asked(lambda: self._borrow(keys=[PREFIX + who], args=arguments))
        if answer is None:
            return None
        taken, left, milliseconds = cast(tuple[int, int, int], answer)
        # A key without an end is there only if nothing was taken yet, and then the whole minute is left.
        until = self._now() + (milliseconds / 1000 if milliseconds > 0 else WINDOW_SECONDS)
        if loan is None:
            self._forget_old()
            loan = self._loans[who] = Loan(0, left, until, portion)
        loan.mine += taken
        loan.elsewhere, loan.until = left, min(loan.until, until)
        loan.portion = min(2 * portion, math.ceil(self.most * PORTION))
        return loan

    def _forget_old(self) -> None:
        if len(self._loans) >= self._forget_at:
            now = self._now()
            self._loans = {who: loan for who, loan in self._loans.items() if loan.until > now}
            # Not before there are as many more: with all of them still in their minute, each newcomer would look again.
            self._forget_at = max(MOST_KNOWN, 2 * len(self._loans))
