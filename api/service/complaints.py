"""Complaints as those see them who may: the customer, who handles them, and, almost not at all, whom they are about."""

from collections.abc import AsyncGenerator
from datetime import date, datetime
from typing import Annotated

import strawberry

from api.community.communities import Community, load_community
from api.context import Info
from api.customers.looked_after import own_customers
from api.customers.profiles import Customer, load_customer
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id, local_id
from core.db import Session
from core.errors import Forbidden, NotFound
from core.paging import Place, window
from core.principal import Principal, Role
from customers.access import access_of
from service.complaint_access import STAFF, Seat, seat_of
from service.complaint_clocks import Clock, EntryKind, Stage
from service.complaint_lists import ComplaintOwnership, Reach, list_complaints
from service.complaint_records import (
    Complaint as ComplaintRow,
)
from service.complaint_records import (
    ComplaintCause,
    ComplaintChannel,
    ComplaintStatus,
    ComplaintTopic,
    find_complaint,
)
from service.complaint_records import (
    ComplaintEntry as EntryRow,
)
from service.complaint_records import (
    ComplaintMark as MarkRow,
)
from service.complaint_words import CAUSES, ENTRIES, TOLD_TO_CUSTOMER, TOPICS, worded

strawberry.enum(ComplaintStatus, name="ComplaintStatus", description="A CLOSED complaint can be opened again.")
strawberry.enum(ComplaintTopic, name="ComplaintTopic", description="What a complaint is about.")
strawberry.enum(ComplaintChannel, name="ComplaintChannel", description="By which a complaint came.")
strawberry.enum(ComplaintCause, name="ComplaintCause", description="The root cause of a complaint.")
strawberry.enum(ComplaintOwnership, name="ComplaintOwnership", description="Whose complaints.")
strawberry.enum(EntryKind, name="ComplaintEntryKind", description="What happened to a complaint.")
strawberry.enum(Clock, name="ComplaintClock", description="What is promised to who complains.")
strawberry.enum(Stage, name="ComplaintMarkStage", description="A warning comes before the breach.")
strawberry.enum(
    Seat, name="ComplaintSeat", description="As what you see a complaint; ACCUSED sees neither whose it is nor words."
)
# Who sees how a complaint is handled.
INSIDE = (Seat.OWNER, Seat.CANDIDATE, Seat.OFFICER, Seat.MANAGER)


@strawberry.type(description="Something that happened to a complaint; nothing in its log is ever changed.")
class ComplaintEntry:
    number: int = strawberry.field(description="Its place in the log.")
    kind: EntryKind = strawberry.field(description="What happened.")
    title: str = strawberry.field(description="The same in the language of the request.")
    at: datetime = strawberry.field(description="When.")
    text: str | None = strawberry.field(description="What was said; null for nothing, or after an erasure.")
    employee: str | None = strawberry.field(description="Which employee did it; null for the customer, and to them.")
    about: str | None = strawberry.field(description="Which employee it was about, such as the one of a hand-off.")
    reason: str | None = strawberry.field(description="The code of a reason, of an extension that was asked for.")


@strawberry.type(description="A deadline that was warned of or breached, once for each time that its clock ran.")
class ComplaintMark:
    clock: Clock = strawberry.field(description="Which clock.")
    stage: Stage = strawberry.field(description="Warned of, or breached.")
    due_at: datetime = strawberry.field(description="When it was to be noticed.")
    marked_at: datetime = strawberry.field(description="When it was.")
    is_late: bool = strawberry.field(description="Whether it was noticed late.")
    is_over: bool = strawberry.field(description="Whether what was missed has been done since.")


@strawberry.type(description="Until when what is to be done; null for what is done, or while the clock stands still.")
class ComplaintDeadlines:
    first_response: datetime | None = strawberry.field(description="The first answer that the customer can see.")
    first_responded_at: datetime | None = strawberry.field(description="When there was one.")
    next_update: datetime | None = strawberry.field(description="The next one.")
    solution: datetime | None = strawberry.field(description="The solution, as is promised.")
    statutory: datetime | None = strawberry.field(description="The solution, as the law demands.")
    is_provisional: bool = strawberry.field(
        description="Whether one lies among days of which it is not known yet whether they are worked."
    )


