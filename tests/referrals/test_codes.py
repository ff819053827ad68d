"""Codes: one active code however many rotate at once, retired ones that still count, revoked ones that say so."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlmodel import select

from core.audit import AuditEntry
from core.clock import utc_now
from core.db import Database
from core.errors import KinshipError, NotFound
from core.ids import new_id
from core.principal import Principal, Role
from graph.client import GraphClient
from referrals.attribution import Referral
from referrals.codes import (
    MOST_NEW_CODES,
    CodeRevoked,
    CodeStatus,
    ReferralCode,
    RevocationInvalid,
    TooManyCodes,
    codes_of_customer,
    resolve_code,
    revoke_code,
    rotate_code,
)
from referrals.programs import ProgramNotActive
from tests.conftest import Addresses
from tests.loyalty.accounts import by_hand
from tests.referrals.programs import claim, code_of, make_people, make_program

pytestmark = pytest.mark.anyio

DAY = timedelta(hours=24)


def principal(customer_id: str | None, *roles: Role) -> Principal:
    return Principal("somebody", frozenset(roles or (Role.CUSTOMER,)), frozenset(), 0, customer_id)


async def rotate(database: Database, program: str, customer: str, **more: object) -> ReferralCode:
    async with database.write() as session:
        return await rotate_code(session, program_id=program, customer_id=customer, **{"now": utc_now(), **more})  # pyright: ignore[reportArgumentType] - passed through


async def revoke(database: Database, code_id: str, who: Principal, reason: str = "lost") -> ReferralCode:
    async with database.write() as session:
        return await revoke_code(session, code_id, principal=who, reason=reason, now=utc_now())


async def statuses(database: Database, program: str) -> Counter[str]:
    async with database.read() as session:
        rows = (await session.exec(select(ReferralCode).where(ReferralCode.program_id == program))).all()
    return Counter(row.status for row in rows)


async def acts(database: Database, program: str) -> list[AuditEntry]:
    async with database.read() as session:
        statement = select(AuditEntry).where(AuditEntry.area == f"referral-program:{program}")
        return list((await session.exec(statement)).all())


async def test_a_retired_code_still_counts_and_what_it_brought_stays(graph: GraphClient, database: Database) -> None:
    """Given a claim by a code, when its owner rotates, then the claim stays and the old code still takes another."""
    program = await make_program(database)
    lin, wu, sun = await make_people(graph, 3)
    old = await code_of(database, program, lin)
    first = await claim(database, graph, old, wu)
    new = await rotate(database, program, lin)
    assert new.code != old.code
    assert (await code_of(database, program, lin)).id == new.id
    await claim(database, graph, old, sun)
    async with database.read() as session:
        assert (await resolve_code(session, old.code)).status == CodeStatus.RETIRED
        assert (await session.get_one(Referral, first)).code_id == old.id
    assert await statuses(database, program) == {"ACTIVE": 1, "RETIRED": 1}


async def test_rotated_by_twenty_at_once_there_is_one_active_code_and_no_more_than_the_limit(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given a code, when twenty rotate at once on four pools, then as many as may do, and one code is active."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    await code_of(database, program, lin)
    pools = [stores.database() for _ in range(4)]

    async def one(pool: Database) -> str:
        try:
            return (await rotate(pool, program, lin)).code
        except TooManyCodes as refusal:
            return refusal.code

    try:
        told = await asyncio.gather(*(one(pools[n % 4]) for n in range(20)))
    finally:
        for pool in pools:
            await pool.close()
    made = [code for code in told if code != TooManyCodes.code]
    assert len(made) == len(set(made)) == MOST_NEW_CODES - 1
    assert await statuses(database, program) == {"ACTIVE": 1, "RETIRED": MOST_NEW_CODES - 1}
    assert len(await acts(database, program)) == MOST_NEW_CODES - 1


async def test_rotated_first_by_many_at_once_a_code_is_made(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given nobody's code, when four ask for it and four rotate at once, then one is active in the end."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    pools = [stores.database() for _ in range(4)]
    try:
        await asyncio.gather(
            *(rotate(pool, program, lin) for pool in pools), *(code_of(pool, program, lin) for pool in pools)
        )
    finally:
        for pool in pools:
            await pool.close()
    assert (await statuses(database, program))["ACTIVE"] == 1


async def test_the_limit_is_for_any_24_hours_and_for_each_owner_and_programme(
    graph: GraphClient, database: Database
) -> None:
    program, other = await make_program(database), await make_program(database)
    lin, sun = await make_people(graph, 2)
    start = utc_now()
    for minute in range(MOST_NEW_CODES):
        await rotate(database, program, lin, now=start + timedelta(minutes=minute))
    last = (await code_of(database, program, lin)).id
    tick = timedelta(microseconds=1)
    with pytest.raises(TooManyCodes):
        await rotate(database, program, lin, now=start + DAY - tick)
    assert (await code_of(database, program, lin)).id == last
    await rotate(database, program, sun, now=start + DAY - tick)
    await rotate(database, other, lin, now=start + DAY - tick)
    await rotate(database, program, lin, now=start + DAY)


async def test_revoking_is_no_way_around_the_limit(graph: GraphClient, database: Database) -> None:
    """Given an owner who revokes each new code, then on one day there are no more than by rotation."""
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    for _ in range(MOST_NEW_CODES):
        await revoke(database, (await code_of(database, program, lin)).id, principal(lin))
    with pytest.raises(TooManyCodes):
        await code_of(database, program, lin)
    assert await statuses(database, program) == {"REVOKED": MOST_NEW_CODES}


async def test_a_programme_that_does_not_run_has_no_new_codes(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    await code_of(database, program, lin)
    await by_hand(database, "UPDATE referral_program SET status = 'PAUSED' WHERE id = :id", id=program)
    with pytest.raises(ProgramNotActive):
        await rotate(database, program, lin)
    with pytest.raises(NotFound):
        await rotate(database, new_id(), lin)
    assert await statuses(database, program) == {"ACTIVE": 1}


async def test_a_revoked_code_says_so_and_what_it_brought_stays(graph: GraphClient, database: Database) -> None:
    """Given a claim, when the owner revokes the code twice, then it is refused, and one act is audited."""
    program = await make_program(database)
    lin, wu, sun = await make_people(graph, 3)
    code = await code_of(database, program, lin)
    first = await claim(database, graph, code, wu)
    for reason in (" seen on a forum ", "again"):
        assert (await revoke(database, code.id, principal(lin), reason)).status == CodeStatus.REVOKED
    with pytest.raises(CodeRevoked):
        await claim(database, graph, code, sun)
    async with database.read() as session:
        assert (await session.get_one(Referral, first)).referrer_id == lin
    fresh = await code_of(database, program, lin)
    assert fresh.id != code.id
    (entry,) = await acts(database, program)
    assert (entry.action, entry.actor, entry.subject) == ("CODE_REVOKED", lin, f"referral-code:{code.id}")
    assert entry.reason == "seen on a forum"


async def test_a_claim_by_a_code_revoked_since_can_be_asked_again(graph: GraphClient, database: Database) -> None:
    """Given a claim whose answer was lost, when the code is revoked and the claim repeated, then nothing is undone."""
    program = await make_program(database)
    lin, wu = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    first = await claim(database, graph, code, wu)
    await revoke(database, code.id, principal(lin))
    with pytest.raises(CodeRevoked):
        await claim(database, graph, code, wu)
    async with database.read() as session:
        assert (await session.get_one(Referral, first)).code_id == code.id


async def test_an_administrator_revokes_and_is_named(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    old = await code_of(database, program, lin)
    await rotate(database, program, lin)
    await revoke(database, old.id, principal(None, Role.ADMINISTRATOR))
    assert await statuses(database, program) == {"ACTIVE": 1, "REVOKED": 1}
    assert [entry.actor for entry in await acts(database, program) if entry.action == "CODE_REVOKED"] == ["somebody"]


async def test_others_codes_and_no_codes_are_the_same(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, sun = await make_people(graph, 2)
    code = await code_of(database, program, lin)
    for who in (principal(sun), principal(None), principal(sun, Role.RELATIONSHIP_MANAGER, Role.COMPLAINTS_OFFICER)):
        refusals: list[KinshipError] = []
        for code_id, reason in ((code.id, "mine now"), (new_id(), "mine now"), (code.id, ""), (new_id(), "")):
            with pytest.raises(NotFound) as refusal:
                await revoke(database, code_id, who, reason)
            refusals.append(refusal.value)
        assert len({(refusal.code, refusal.path, str(refusal)) for refusal in refusals}) == 1
    assert await statuses(database, program) == {"ACTIVE": 1}
    assert await acts(database, program) == []


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
async def test_a_reason_is_needed(graph: GraphClient, database: Database, reason: str) -> None:
    program = await make_program(database)
    (lin,) = await make_people(graph, 1)
    code = await code_of(database, program, lin)
    with pytest.raises(RevocationInvalid):
        await revoke(database, code.id, principal(lin), reason)
    assert await statuses(database, program) == {"ACTIVE": 1}


async def test_revoked_and_rotated_at_once_one_code_is_active(
    stores: Addresses, graph: GraphClient, database: Database
) -> None:
    """Given a code, when it is revoked and rotated at once, then it is revoked, and one other code is active."""
    lin, *_ = await make_people(graph, 1)
    pools = [stores.database() for _ in range(4)]
    try:
        for _ in range(5):
            program = await make_program(database)
            code = await code_of(database, program, lin)
            await asyncio.gather(
                revoke(pools[0], code.id, principal(lin)),
                rotate(pools[1], program, lin),
                revoke(pools[2], code.id, principal(None, Role.ADMINISTRATOR)),
                rotate(pools[3], program, lin),
            )
            found = await statuses(database, program)
            assert (found["ACTIVE"], found["REVOKED"], found["RETIRED"]) == (1, 1, 1)
            assert Counter(entry.action for entry in await acts(database, program)) == {
                "CODE_ROTATED": 2,
                "CODE_REVOKED": 1,
            }
    finally:
        for pool in pools:
            await pool.close()


async def test_an_owner_pages_through_the_codes_the_latest_first(graph: GraphClient, database: Database) -> None:
    program = await make_program(database)
    lin, sun = await make_people(graph, 2)
    await code_of(database, program, sun)
    now = utc_now()
    made = [(await rotate(database, program, lin, now=now + n * DAY / 3)).id for n in range(7)]
    listed: list[str] = []
    after: str | None = None
    for _ in range(4):
        async with database.read() as session:
            page = await codes_of_customer(session, program_id=program, customer_id=lin, first=2, after=after)
        listed += [row.id for row in page.rows]
        after = page.cursors[-1]
    assert listed == made[::-1]
    assert not page.has_next
