"""Claiming: a new customer names who brought them, by a code or by the links that they followed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from core.db import Session, rows_by_id
from core.facts import facts_of
from core.ids import is_id
from graph.client import GraphClient
from referrals.attribution import (
    AlreadyQualified,
    ExistingCustomer,
    Person,
    Referral,
    attribution_start,
    check_claim,
    is_open,
    record_referral,
    refer,
    referral_edge,
    referral_id,
)
from referrals.codes import CodeStatus, CodeUnknown, ReferralCode, resolve_code
from referrals.definition import Attribution, ProgramDefinition
from referrals.links import ReferralClick
from referrals.programs import definition_of, running_program
from referrals.qualification import qualify

FindPerson = Callable[[str], Awaitable[Person | None]]


async def claim_referral(
    session: Session,
    graph: GraphClient,
    *,
    typed_code: str,
    click_ids: Sequence[str],
    referee: Person,
    find_person: FindPerson,
    now: datetime,
) -> str:
    """Attribute the referee to a referrer; returns the referral's id, the same when claimed again.

    Raises CodeUnknown, CodeRevoked, ProgramNotActive, SelfReferral, ExistingCustomer,
    AlreadyQualified, AlreadyReferred or ReferralCycle; then nothing has changed.
    """
    code = await resolve_code(session, typed_code)
    program = await running_program(session, code.program_id, now=now)
    version = program.active_version or 1
    definition = await definition_of(session, program.id, version)
    code, click = await choose_touch(session, code, click_ids, definition, now)
    referrer = await find_person(code.customer_id)
    if referrer is None:
        raise CodeUnknown(path=("code",))
    known = await session.get(Referral, referral_id(program.id, referee.customer_id))
    if known is not None and known.referrer_id == referrer.customer_id:
        # A client that lost the first answer asks again, perhaps when everything is earned.
        return known.id
    start = attribution_start(definition, click, now)
    check_claim(referrer=referrer, referee=referee, attributed_from=start)
    await check_facts(session, definition, referee, start, is_late=click is None)
    click_id = click.id if click else None
    await refer(
        graph,
        code=code,
        version=version,
        referee_id=referee.customer_id,
        click_id=click_id,
        attributed_from=start,
        now=now,
    )
    return await record_referral(session, await referral_edge(graph, program.id, referee.customer_id), now=now)


async def choose_touch(
    session: Session, code: ReferralCode, click_ids: Sequence[str], definition: ProgramDefinition, now: datetime
) -> tuple[ReferralCode, ReferralClick | None]:
    """The code and click that count: of the programme's clicks within their windows, the first or the last.

    A link whose code has been revoked since counts as little as the code itself.
    """
    clicks = [
        click
        for click in (await rows_by_id(session, ReferralClick, [key for key in click_ids if is_id(key)])).values()
        if not click.is_robot and is_open(definition, click.clicked_at, now)
    ]
    codes = await rows_by_id(session, ReferralCode, [click.code_id for click in clicks])
    touches = [click for click in clicks if may_count(codes[click.code_id], code.program_id)]
    if not touches:
        return code, None
    choose = min if definition.attribution == Attribution.FIRST_TOUCH else max
    touch = choose(touches, key=lambda click: (click.clicked_at, click.id))
    return codes[touch.code_id], touch


def may_count(code: ReferralCode, program_id: str) -> bool:
    return code.program_id == program_id and code.status != CodeStatus.REVOKED


async def check_facts(
    session: Session, definition: ProgramDefinition, referee: Person, start: datetime, *, is_late: bool
) -> None:
    """Refuse who was a customer before, and a late claim after everything that it could earn."""
    facts = await facts_of(session, referee.customer_id)
    outcome = qualify(definition, facts, attributed_from=start, customer_since=referee.customer_since)
    if outcome.is_existing_customer:
        raise ExistingCustomer
    if is_late and outcome.is_complete:
        raise AlreadyQualified