@strawberry.type(description="What is promised to who complains.")
class ComplaintLevel:
    key: str = strawberry.field(description="Its key in the policy.")
    name: str = strawberry.field(description="Its name in the language of the request.")
    is_green_channel: bool = strawberry.field(description="Whether it is the green channel.")
    priority: int = strawberry.field(description="1 is served first.")


@strawberry.type(description="A complaint. Fields that you may not see are null, and lists empty.")
class Complaint(Node):
    reference: str = strawberry.field(description="What to say on the phone.")
    viewer_is: Seat = strawberry.field(description="As what you see it.")
    topic: ComplaintTopic = strawberry.field(description="What it is about.")
    topic_text: str = strawberry.field(description="The same in the language of the request.")
    channel: ComplaintChannel = strawberry.field(description="By which it came.")
    status: ComplaintStatus = strawberry.field(description="Whether it is open.")
    filed_at: datetime = strawberry.field(description="Since when.")
    closed_at: datetime | None = strawberry.field(description="When it was closed; null while it is open.")
    row: strawberry.Private[ComplaintRow]

    def is_inside(self) -> bool:
        return self.viewer_is in INSIDE

    @strawberry.field(description="Who complains.")
    async def customer(self, info: Info) -> Customer | None:
        return None if self.viewer_is == Seat.ACCUSED else await load_customer(info, self.row.customer_id)

    @strawberry.field(description="Of which community; null for none, and where you may not see it.")
    async def community(self, info: Info) -> Community | None:
        if self.row.community_id is None or self.viewer_is == Seat.ACCUSED:
            return None
        return await load_community(info, self.row.community_id)

    @strawberry.field(description="The code of the product that it is about.")
    def product(self) -> str | None:
        return None if self.viewer_is == Seat.ACCUSED else self.row.product

    @strawberry.field(description="What happened, in its order; the customer is shown what is for them.")
    async def entries(self, info: Info) -> list[ComplaintEntry]:
        if self.viewer_is == Seat.ACCUSED:
            return []
        log = await info.context.complaints.logs.load(self.row.id)
        return [
            entry_of(row, words, info.context.language, inside=self.is_inside())
            for row, words in log
            if self.is_inside() or row.kind in TOLD_TO_CUSTOMER
        ]

    @strawberry.field(description="Deadlines; the customer is shown the statutory one.")
    def deadlines(self) -> ComplaintDeadlines | None:
        row, inside = self.row, self.is_inside()
        if self.viewer_is == Seat.ACCUSED:
            return None
        return ComplaintDeadlines(
            first_response=row.first_response_due if inside else None,
            first_responded_at=row.first_response_at,
            next_update=row.update_due if inside else None,
            solution=row.solution_due if inside else None,
            statutory=row.statutory_due,
            is_provisional=row.is_provisional,
        )

    @strawberry.field(description="What is promised to the customer; for staff.")
    async def level(self, info: Info) -> ComplaintLevel | None:
        if not self.is_inside():
            return None
        found = (await info.context.complaints.policies.load(self.row.policy_id)).level(self.row.level)
        return ComplaintLevel(
            key=found.key,
            name=info.context.text(found, "name"),
            is_green_channel=found.green_channel,
            priority=found.priority,
        )

    @strawberry.field(description="The employee who answers for it; null while nobody does. For staff.")
    def owner(self) -> str | None:
        return self.row.owner if self.is_inside() else None

    @strawberry.field(description="Who is asked to take it; for staff.")
    def hand_off_to(self) -> str | None:
        return self.row.hand_off_to if self.is_inside() else None

    @strawberry.field(description="Who has asked for more time, about which a second person decides; for staff.")
    def extension_asked_by(self) -> str | None:
        return self.row.extension_asked_by if self.is_inside() else None

    @strawberry.field(description="How many times the statutory time was extended.")
    def extensions(self) -> int | None:
        return None if self.viewer_is == Seat.ACCUSED else self.row.extensions

    @strawberry.field(description="Whom it is about; for staff.")
    async def accused_employees(self, info: Info) -> list[str]:
        if not self.is_inside():
            return []
        return sorted(await info.context.complaints.accused.load(self.row.id))

    @strawberry.field(description="What was warned of and breached, in the order in which it was due; for staff.")
    async def marks(self, info: Info) -> list[ComplaintMark]:
        if not self.is_inside():
            return []
        return [mark_of(row) for row in await info.context.complaints.marks.load(self.row.id)]

    @strawberry.field(description="Whether a deadline was ever breached; for staff.")
    def is_breached(self) -> bool | None:
        return self.row.is_breached if self.is_inside() else None

    @strawberry.field(description="The root cause, of a closed one; for staff.")
    def cause(self) -> ComplaintCause | None:
        return ComplaintCause(self.row.cause) if self.row.cause and self.is_inside() else None

    @strawberry.field(description="The root cause in the language of the request; for staff.")
    def cause_text(self, info: Info) -> str | None:
        if not self.row.cause or not self.is_inside():
            return None
        return worded(CAUSES[ComplaintCause(self.row.cause)], info.context.language)

    @strawberry.field(description="The day on which the customer was told of the outcome.")
    def told_on(self) -> date | None:
        return None if self.viewer_is == Seat.ACCUSED else self.row.told_on


