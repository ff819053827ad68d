"""Contacts of customers with the bank: those that its people log here, and those that its systems tell of."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import is_staff, present_in_care, staff
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from api.ringing import ring_told
from api.service.follow_ups import FollowUp, follow_up_of
from core.db import Session
from core.facts import OWN_SOURCE
from core.paging import Page, Place, cut, goes_back, page_size, window
from core.sealing import seal, unseal_what_opens
from customers.access import may_look_after
from customers.interactions import interactions_of, latest_contacts, told_interactions
from customers.personal import data_keys, made_data_keys
from customers.profiles import survivor_of
from customers.records import ServiceRecord
from service.follow_up_definition import InteractionKind
from service.follow_ups import follow_ups_of
from service.interaction_records import Direction
from service.interaction_records import Interaction as InteractionRow
from service.interactions import SUMMARY, NewInteraction, check_interaction, log_interaction, logged_interactions

strawberry.enum(
    InteractionKind,
    name="InteractionKind",
    description="How somebody was in contact; a BROADCAST went to many and moves no follow-up.",
)
strawberry.enum(Direction, name="InteractionDirection", description="Who began: the customer, or the bank (OUTBOUND).")


@strawberry.type(description="A contact of the customer with the bank.")
class Interaction:
    id: strawberry.ID = strawberry.field(description="Global id.")
    kind: str = strawberry.field(description="What it was, such as CALL, VISIT, COMPLAINT, or an InteractionKind.")
    channel: str = strawberry.field(description="By which channel.")
    topic: str = strawberry.field(description="What it was about; empty where it was logged here.")
    direction: Direction | None = strawberry.field(description="Who began, where it was logged here.")
    summary: str | None = strawberry.field(
        description="What was spoken, where it was logged here; null for the customer, of whom it speaks."
    )
    employee_id: str | None = strawberry.field(description="Whom the customer spoke with.")
    occurred_at: datetime = strawberry.field(description="When.")
    closed_at: datetime | None = strawberry.field(description="When it was closed; null while it is open.")
    source: str = strawberry.field(description="Which system tells it; kinship where it was logged here.")


def told_of(row: ServiceRecord) -> Interaction:
    return Interaction(
        id=global_id("Interaction", row.id),
        kind=row.kind,
        channel=row.channel,
        topic=row.topic,
        direction=None,
        summary=None,
        employee_id=row.employee_id,
        occurred_at=row.occurred_at,
        closed_at=row.closed_at,
        source=row.source,
    )


def logged_of(row: InteractionRow, summary: str | None) -> Interaction:
    return Interaction(
        id=global_id("Interaction", row.id),
        kind=row.kind,
        channel=row.channel,
        topic="",
        direction=Direction(row.direction),
        summary=summary,
        employee_id=row.employee_id,
        occurred_at=row.occurred_at,
        closed_at=row.occurred_at,
        source=OWN_SOURCE,
    )


async def interaction_page(info: Info, customer_id: str, first: int | None, after: Place) -> Connection[Interaction]:
    """Both kinds of contacts in one list, the latest first: a page has at most a page of either."""
    size, falling = page_size(first), not goes_back(after)
    async with info.context.database.read() as session:
        logged = await logged_interactions(session, customer_id, size=size, after=after)
        told = await told_interactions(session, customer_id, size=size, after=after)
        words = await summaries(session, customer_id, logged) if is_staff(info) else {}
    both = sorted([*logged, *told], key=lambda row: (row.occurred_at, row.id), reverse=falling)
    page: Page[InteractionRow | ServiceRecord] = cut(
        both[: size + 1], size, lambda row: (row.occurred_at.isoformat(), row.id), after
    )
    return connection(
        page,
        after,
        lambda row: told_of(row) if isinstance(row, ServiceRecord) else logged_of(row, words.get(row.id)),
    )


async def summaries(session: Session, customer_id: str, rows: Sequence[InteractionRow]) -> dict[str, str]:
    """The summaries of one customer's contacts, opened; without the key there are none."""
    sealed = {row.id: row.summary for row in rows if row.summary is not None}
    key = (await data_keys(session, [customer_id])).get(customer_id) if sealed else None
    if key is None:
        return {}
    opened = {id: unseal_what_opens(key, text, owner=customer_id, column=SUMMARY) for id, text in sealed.items()}
    return {id: words for id, words in opened.items() if words is not None}


