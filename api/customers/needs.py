"""Needs of customers: what they say, what rules think, why, and what became of it."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from api.context import Info
from api.customers.insight import customers_in_care
from api.customers.looked_after import in_care, is_staff, staff
from api.customers.profiles import Customer, load_customer
from api.refusals import Refusal, refusals, result_union
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.errors import NotFound
from core.paging import Place, window
from customers.need_looks import need_definition_in_use
from customers.need_words import need_why, value_words
from customers.needs import (
    DECLARED,
    NeedFilter,
    NeedOrigin,
    NeedReason,
    NeedStatus,
    confirm_need,
    declare_need,
    dismiss_need,
    find_need,
    is_told,
    list_needs,
    meet_need,
    need_kinds,
    put_need_kind,
)
from customers.needs import Need as NeedRow
from customers.needs import NeedKind as NeedKindRow

strawberry.enum(NeedOrigin, name="NeedOrigin", description="EXPLICIT: somebody said so. IMPLICIT: a rule thinks so.")
strawberry.enum(
    NeedStatus, name="NeedStatus", description="SUSPECTED and CONFIRMED are open until they expire; others are final."
)
strawberry.enum(NeedReason, name="NeedReason", description="Why a need was dismissed.")

OfStatus = Annotated[NeedStatus | None, strawberry.argument(description="Only these; null: all of them.")]


@strawberry.type(description="A need that customers can have.")
class NeedKind:
    key: str = strawberry.field(description="Stable name.")
    name: str = strawberry.field(description="Name in the language of the request.")
    tag_key: str | None = strawberry.field(description="The tag of the family NEED that says so of a customer.")


def kind_of(row: NeedKindRow, info: Info) -> NeedKind:
    return NeedKind(key=row.key, name=info.context.text(row, "name"), tag_key=row.tag_key)


@strawberry.type(description="A value by which a rule saw a need, as it was then.")
class NeedEvidence:
    key: str = strawberry.field(description="What it is of, such as `trait:child_born` or `tag:retiree`.")
    name: str = strawberry.field(description="The same in words.")
    value: str = strawberry.field(description="The value in words; of a tag, how sure it was.")
    source: str = strawberry.field(description="Who told it.")
    observed_at: datetime = strawberry.field(description="As of when.")


@strawberry.type(description="A need of a customer.")
class Need(Node):
    origin: NeedOrigin = strawberry.field(description="Who thinks so.")
    status: NeedStatus = strawberry.field(description="What became of it; EXPIRED from its date on.")
    confidence: float = strawberry.field(description="How sure it is, 0 to 1.")
    rule: str | None = strawberry.field(description="The rule of the policy that saw it; null where none did.")
    raised_at: datetime = strawberry.field(description="Since when it is known.")
    expires_at: datetime = strawberry.field(description="Until when it is open, where nobody decides before.")
    source: str | None = strawberry.field(description="Who told of it; null for the customer, where it was staff.")
    decided_by: str | None = strawberry.field(description="Who decided; for staff.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    reason: NeedReason | None = strawberry.field(description="Why it was dismissed.")
    row: strawberry.Private[NeedRow]

    @strawberry.field(description="Whose.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.row.customer_id)

    @strawberry.field(description="For what.")
    async def kind(self, info: Info) -> NeedKind:
        return kind_of(await info.context.insight.need_kinds.load(self.row.kind), info)

    @strawberry.field(description="Why the system thinks so, in the language of the request.")
    async def why(self, info: Info) -> str:
        insight = info.context.insight
        policy = await insight.policies.load(self.row.policy_id) if self.row.policy_id else None
        known = await insight.vocabulary() if policy else None
        return need_why(self.row, policy, known, info.context.language)

    @strawberry.field(description="The values by which the rule saw it; empty where none did.")
    async def evidence(self, info: Info) -> list[NeedEvidence]:
        if not self.row.evidence:
            return []
        known, language = await info.context.insight.vocabulary(), info.context.language
        return [
            evidence_of(key, value_words(key, one["value"], known, language), one)
            for key, values in self.row.evidence.items()
            for one in values
        ]


def evidence_of(key: str, words: tuple[str, str], one: dict[str, Any]) -> NeedEvidence:
    name, value = words
    return NeedEvidence(
        key=key, name=name, value=value, source=one["source"], observed_at=datetime.fromisoformat(one["at"])
    )


def need_of(row: NeedRow, info: Info) -> Need:
    for_staff = is_staff(info)
    return Need(
        id=global_id("Need", row.id),
        origin=NeedOrigin(row.origin),
        status=row.status_at(info.context.now),
        confidence=row.confidence_percent / 100,
        rule=row.rule,
        raised_at=row.raised_at,
        expires_at=row.expires_at,
        source=row.source if for_staff or row.source == DECLARED else None,
        decided_by=row.decided_by if for_staff else None,
        decided_at=row.decided_at,
        reason=NeedReason(row.reason) if row.reason else None,
        row=row,
    )


async def need_page(info: Info, wanted: NeedFilter, first: int | None, after: Place) -> Connection[Need]:
    async with info.context.database.read() as session:
        page = await list_needs(session, wanted, now=info.context.now, first=first, after=after)
    return connection(page, after, lambda row: need_of(row, info))


async def viewer_needs(info: Info, status: NeedStatus | None, first: int | None, after: Place) -> Connection[Need]:
    """What the asking customer has told of, or confirmed: what rules think is a guess that they have not seen."""
    own = [customer_id] if (customer_id := await info.context.viewer_id()) else []
    return await need_page(info, NeedFilter(own, status, told=True), first, after)


@strawberry.type(description="The needs of a customer.")
class NeedsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(
        description="Needs, the latest first; for customers those that they told of or confirmed, without guesses."
    )
    async def needs(
        self,
        info: Info,
        status: OfStatus = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Need]:
        return await need_page(
            info, NeedFilter([self.local], status, told=not is_staff(info)), *window(first, after, last, before)
        )


@strawberry.input(description="What a customer needs.")
class DeclareNeedInput:
    kind: str = strawberry.field(description="Key of the kind of need.")
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer, for staff; null: yourself.", default=None
    )


@strawberry.input(description="Which need.")
class NeedInput:
    need_id: strawberry.ID = strawberry.field(description="Global id of the need.")


@strawberry.input(description="Which need is none, and why.")
class DismissNeedInput:
    need_id: strawberry.ID = strawberry.field(description="Global id of the need.")
    reason: NeedReason = strawberry.field(description="Why; kept in the audit trail.")


@strawberry.input(description="A need that customers can have.")
class PutNeedKindInput:
    key: str = strawberry.field(description="Stable name: capital letters, digits and _.")
    name_zh: str = strawberry.field(description="Name in Chinese.")
    name_en: str = strawberry.field(description="Name in English.")
    tag_key: str | None = strawberry.field(description="The tag that says so of a customer; null: none.", default=None)


@strawberry.type(description="It is noted.")
class DeclareNeedSuccess:
    need: Need = strawberry.field(description="The need; one that was open already is confirmed by it.")


@strawberry.type(description="It is one.")
class ConfirmNeedSuccess:
    need: Need = strawberry.field(description="The need.")


@strawberry.type(description="It is none; no rule raises it again for a while.")
class DismissNeedSuccess:
    need: Need = strawberry.field(description="The need.")


@strawberry.type(description="The customer has by now what they needed.")
class MeetNeedSuccess:
    need: Need = strawberry.field(description="The need.")


@strawberry.type(description="Customers can have it from now on.")
class PutNeedKindSuccess:
    kind: NeedKind = strawberry.field(description="The need that customers can have.")


DeclareNeedResult = Annotated[DeclareNeedSuccess | Refusal, result_union(DeclareNeedSuccess)]
ConfirmNeedResult = Annotated[ConfirmNeedSuccess | Refusal, result_union(ConfirmNeedSuccess)]
DismissNeedResult = Annotated[DismissNeedSuccess | Refusal, result_union(DismissNeedSuccess)]
MeetNeedResult = Annotated[MeetNeedSuccess | Refusal, result_union(MeetNeedSuccess)]
PutNeedKindResult = Annotated[PutNeedKindSuccess | Refusal, result_union(PutNeedKindSuccess)]


async def need_in_care(info: Info, session: Session, need_id: str) -> NeedRow:
    """A need of a customer whom the asking person looks after; raises NotFound for all others."""
    row = await find_need(session, need_id)
    await in_care(info, session, row.customer_id, "needId")
    return row


async def own_need(info: Info, session: Session, need_id: str, customer_id: str) -> None:
    """Raise NotFound but for a need that the asking customer has told of or confirmed."""
    row = await find_need(session, need_id)
    if row.customer_id != customer_id or not is_told(row, info.context.now):
        raise NotFound(path=("needId",))


async def declaring_for(info: Info, session: Session, input: DeclareNeedInput) -> tuple[str, str]:
    """For whom a need is declared, and who tells of it; raises NotSignedUp, NotFound."""
    given = local_id("Customer", input.customer_id, "input", "customerId") if input.customer_id else None
    if given is not None and is_staff(info):
        await in_care(info, session, given, "customerId")
        return given, info.context.signed_in().subject
    customer_id = await info.context.customer_id()
    if given not in (None, customer_id):
        raise NotFound(path=("customerId",))
    return customer_id, DECLARED


@strawberry.type
class NeedQueries:
    @strawberry.field(description="The needs that customers can have, by their keys.")
    async def need_kinds(self, info: Info) -> list[NeedKind]:
        info.context.signed_in()
        async with info.context.database.read() as session:
            return [kind_of(row, info) for row in (await need_kinds(session)).values()]

    @strawberry.field(
        description="Needs, the latest first: of their own customers for relationship managers, of all for "
        "administrators."
    )
    async def needs(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this customer; null: all.")
        ] = None,
        status: OfStatus = None,
        kind: Annotated[str | None, strawberry.argument(description="Only of this kind; null: all.")] = None,
        origin: Annotated[NeedOrigin | None, strawberry.argument(description="Only these; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Need]:
        staff(info)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        async with info.context.database.read() as session:
            ids = await customers_in_care(info, session, customer)
        return await need_page(info, NeedFilter(ids, status, kind, origin), *window(first, after, last, before))


@strawberry.type
class NeedMutations:
    @strawberry.mutation(
        description="Note what a customer needs: your own need, or for staff that of a customer whom they look after. "
        "What a rule thought already is confirmed by it."
    )
    @refusals
    async def declare_need(self, info: Info, input: DeclareNeedInput) -> DeclareNeedResult:
        context = info.context
        async with context.database.write() as session:
            customer_id, source = await declaring_for(info, session, input)
            row = await declare_need(
                session,
                customer_id,
                input.kind,
                await need_definition_in_use(session),
                source=source,
                actor=customer_id if source == DECLARED else source,
                now=context.now,
            )
        return DeclareNeedSuccess(need=need_of(row, info))

    @strawberry.mutation(description="Say that a suspected need is one; for who looks after the customer.")
    @refusals
    async def confirm_need(self, info: Info, input: NeedInput) -> ConfirmNeedResult:
        actor = staff(info).subject
        need_id = local_id("Need", input.need_id, "input", "needId")
        async with info.context.database.write() as session:
            await need_in_care(info, session, need_id)
            row = await confirm_need(session, need_id, actor=actor, now=info.context.now)
        return ConfirmNeedSuccess(need=need_of(row, info))

    @strawberry.mutation(
        description="Say that a need is none: no rule raises it again for a while. For who looks after the customer, "
        "and for customers of what they told of themselves."
    )
    @refusals
    async def dismiss_need(self, info: Info, input: DismissNeedInput) -> DismissNeedResult:
        context = info.context
        own = None if is_staff(info) else await context.customer_id()
        need_id = local_id("Need", input.need_id, "input", "needId")
        async with context.database.write() as session:
            if own is None:
                await need_in_care(info, session, need_id)
            else:
                await own_need(info, session, need_id, own)
            definition, actor = await need_definition_in_use(session), own or context.signed_in().subject
            row = await dismiss_need(session, need_id, definition, reason=input.reason, actor=actor, now=context.now)
        return DismissNeedSuccess(need=need_of(row, info))

    @strawberry.mutation(description="Say that the customer has it by now; for who looks after the customer.")
    @refusals
    async def meet_need(self, info: Info, input: NeedInput) -> MeetNeedResult:
        actor = staff(info).subject
        need_id = local_id("Need", input.need_id, "input", "needId")
        async with info.context.database.write() as session:
            await need_in_care(info, session, need_id)
            definition = await need_definition_in_use(session)
            row = await meet_need(session, need_id, definition, actor=actor, now=info.context.now)
        return MeetNeedSuccess(need=need_of(row, info))

    @strawberry.mutation(description="Add a need that customers can have, or change its words; for administrators.")
    @refusals
    async def put_need_kind(self, info: Info, input: PutNeedKindInput) -> PutNeedKindResult:
        actor = info.context.administrator().subject
        async with info.context.database.write() as session:
            row = await put_need_kind(
                session,
                key=input.key,
                name_zh=input.name_zh,
                name_en=input.name_en,
                tag_key=input.tag_key,
                actor=actor,
                now=info.context.now,
            )
        return PutNeedKindSuccess(kind=kind_of(row, info))
