"""The leaderboard: who brought most, for those who want to stand on it, under a name of their own choice."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint, delete
from sqlmodel import Field, col, select

from core.db import Record, Session, insert_once, instant
from core.errors import BadUserInput, Refusal
from core.ids import new_id
from core.paging import Page, cut, decode_cursor, page_size
from referrals.analytics import known_program
from referrals.standings import ReferralStanding, list_standings, lock_standing

SHORTEST, LONGEST = 2, 20
# A telephone number has more digits than this, and so has a birth date.
MOST_DIGITS = 4
BETWEEN = " -_·"


class PseudonymInvalid(BadUserInput):
    code = "PSEUDONYM_INVALID"
    en = "This name cannot be shown on the leaderboard."
    zh = "该昵称不能用于排行榜。"


class PseudonymTaken(Refusal):
    code = "PSEUDONYM_TAKEN"
    en = "Somebody else on the leaderboard has this name."
    zh = "该昵称已被其他用户使用。"


class ReferralPseudonym(Record, table=True):
    """One who wants to stand on a programme's leaderboard; `normal` is what makes the name unique."""

    __table_args__ = (UniqueConstraint("program_id", "normal"), UniqueConstraint("program_id", "customer_id"))

    id: str = Field(primary_key=True)
    program_id: str = Field(foreign_key="referral_program.id")
    customer_id: str
    pseudonym: str
    normal: str
    joined_at: datetime = instant()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of the leaderboard; `reached_at` is when the count was reached."""

    rank: int
    pseudonym: str
    customer_id: str
    qualified_count: int
    reached_at: datetime | None
    place: str


def checked_pseudonym(text: str) -> str:
    """The name as it is shown; raises PseudonymInvalid.

    Letters of all scripts, digits, spaces, hyphens, underscores and middle dots: so no markup, no address, and with
    at most 4 digits no telephone number.
    """
    shown = " ".join(unicodedata.normalize("NFKC", text).split())
    if not SHORTEST <= len(shown) <= LONGEST:
        raise PseudonymInvalid(path=("pseudonym",), detail=f"{SHORTEST} to {LONGEST} characters")
    if not all(letter in BETWEEN or unicodedata.category(letter) in LETTERS for letter in shown):
        raise PseudonymInvalid(path=("pseudonym",), detail="letters, digits, spaces, - _ ·")
    if sum(map(str.isdigit, shown)) > MOST_DIGITS:
        raise PseudonymInvalid(path=("pseudonym",), detail=f"at most {MOST_DIGITS} digits")
    if not normal_pseudonym(shown):
        raise PseudonymInvalid(path=("pseudonym",), detail="at least one letter or digit")
    return shown


LETTERS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}


def normal_pseudonym(shown: str) -> str:
    """The name without case and without what stands between its letters, so that none looks like another."""
    return "".join(letter for letter in shown.casefold() if letter not in BETWEEN)


async def join_leaderboard(
    session: Session, *, program_id: str, customer_id: str, pseudonym: str, now: datetime
) -> str:
    """Put a customer on a programme's leaderboard, or change their name on it; returns the name as it is shown.

    Raises NotFound, PseudonymInvalid, PseudonymTaken.
    """
    shown = checked_pseudonym(pseudonym)
    await known_program(session, program_id)
    ever = await lock_standing(session, program_id, customer_id)
    await session.exec(delete(ReferralPseudonym).where(*is_entry(program_id, customer_id)))
    row: dict[str, Any] = {
        "id": ever.entry_id or new_id(),
        "program_id": program_id,
        "customer_id": customer_id,
        "pseudonym": shown,
        "normal": normal_pseudonym(shown),
        "joined_at": now,
    }
    if not await insert_once(session, ReferralPseudonym, row):
        raise PseudonymTaken(path=("pseudonym",))
    await list_standings(session, ever, row["id"])
    return shown


async def leave_leaderboard(session: Session, *, program_id: str, customer_id: str) -> None:
    """Take a customer off a programme's leaderboard; nothing where they do not stand on it. Raises NotFound."""
    await known_program(session, program_id)
    if (await session.exec(select(ReferralPseudonym).where(*is_entry(program_id, customer_id)))).first() is None:
        return
    ever = await lock_standing(session, program_id, customer_id)
    await session.exec(delete(ReferralPseudonym).where(*is_entry(program_id, customer_id)))
    await list_standings(session, ever, None)


def is_entry(program_id: str, customer_id: str) -> tuple[Any, Any]:
    return (col(ReferralPseudonym.program_id) == program_id, col(ReferralPseudonym.customer_id) == customer_id)


async def leaderboard(
    session: Session, *, program_id: str, period: str, first: int | None, after: str | None
) -> Page[Ranked]:
    """One page of a period's ranking; a cursor carries the rank that it stands on."""
    size = page_size(first)
    position = decode_cursor(after, str, int)
    place, rank = (str(position[0]), int(position[1])) if position else ("", 0)
    statement = (
        select(ReferralStanding, ReferralPseudonym)
        .where(
            ReferralStanding.program_id == program_id,
            ReferralStanding.period == period,
            col(ReferralStanding.place) > place,
        )
        .join(ReferralPseudonym, col(ReferralPseudonym.id) == ReferralStanding.entry_id)
    )
    rows = (await session.exec(statement.order_by(col(ReferralStanding.place)).limit(size + 1))).all()
    ranked = [
        Ranked(
            rank=rank + number,
            pseudonym=entry.pseudonym,
            customer_id=row.referrer_id,
            qualified_count=row.qualified_count,
            reached_at=row.last_qualified_at,
            place=row.place or "",
        )
        for number, (row, entry) in enumerate(rows, 1)
    ]
    return cut(ranked, size, lambda one: (one.place, one.rank))
