"""What is done to complaints: by the customer, by who answers for it, and by a second person where it takes one."""

from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import present_in_care
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from api.service.complaints import (
    Complaint,
    complaint_of,
    is_in_care,
    is_staff_of_complaints,
    staff_of_complaints,
)
from core.db import Session
from core.errors import Forbidden, NotFound
from core.principal import Role
from customers.profiles import known_as
from service.complaint_access import Hand, hand_of, seat_of
from service.complaint_extensions import ExtensionReason, decide_extension, extend_complaint
from service.complaint_hand_offs import accept_hand_off, decline_hand_off, hand_off
from service.complaint_records import Complaint as ComplaintRow
from service.complaint_records import ComplaintCause, ComplaintChannel, ComplaintTopic, accused_of, lock_complaint
from service.complaints import (
    NewComplaint,
    answer_complaint,
    assign_complaint,
    close_complaint,
    file_complaint,
    name_accused,
    pause_complaint,
    reopen_complaint,
    resume_complaint,
)

strawberry.enum(ExtensionReason, name="ComplaintExtensionReason", description="Why more time is needed.")


@strawberry.input(description="A complaint.")
class FileComplaintInput:
    topic: ComplaintTopic = strawberry.field(description="What it is about.")
    text: str = strawberry.field(description="What happened, 1 to 4,000 characters; kept sealed.")
    customer_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose it is, by staff who take it from them; null: one's own."
    )
    channel: ComplaintChannel = strawberry.field(default=ComplaintChannel.APP, description="By which it came.")
    product: str | None = strawberry.field(default=None, description="The code of the product that it is about.")
    community_id: strawberry.ID | None = strawberry.field(default=None, description="Of which community.")
    accused_employee_id: str | None = strawberry.field(default=None, description="Which employee it is about.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="What is sent twice with one key is filed once."
    )


@strawberry.input(description="Who is to own a complaint.")
class AssignComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    employee_id: str | None = strawberry.field(default=None, description="Which employee; null: you.")


@strawberry.input(description="Something said about a complaint.")
class AnswerComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    text: str = strawberry.field(description="1 to 4,000 characters; kept sealed.")
    internal: bool = strawberry.field(default=False, description="Whether only staff read it.")


@strawberry.input(description="Something asked of the customer.")
class PauseComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    text: str = strawberry.field(description="The question, 1 to 4,000 characters.")


@strawberry.input(description="Which complaint.")
class ComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")


@strawberry.input(description="Who is asked to take a complaint.")
class HandOffInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    employee_id: str = strawberry.field(description="Which employee.")
    text: str | None = strawberry.field(default=None, description="Why; only staff read it.")


@strawberry.input(description="A hand-off that is not taken.")
class DeclineHandOffInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    text: str | None = strawberry.field(default=None, description="Why; only staff read it.")


@strawberry.input(description="More statutory time.")
class ExtendComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    reason: ExtensionReason = strawberry.field(description="Why.")
    text: str = strawberry.field(description="Why, in words; only staff read them.")


@strawberry.input(description="A decision about more time.")
class DecideExtensionInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    granted: bool = strawberry.field(description="Whether it is granted.")


@strawberry.input(description="How a complaint ends.")
class CloseComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    cause: ComplaintCause = strawberry.field(description="The root cause.")
    text: str = strawberry.field(description="The outcome, as the customer reads it.")
    told_on: date | None = strawberry.field(
        default=None, description="The day on which the customer was told, not before it was filed; null: today."
    )


@strawberry.input(description="Why a closed complaint is opened again.")
class ReopenComplaintInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    text: str = strawberry.field(description="Why, 1 to 4,000 characters.")


@strawberry.input(description="Whom a complaint is about.")
class NameAccusedInput:
    complaint_id: strawberry.ID = strawberry.field(description="Global id of the complaint.")
    employee_id: str = strawberry.field(description="Which employee.")


@strawberry.type(description="It is done.")
class ComplaintSuccess:
    complaint: Complaint | None = strawberry.field(
        description="The complaint as it is now; null where you do not see it any more."
    )


ComplaintResult = Annotated[ComplaintSuccess | Refusal, result_union(ComplaintSuccess)]
Act = Callable[[Session, ComplaintRow, Hand], Awaitable[ComplaintRow]]


async def done(info: Info, complaint_id: str, act: Act) -> ComplaintSuccess:
    """Do something under the complaint's lock, as whoever the asking person is to it, and tell live listeners."""
    context = info.context
    principal = await context.principal()
    local = local_id("Complaint", complaint_id, "input", "complaintId")
    async with context.database.write() as session:
        row = await lock_complaint(session, local)
        accused = (await accused_of(session, [local]))[local]
        in_care = await is_in_care(info, session, principal, row)
        row = await act(session, row, hand_of(row, accused, principal, in_care=in_care))
        seat = seat_of(row, (await accused_of(session, [local]))[local], principal, in_care=in_care)
    await context.edge.ring(f"complaint:{local}", {"complaint_id": local})
    return ComplaintSuccess(complaint=None if seat is None else complaint_of(info, row, seat))


async def person_of_complaints(info: Info) -> None:
    """Raise NotSignedUp for who is neither staff nor a customer yet."""
    if not is_staff_of_complaints(info.context.signed_in()):
        await info.context.customer_id()