async def complaint_page(info: Info, customer_id: str, first: int | None, after: Place) -> Connection[Interaction]:
    async with info.context.database.read() as session:
        page = await interactions_of(session, customer_id, complaints=True, first=first, after=after)
    return connection(page, after, told_of)


@strawberry.input(description="A contact with a customer.")
class LogInteractionInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer.")
    kind: InteractionKind = strawberry.field(description="How; a BROADCAST moves no follow-up.")
    channel: str = strawberry.field(description="By which channel, such as BRANCH, PHONE or WECHAT.")
    direction: Direction = strawberry.field(description="Who began.")
    occurred_at: datetime = strawberry.field(description="When, within the last year.")
    summary: str | None = strawberry.field(
        description="What was spoken, up to 2000 characters; it is sealed by the customer's own key.", default=None
    )
    idempotency_key: str | None = strawberry.field(
        description="A name of yours for it, by which the same one sent again is the same.", default=None
    )


@strawberry.type(description="It is logged.")
class LogInteractionSuccess:
    interaction: Interaction = strawberry.field(description="The contact.")
    follow_up: list[FollowUp] = strawberry.field(description="When the customer is to be seen next.")


LogInteractionResult = Annotated[LogInteractionSuccess | Refusal, result_union(LogInteractionSuccess)]


@strawberry.type
class InteractionQueries:
    @strawberry.field(
        description="Contacts of a customer whom you look after, logged or told by the bank's systems, newest first."
    )
    async def interactions(
        self,
        info: Info,
        customer_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the customer.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Interaction]:
        size, place = window(first, after, last, before)
        principal, context = staff(info), info.context
        async with context.database.read() as session:
            customer = await survivor_of(session, local_id("Customer", customer_id, "customerId"))
            await may_look_after(context.graph, session, principal, customer, now=context.now)
        return await interaction_page(info, customer, size, place)


@strawberry.type
class InteractionMutations:
    @strawberry.mutation(
        description="Log a contact with a customer whom you look after: the next follow-up moves, and a task for it is "
        "over, unless it was a broadcast."
    )
    @refusals
    async def log_interaction(self, info: Info, input: LogInteractionInput) -> LogInteractionResult:
        staff(info)
        context = info.context
        asked = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            customer, principal = await present_in_care(info, session, asked)
            new = NewInteraction(
                customer_id=customer,
                kind=input.kind,
                channel=input.channel,
                direction=input.direction,
                occurred_at=input.occurred_at,
                key=input.idempotency_key,
            )
            check_interaction(new, input.summary, now=context.now)
            sealed = await sealed_summary(session, customer, input.summary)
            row = await log_interaction(
                session, new, sealed_summary=sealed, actor=principal.subject, now=context.now, told=latest_contacts
            )
            words = await summaries(session, customer, [row])
            follow_ups = (await follow_ups_of(session, [customer]))[customer]
        await ring_told(info, session)
        return LogInteractionSuccess(
            interaction=logged_of(row, words.get(row.id)), follow_up=[follow_up_of(one) for one in follow_ups]
        )


async def sealed_summary(session: Session, customer_id: str, summary: str | None) -> str | None:
    """The summary under the customer's own data key, which is made where there is none."""
    if summary is None:
        return None
    key = (await made_data_keys(session, [customer_id]))[customer_id]
    return seal(key, summary.strip(), owner=customer_id, column=SUMMARY)
