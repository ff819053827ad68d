"""Check-in by code, by name, or by a phone's list."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.community.registrations import Registration, registration_at, registration_of
from api.context import Info
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from community.checkin import CheckInOutcome, Item, ItemResult, check_in, check_in_batch
from community.checkin_codes import CodeInvalid, read_code
from community.seats import registration_key
from core.errors import BadUserInput

strawberry.enum(CheckInOutcome, name="CheckInOutcome", description="What became of one check-in of a list.")


class CheckInInvalid(BadUserInput):
    code = "CHECK_IN_INVALID"
    en = "Give either a code, or an event and a customer."
    zh = "请提供签到码，或活动与客户。"


@strawberry.input(description="Who is present: by the code that they show, or by event and customer.")
class CheckInInput:
    event_id: strawberry.ID | None = strawberry.field(
        description="Global id of the event; with a code, the code must be of this event.", default=None
    )
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the registered customer; left out with a code.", default=None
    )
    code: str | None = strawberry.field(description="What the customer's QR code says.", default=None)


@strawberry.type(description="The customer is checked in.")
class CheckInSuccess:
    registration: Registration = strawberry.field(description="The registration.")


@strawberry.input(description="One line of a phone's list: a code, or an event and a customer.")
class CheckInItemInput:
    key: str = strawberry.field(
        description="The phone's own key of this line, 1 to 100 characters: sent again, it is the same check-in."
    )
    event_id: strawberry.ID | None = strawberry.field(description="Global id of the event.", default=None)
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the registered customer; left out with a code.", default=None
    )
    code: str | None = strawberry.field(description="What the customer's QR code says.", default=None)
    checked_in_at: datetime = strawberry.field(
        description="When, by the phone's clock; a code is judged at that time, and it is kept where it can be right."
    )


@strawberry.input(description="What a phone has collected, also without a connection.")
class CheckInBatchInput:
    items: list[CheckInItemInput] = strawberry.field(description="1 to 500 check-ins, at events that you run.")


@strawberry.type(description="What became of one line.")
class CheckInItemResult:
    key: str = strawberry.field(description="The line's key.")
    outcome: CheckInOutcome = strawberry.field(description="What became of it; CHECKED_IN also for a line sent again.")
    registration_local: strawberry.Private[str | None]

    @strawberry.field(description="The registration; null where there is none that you may see.")
    async def registration(self, info: Info) -> Registration | None:
        if self.registration_local is None:
            return None
        row = await info.context.loaders.registrations.load(self.registration_local)
        return registration_of(row) if row else None


@strawberry.type(description="What became of the list.")
class CheckInBatchSuccess:
    results: list[CheckInItemResult] = strawberry.field(description="A result for each line, in their order.")


CheckInResult = Annotated[CheckInSuccess | Refusal, result_union(CheckInSuccess)]
CheckInBatchResult = Annotated[CheckInBatchSuccess | Refusal, result_union(CheckInBatchSuccess)]


def named(info: Info, input: CheckInInput) -> tuple[str, str]:
    """Event and customer of a check-in; raises CheckInInvalid, CodeInvalid, CodeExpired."""
    event_id = local_id("Event", input.event_id, "input", "eventId") if input.event_id is not None else None
    if (input.code is None) == (input.customer_id is None) or (input.code is None and event_id is None):
        raise CheckInInvalid(path=("input",))
    if input.code is None:
        return event_id or "", local_id("Customer", input.customer_id or "", "input", "customerId")
    found = read(info, input.code, info.context.now)
    if event_id not in (None, found[0]):
        raise CodeInvalid(path=("code",))
    return found


def read(info: Info, code: str, at: datetime) -> tuple[str, str]:
    return read_code(info.context.edge.settings.checkin_key.get_secret_value(), code, scanned_at=at)


def item_of(index: int, input: CheckInItemInput) -> Item:
    path = ("input", "items", str(index))
    return Item(
        key=input.key,
        scanned_at=input.checked_in_at,
        event_id=local_id("Event", input.event_id, *path, "eventId") if input.event_id is not None else None,
        customer_id=local_id("Customer", input.customer_id, *path, "customerId")
        if input.customer_id is not None
        else None,
        code=input.code,
    )


def result_of(item: Item, result: ItemResult) -> CheckInItemResult:
    known = result.outcome in (CheckInOutcome.CHECKED_IN, CheckInOutcome.ALREADY_CHECKED_IN)
    key = registration_key(result.event_id or "", result.customer_id or "") if known else None
    return CheckInItemResult(key=item.key, outcome=result.outcome, registration_local=key)


@strawberry.type
class CheckInMutations:
    @strawberry.mutation(description="Mark a registered customer as present at an event that you run.")
    @refusals
    async def check_in(self, info: Info, input: CheckInInput) -> CheckInResult:
        context = info.context
        manager_id = await context.customer_id()
        event_id, customer_id = named(info, input)
        key = await check_in(
            context.graph, event_id=event_id, customer_id=customer_id, manager_id=manager_id, now=context.now
        )
        await context.edge.enqueue("settle_attendance", key)
        await context.edge.ring(f"event:{event_id}", {"customer_id": customer_id})
        return CheckInSuccess(registration=await registration_at(info, event_id, customer_id))

    @strawberry.mutation(description="Hand in a phone's list of check-ins; it may be sent again as often as needed.")
    @refusals
    async def check_in_batch(self, info: Info, input: CheckInBatchInput) -> CheckInBatchResult:
        context = info.context
        manager_id = await context.customer_id()
        items = [item_of(index, item) for index, item in enumerate(input.items)]
        results = await check_in_batch(
            context.graph,
            items,
            read=lambda code, at: read(info, code, at),
            manager_id=manager_id,
            now=context.now,
        )
        # What each attendance owes, the sweep finds within seconds.
        for event_id in {result.event_id for result in results if result.event_id}:
            await context.edge.ring(f"event:{event_id}", {"event_id": event_id})
        pairs = zip(items, results, strict=True)
        return CheckInBatchSuccess(results=[result_of(item, result) for item, result in pairs])
