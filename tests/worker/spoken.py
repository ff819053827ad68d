"""What staff and others say of a customer in every place that has room for words, for tests of what is left of it."""

from sqlmodel import select

from community.reports import Resolution
from core.audit import act, record_act
from core.clock import utc_now
from core.db import Database
from core.ids import new_id
from core.notices import NoticeKind
from core.principal import Principal, Role
from customers.access import break_glass
from customers.need_definition import STANDARD_NEEDS
from customers.needs import declare_need
from customers.reviews import Cause, Found, IdentityReview, ReviewStatus, decide_review, put_review
from graph.client import GraphClient
from loyalty.adjustments import AdjustmentStatus, NewAdjustment, adjust, decide_adjustment
from loyalty.transfers import Gift, transfer
from referrals.households import declare_household
from referrals.reviews import ReviewDecision
from service.notifications import notify
from tests.community.test_reports import report, resolve
from tests.customers.insight import raise_one
from tests.loyalty.accounts import give
from tests.loyalty.redeeming import administrator, cancel, fulfil, reserve_one
from tests.referrals.programs import claim, code_of, make_people, make_program, settle, tell
from tests.referrals.suspects import CARD, review, screen_all, share

STAFF = Principal("sun", frozenset({Role.RELATIONSHIP_MANAGER}), frozenset(), 0)


async def speak_of(
    database: Database, graph: GraphClient, customer_id: str, other_id: str, post_id: str, words: str
) -> None:
    """Write these words of a customer everywhere; the other one moderates the customer's post."""
    await speak_of_points(database, customer_id, other_id, words)
    await speak_of_referrals(database, graph, customer_id, words)
    (reporter,) = await make_people(graph, 1)
    assert await report(database, graph, post_id, other_id, text=words)
    await resolve(database, graph, post_id, other_id, Resolution.DISMISS, note=words)
    await speak_to_staff(database, customer_id, reporter, words)


async def speak_of_points(database: Database, customer_id: str, other_id: str, words: str) -> None:
    now = utc_now()
    async with database.write() as session:
        new = NewAdjustment(customer_id, 5, words, new_id())
        waiting = await adjust(session, new, actor="sun", limit=0, now=now)
        await decide_adjustment(session, waiting.id, AdjustmentStatus.REJECTED, actor="li", reason=words, now=now)
    _, fulfilled = await reserve_one(database, customer_id)
    assert await fulfil(database, fulfilled, reference=words) == "FULFILLED"
    _, cancelled = await reserve_one(database, customer_id)
    assert await cancel(database, cancelled, administrator(), reason=words) == "CANCELLED"
    await give(database, other_id, 10)
    async with database.write() as session:
        await transfer(session, Gift(other_id, customer_id, 10, new_id(), note=words), zone="Asia/Shanghai", now=now)
        entry = act(
            area="points",
            actor="sun",
            action="STATEMENT_EXPORTED",
            subject=f"customer:{customer_id}",
            at=now,
            reason=words,
        )
        await record_act(session, new_id(), entry)


async def speak_of_referrals(database: Database, graph: GraphClient, customer_id: str, words: str) -> None:
    """A referral of theirs that was rejected with all that it earned, and a household."""
    program = await make_program(database)
    code = await code_of(database, program, customer_id)
    (referee,) = await make_people(graph, 1)
    await share(graph, CARD, customer_id, referee)
    await claim(database, graph, code, referee)
    await tell(database, referee, "IDENTITY_VERIFIED")
    await settle(database, referee)
    rewards = await screen_all(graph, database, program)
    await review(database, rewards[0], ReviewDecision.DENY, reason=words, fraud=True)
    async with database.write() as session:
        await declare_household(session, customer_ids=[customer_id, referee], reason=words, actor="sun", now=utc_now())


async def speak_to_staff(database: Database, customer_id: str, third_id: str, words: str) -> None:
    """A broken glass, a review, a notice; and a need and an alert with its task, which hold no words."""
    now = utc_now()
    key, found = new_id(), [Found(Cause.DOCUMENT, customer_id), Found(Cause.PHONE, third_id)]
    async with database.write() as session:
        await break_glass(session, STAFF, customer_id, reason=words, now=now)
        await put_review(session, "crm", key, 1, found, now=now)
        (held,) = (await session.exec(select(IdentityReview.id).where(IdentityReview.key == key))).all()
        apart = ReviewStatus.KEPT_APART
        await decide_review(session, held, apart, customer_id=third_id, actor="he", reason=words, now=now)
        data = {"text": words, "title": words}
        payload = {"customer_id": customer_id, "kind": NoticeKind.EVENT_MESSAGE, "data": data}
        assert await notify(session, new_id(), payload, now=now)
        await declare_need(session, customer_id, "PENSION", STANDARD_NEEDS, source="sun", actor="sun", now=now)
    assert await raise_one(database, customer_id)