async def filed_for(info: Info, session: Session, customer_id: str | None) -> tuple[str, str | None]:
    """Whose complaint it is, and which employee takes it; null where customers file their own.

    Officers take those of any customer, relationship managers of their own. Raises Forbidden, NotFound.
    """
    context = info.context
    principal = await context.principal()
    is_own = customer_id is None or customer_id == principal.customer_id
    if not is_own and not is_staff_of_complaints(principal):
        raise Forbidden
    if not is_own and not principal.has(Role.COMPLAINTS_OFFICER):
        return (await present_in_care(info, session, customer_id or ""))[0], principal.subject
    # An erasure waits for the end of the transaction, so that nothing is written of somebody after it.
    known, erased = await known_as(session, customer_id or await context.customer_id())
    if erased is not False:
        raise NotFound(path=("customerId",))
    return known, None if is_own else principal.subject


@strawberry.type
class ComplaintMutations:
    @strawberry.mutation(
        description="Complain; or, for staff, take a complaint from a customer, which makes you answer for it. "
        "Customers and staff."
    )
    @refusals
    async def file_complaint(self, info: Info, input: FileComplaintInput) -> ComplaintResult:
        context = info.context
        await person_of_complaints(info)
        customer = local_id("Customer", input.customer_id, "input", "customerId") if input.customer_id else None
        community = local_id("Community", input.community_id, "input", "communityId") if input.community_id else None
        async with context.database.write() as session:
            customer_id, employee = await filed_for(info, session, customer)
            new = NewComplaint(
                customer_id=customer_id,
                topic=input.topic,
                channel=input.channel,
                words=input.text,
                product=input.product,
                community_id=community,
                accused=input.accused_employee_id,
                key=input.idempotency_key,
            )
            row = await file_complaint(session, new, employee=employee, now=context.now)
            accused = (await accused_of(session, [row.id]))[row.id]
        seat = seat_of(row, accused, await context.principal(), in_care=True)
        await context.edge.ring(f"complaint:{row.id}", {"complaint_id": row.id})
        return ComplaintSuccess(complaint=complaint_of(info, row, seat) if seat else None)

    @strawberry.mutation(
        description="Take a complaint that nobody owns, or give it to somebody, for complaints officers and "
        "administrators; relationship managers take those of their customers. Administrators also take it from its "
        "owner. Never to whom it is about."
    )
    @refusals
    async def assign_complaint(self, info: Info, input: AssignComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await assign_complaint(session, row, input.employee_id, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Answer the customer, for the owner; note something internally, for staff; or reply, for the "
        "customer, whereupon nobody waits for them any longer."
    )
    @refusals
    async def answer_complaint(self, info: Info, input: AnswerComplaintInput) -> ComplaintResult:
        await person_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            now = info.context.now
            return await answer_complaint(session, row, input.text, is_internal=input.internal, by=by, now=now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Ask the customer something and stop the internal clocks until they reply; the statutory one goes "
        "on. For the owner."
    )
    @refusals
    async def pause_complaint(self, info: Info, input: PauseComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await pause_complaint(session, row, input.text, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(description="Go on without waiting for the customer any longer. For the owner.")
    @refusals
    async def resume_complaint(self, info: Info, input: ComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await resume_complaint(session, row, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(description="Ask somebody to take a complaint; it is yours until they accept. For the owner.")
    @refusals
    async def hand_off(self, info: Info, input: HandOffInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await hand_off(session, row, input.employee_id, input.text, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(description="Own a complaint that you are asked to take.")
    @refusals
    async def accept_hand_off(self, info: Info, input: ComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await accept_hand_off(session, row, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(description="Leave a complaint that you are asked to take to its owner.")
    @refusals
    async def decline_hand_off(self, info: Info, input: DeclineHandOffInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await decline_hand_off(session, row, input.text, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Ask for the next statutory time (15, 30, 60 days), about which a second person decides. For the "
        "owner, before the present time is over."
    )
    @refusals
    async def extend_complaint(self, info: Info, input: ExtendComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            now = info.context.now
            return await extend_complaint(session, row, input.text, reason=input.reason, by=by, now=now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Grant or refuse more time; for complaints officers and administrators, but not for who asked."
    )
    @refusals
    async def decide_complaint_extension(self, info: Info, input: DecideExtensionInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await decide_extension(session, row, is_granted=input.granted, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(description="Close a complaint with its root cause; the customer is told. For the owner.")
    @refusals
    async def close_complaint(self, info: Info, input: CloseComplaintInput) -> ComplaintResult:
        staff_of_complaints(info)
        close = partial(close_complaint, cause=input.cause, told_on=input.told_on)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await close(session, row, input.text, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Open a closed complaint again; its log goes on, and its clocks begin anew. For the customer, the "
        "owner, complaints officers and administrators."
    )
    @refusals
    async def reopen_complaint(self, info: Info, input: ReopenComplaintInput) -> ComplaintResult:
        await person_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await reopen_complaint(session, row, input.text, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)

    @strawberry.mutation(
        description="Say which employee a complaint is about: they neither own nor see it from then on. For the owner, "
        "complaints officers and administrators."
    )
    @refusals
    async def name_accused_employee(self, info: Info, input: NameAccusedInput) -> ComplaintResult:
        staff_of_complaints(info)

        async def act(session: Session, row: ComplaintRow, by: Hand) -> ComplaintRow:
            return await name_accused(session, row, input.employee_id, by=by, now=info.context.now)

        return await done(info, input.complaint_id, act)
