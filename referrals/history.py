"""Referrals that were made elsewhere, imported in batches: the same relationships and conversions as a claim makes.

A claim locks, reads and draws for one referee; a batch does each step once for all of them. The codes
come in a transaction before, because a relationship outlives a crash and must never name a code that is not there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting
from sqlmodel import col, select

from core.codes import new_code
from core.db import Session, insert_once
from core.ids import new_id
from core.importing import Batch, ImportRow, Numbered, Rejection
from graph.client import Row
from referrals.attribution import Referral, record_referral
from referrals.batches import TIMEOUT_SECONDS, Wanted, edges_of, refer_all
from referrals.codes import CODE_LENGTH, CodeStatus, ReferralCode
from referrals.programs import ProgramStatus, ReferralProgram

Key = Annotated[str, Setting(min_length=1, max_length=200)]


class ReferralRow(ImportRow):
    """A customer who brought another; `program` may be left out where exactly one programme is active."""

    customer_fields: ClassVar[tuple[str, ...]] = ("referrer", "referee")

    referrer: Key
    referee: Key
    occurred_at: AwareDatetime
    program: Key | None = None


async def write_codes(batch: Batch[ReferralRow]) -> list[Rejection]:
    """Check the rows, and give every referrer a code to name."""
    programs = await programs_of(batch)
    rejected = [rejection for item in batch.rows if (rejection := check(item, batch, programs))]
    lines = {rejection.line for rejection in rejected}
    for program_id, wanted in by_program([item for item in batch.rows if item.line not in lines], batch, programs):
        referrers = {one.referrer_id for one in wanted}
        await make_codes(batch.session, program_id, referrers, now=batch.now)
    return rejected


def check(
    item: Numbered[ReferralRow], batch: Batch[ReferralRow], programs: Mapping[str | None, ReferralProgram]
) -> Rejection | None:
    row = item.row
    if row.program not in programs:
        return Rejection(item.line, "program", "unknown programme" if row.program else "name one of the programmes")
    if batch.customers[row.referrer] == batch.customers[row.referee]:
        return Rejection(item.line, "referee", "the same customer")
    if row.occurred_at > batch.now:
        return Rejection(item.line, "occurred_at", "it lies in the future")
    return None


async def programs_of(batch: Batch[ReferralRow]) -> dict[str | None, ReferralProgram]:
    """The programmes by the name that rows give them; None stands for the only active one."""
    names = {item.row.program for item in batch.rows}
    statement = select(ReferralProgram).where(
        ReferralProgram.status != ProgramStatus.DRAFT, col(ReferralProgram.id).in_(names - {None})
    )
    found: dict[str | None, ReferralProgram] = {
        program.id: program for program in (await batch.session.exec(statement)).all()
    }
    if None in names:
        active = select(ReferralProgram).where(ReferralProgram.status == ProgramStatus.ACTIVE).limit(2)
        candidates = (await batch.session.exec(active)).all()
        if len(candidates) == 1:
            found[None] = candidates[0]
    return found


def by_program(
    items: Sequence[Numbered[ReferralRow]],
    batch: Batch[ReferralRow],
    programs: Mapping[str | None, ReferralProgram],
) -> Iterable[tuple[str, list[Wanted]]]:
    groups: dict[str, list[Wanted]] = {}
    for item in items:
        row = item.row
        wanted = Wanted(item.line, batch.customers[row.referrer], batch.customers[row.referee], row.occurred_at)
        groups.setdefault(programs[row.program].id, []).append(wanted)
    return groups.items()


async def make_codes(session: Session, program_id: str, customer_ids: Iterable[str], *, now: datetime) -> None:
    """Give each of the customers an active code who has none."""
    missing = set(customer_ids)
    for _ in range(5):
        missing -= (await codes_of(session, program_id, missing)).keys()
        if not missing:
            return
        rows: list[dict[str, Any]] = [
            {
                "id": new_id(),
                "program_id": program_id,
                "customer_id": customer_id,
                "code": new_code(CODE_LENGTH),
                "status": CodeStatus.ACTIVE,
                "created_at": now,
            }
            for customer_id in sorted(missing)
        ]
        # A code that another customer has is not inserted, and the next round draws another one.
        await insert_once(session, ReferralCode, rows)
    raise RuntimeError("five random codes in a row were taken")


async def codes_of(session: Session, program_id: str, customer_ids: Iterable[str]) -> dict[str, str]:
    """The ids of active codes by customer."""
    statement = select(ReferralCode.customer_id, ReferralCode.id).where(
        ReferralCode.program_id == program_id,
        ReferralCode.status == CodeStatus.ACTIVE,
        col(ReferralCode.customer_id).in_(list(customer_ids)),
    )
    return dict((await session.exec(statement)).all())


async def draw_referrals(batch: Batch[ReferralRow]) -> list[Rejection]:
    """Draw the relationships that are not there, and write the conversions of all of them."""
    programs = await programs_of(batch)
    versions = {program.id: program.active_version or 1 for program in programs.values()}
    rejected: list[Rejection] = []
    for program_id, wanted in by_program(batch.rows, batch, programs):
        codes = await codes_of(batch.session, program_id, {one.referrer_id for one in wanted})
        rejected += await refer_all(batch.graph, program_id, versions[program_id], wanted, codes, batch.now)
        edges = await edges_of(batch.graph, program_id, [one.referee_id for one in wanted])
        await record_new(batch.session, program_id, edges, now=batch.now)
    return rejected


async def record_new(session: Session, program_id: str, edges: Sequence[Row], *, now: datetime) -> None:
    """Write the conversions that are not there yet."""
    referees = [str(edge["referee_id"]) for edge in edges]
    statement = select(Referral.referee_id).where(
        Referral.program_id == program_id, col(Referral.referee_id).in_(referees)
    )
    known = set((await session.exec(statement)).all())
    for edge in edges:
        if edge["referee_id"] not in known:
            await record_referral(session, edge, now=now)


SETTLE_REFERRALS = """
UNWIND $ids AS id
MATCH (b:Customer {id: id})
MATCH (b)<-[r:REFERRED {program_id: $program_id, settled: false}]-(:Customer)
SET r.settled = true
"""


async def settle_referrals(batch: Batch[ReferralRow]) -> list[Rejection]:
    """Note that the conversions are written; a crash before this leaves it to the sweep."""
    for program_id, wanted in by_program(batch.rows, batch, await programs_of(batch)):
        ids = [one.referee_id for one in wanted]
        await batch.graph.write(SETTLE_REFERRALS, timeout=TIMEOUT_SECONDS, ids=ids, program_id=program_id)
    return []