def complaint_of(info: Info, row: ComplaintRow, seat: Seat) -> Complaint:
    topic = ComplaintTopic(row.topic)
    return Complaint(
        id=global_id("Complaint", row.id),
        reference=row.reference,
        viewer_is=seat,
        topic=topic,
        topic_text=worded(TOPICS[topic], info.context.language),
        channel=ComplaintChannel(row.channel),
        status=ComplaintStatus(row.status),
        filed_at=row.filed_at,
        closed_at=row.closed_at,
        row=row,
    )


def entry_of(row: EntryRow, words: str | None, language: str, *, inside: bool) -> ComplaintEntry:
    kind = EntryKind(row.kind)
    return ComplaintEntry(
        number=row.number,
        kind=kind,
        title=worded(ENTRIES[kind], language),
        at=row.at,
        text=words,
        employee=row.employee if inside else None,
        about=row.details.get("employee") if inside else None,
        reason=row.details.get("reason") if inside else None,
    )


def mark_of(row: MarkRow) -> ComplaintMark:
    return ComplaintMark(
        clock=Clock(row.clock),
        stage=Stage(row.stage),
        due_at=row.due_at,
        marked_at=row.marked_at,
        is_late=row.is_late,
        is_over=row.is_over,
    )


def is_staff_of_complaints(principal: Principal) -> bool:
    return principal.has(*STAFF)


def staff_of_complaints(info: Info) -> Principal:
    """The asking employee, of whatever role that has to do with complaints; raises Forbidden for anybody else."""
    principal = info.context.signed_in()
    if not is_staff_of_complaints(principal):
        raise Forbidden
    return principal


async def is_in_care(info: Info, session: Session, principal: Principal, row: ComplaintRow) -> bool:
    """Whether the employee looks after who complains, where that is what makes them see it."""
    if not principal.has(Role.RELATIONSHIP_MANAGER) or principal.has(Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR):
        return False
    context = info.context
    return await access_of(context.graph, session, principal, row.customer_id, now=context.now) is not None


async def load_complaint(info: Info, local: str) -> Complaint | None:
    """A complaint as the asking person sees it; None where they do not."""
    principal = await info.context.principal()
    async with info.context.database.read() as session:
        row = await find_complaint(session, local)
        if row is None:
            return None
        in_care = await is_in_care(info, session, principal, row)
    accused = await info.context.complaints.accused.load(local)
    seat = seat_of(row, accused, principal, in_care=in_care)
    return None if seat is None else complaint_of(info, row, seat)


async def complaint_of_mark(info: Info, mark_id: str) -> Complaint | None:
    """The complaint that a task is about, as whose task it is sees it; many are read by few questions."""
    loaders, principal = info.context.complaints, await info.context.principal()
    complaint_id = await loaders.of_marks.load(mark_id)
    row = await loaders.rows.load(complaint_id) if complaint_id else None
    if row is None:
        return None
    seat = seat_of(row, await loaders.accused.load(row.id), principal, in_care=False)
    return None if seat is None else complaint_of(info, row, seat)


async def complaint_page(
    info: Info,
    *,
    customer: str | None,
    status: ComplaintStatus | None,
    ownership: ComplaintOwnership | None,
    first: int | None,
    after: Place,
) -> Connection[Complaint]:
    """Complaints within the reach of the asking person; a list holds none that is about them."""
    context = info.context
    principal = await context.principal()
    if not is_staff_of_complaints(principal):
        me = await context.customer_id()
        if customer not in (None, me):
            raise NotFound(path=("customerId",))
        reach = Reach([me])
    else:
        reach = await reach_of_staff(info, principal, customer)
    async with context.database.read() as session:
        page = await list_complaints(
            session, reach, customer_id=customer, status=status, ownership=ownership, first=first, after=after
        )

    def seen(row: ComplaintRow) -> Complaint | None:
        seat = seat_of(row, (), principal, in_care=True)
        return None if seat is None else complaint_of(info, row, seat)

    return connection(page, after, seen)


async def reach_of_staff(info: Info, principal: Principal, customer: str | None) -> Reach:
    """All for officers and administrators; of a manager's own customers, and what they own or are asked to take."""
    if principal.has(Role.COMPLAINTS_OFFICER, Role.ADMINISTRATOR):
        return Reach(None, principal.subject)
    if customer is None:
        return Reach(await own_customers(info), principal.subject)
    context = info.context
    async with context.database.read() as session:
        access = await access_of(context.graph, session, principal, customer, now=context.now)
    if access is None:
        raise NotFound(path=("customerId",))
    return Reach([customer], principal.subject)


async def complaint_changes(info: Info, complaint_id: str, after: str | None) -> AsyncGenerator[Complaint, None]:
    """The complaint as it is whenever it changes, for whoever sees it, until they do not any more."""
    context = info.context
    async with context.edge.listen(f"complaint:{complaint_id}", after) as listener:
        if await load_complaint(info, complaint_id) is None:
            raise NotFound(path=("complaintId",))
        while True:
            heard = await context.hear(listener)
            await context.begin_message()
            found = await load_complaint(info, complaint_id)
            if found is None:
                return
            context.cursor = listener.cursor(heard[-1])
            yield found


@strawberry.type(description="Complaints of a customer.")
class ComplaintsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="Complaints that are handled here, but for those that are about you.")
    async def complaint_cases(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Complaint]:
        size, place = window(first, after, last, before)
        return await complaint_page(info, customer=self.local, status=None, ownership=None, first=size, after=place)


@strawberry.type
class ComplaintQueries:
    @strawberry.field(
        description="Complaints in the order in which they are served: one's own for customers; for relationship "
        "managers those of their customers, and what is theirs to handle; all for complaints officers and "
        "administrators. Never those that are about who asks."
    )
    async def complaints(
        self,
        info: Info,
        status: Annotated[ComplaintStatus | None, strawberry.argument(description="Only these; null: all.")] = None,
        ownership: Annotated[
            ComplaintOwnership | None, strawberry.argument(description="Only these; null: whosesoever.")
        ] = None,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this customer; null: of all.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Complaint]:
        size, place = window(first, after, last, before)
        customer = local_id("Customer", customer_id, "customerId") if customer_id else None
        return await complaint_page(
            info, customer=customer, status=status, ownership=ownership, first=size, after=place
        )

    @strawberry.field(description="A complaint, as far as you may see it; null where you may not see it at all.")
    async def complaint(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the complaint.")]
    ) -> Complaint | None:
        info.context.signed_in()
        return await load_complaint(info, local_id("Complaint", id, "id"))
