"""What a person may ask of their data: to have all of it, and to have it erased."""

from datetime import datetime
from typing import Annotated, Any

import orjson
import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.identity import CustomerId
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from core.audit import record_change
from core.clock import iso
from core.db import Session, afterwards
from core.errors import Forbidden, NotFound
from core.principal import Principal
from core.traces import all_traces, rows_naming
from customers.access import deny
from customers.erasure import CustomerErasure, erase, erasure_of
from customers.export import export_node, export_profile
from customers.merging import merged_ids_of
from customers.profiles import profile, survivor_of
from loyalty.export import export_entries
from service.advice_notes import export_advice
from service.care_dates import export_care_dates
from service.complaint_export import export_complaints

FORMAT = "kinship-export-1"
BACKUPS = {
    "words_en": "Name, phone, e-mail and birth date open in no backup once the copy of the keys is overwritten. All "
    "else stands in older backups in plain text until these are destroyed.",
    "words_zh": "密钥副本被覆盖后，姓名、电话、邮箱和出生日期在任何备份中均无法读取；"
    "其余内容在旧备份销毁之前仍为明文。",
}


@strawberry.type(description="What was done in one place.")
class ErasedPlace:
    place: str = strawberry.field(description="Where, and what: a table with its column, or a part of the graph.")
    count: int = strawberry.field(description="To how many things, or of how many points.")


@strawberry.type(description="What became of an erased customer's data. It names nobody any more.")
class ErasureReport:
    customer_id: strawberry.ID = strawberry.field(description="The global id, which is nobody's by now.")
    reason: str = strawberry.field(description="Why.")
    requested_by: str = strawberry.field(description="Who asked for it.")
    requested_at: datetime = strawberry.field(description="When; what is sealed does not open since then.")
    finished_at: datetime | None = strawberry.field(
        description="When every other place was done; null for the seconds that it takes."
    )
    places: list[ErasedPlace] = strawberry.field(
        description="What was done where; what was done under an id of before a merge is counted apart, as old id 1."
    )

    @strawberry.field(description="What older backups still hold, in the language of the request.")
    def backups(self, info: Info) -> str:
        return info.context.text(BACKUPS, "words")


def report_of(row: CustomerErasure) -> ErasureReport:
    return ErasureReport(
        customer_id=global_id("Customer", row.customer_id),
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        places=[ErasedPlace(place=place, count=count) for place, count in row.places.items()],
    )


@strawberry.input(description="Whom to erase, and why.")
class EraseCustomerInput:
    customer_id: strawberry.ID = strawberry.field(description="Global id of the customer: yourself, or anybody.")
    reason: str = strawberry.field(description="Why, 1 to 500 characters, without naming the person: it is kept.")


@strawberry.type(description="What is personal is destroyed; the worker does the rest within seconds.")
class EraseCustomerSuccess:
    report: ErasureReport = strawberry.field(description="What was done at once; erasureReport has all of it.")


EraseCustomerResult = Annotated[EraseCustomerSuccess | Refusal, result_union(EraseCustomerSuccess)]


async def own_or_any(info: Info, session: Session, customer_id: str) -> Principal:
    """The customer themself or an administrator; raises Forbidden, which is audited where staff are denied."""
    principal = await info.context.principal()
    if not principal.is_administrator and principal.customer_id != customer_id:
        deny(session, principal, customer_id, now=info.context.now)
        raise Forbidden
    return principal


async def everything(info: Info, session: Session, customer_id: str) -> dict[str, Any]:
    """All that we hold of a customer, by rooms; others stand in it by their ids alone."""
    old = await merged_ids_of(session, customer_id)
    return {
        "format": FORMAT,
        "exported_at": iso(info.context.now),
        "customer_id": customer_id,
        "profile": await export_profile(session, customer_id),
        **await held_under(info, session, customer_id),
        "merged_profiles": {one: await held_under(info, session, one) for one in old},
    }


async def held_under(info: Info, session: Session, customer_id: str) -> dict[str, Any]:
    """What stands under one id; `truncated` names the places of which there is more than one answer may hold."""
    truncated: list[str] = []
    return {
        "tables": await rows_naming(session, list(all_traces()), customer_id, truncated),
        "advice": await export_advice(session, customer_id),
        "ledger": await export_entries(session, customer_id, truncated),
        "care_dates": await export_care_dates(
            session, customer_id, info.context.edge.settings.identity_hash_key.get_secret_value()
        ),
        "complaints": await export_complaints(session, customer_id, truncated),
        "graph": await export_node(info.context.graph, customer_id, truncated),
        "truncated": truncated,
    }


@strawberry.type
class PersonalDataQueries:
    @strawberry.field(
        description="Everything that we hold of a customer, in one document: for the customer and administrators; it "
        "is audited. `truncated` names the places of which it has only the first 20,000 rows."
    )
    async def export_customer(self, info: Info, customer_id: CustomerId) -> JSON:
        context = info.context
        asked = local_id("Customer", customer_id, "customerId")
        async with context.database.read() as session:
            local = await survivor_of(session, asked)
            principal = await own_or_any(info, session, local)
            if await profile(session, local) is None:
                raise NotFound(path=("customerId",))
            document = await everything(info, session, local)
            actor, now = principal.customer_id or principal.subject, context.now

            async def note(writing: Session) -> None:
                await record_change(writing, "customer", local, "exported", actor=actor, now=now)

            afterwards(session, note)
        found: Any = orjson.loads(orjson.dumps(document, default=str))
        return found

    @strawberry.field(description="What became of an erased customer's data; for administrators.")
    async def erasure_report(self, info: Info, customer_id: CustomerId) -> ErasureReport | None:
        info.context.administrator()
        async with info.context.database.read() as session:
            row = await erasure_of(session, local_id("Customer", customer_id, "customerId"))
        return report_of(row) if row else None


@strawberry.type
class PersonalDataMutations:
    @strawberry.mutation(
        description="Destroy what is personal of a customer, for good: points are forfeited, words go, and what stays "
        "is under an id that is nobody's. For the customer themself, and administrators."
    )
    @refusals
    async def erase_customer(self, info: Info, input: EraseCustomerInput) -> EraseCustomerResult:
        context = info.context
        customer_id = local_id("Customer", input.customer_id, "input", "customerId")
        async with context.database.write() as session:
            principal = await own_or_any(info, session, customer_id)
            row = await erase(
                session,
                customer_id,
                actor=principal.customer_id or principal.subject,
                reason=input.reason,
                hash_key=context.edge.settings.identity_hash_key.get_secret_value(),
                now=context.now,
            )
        return EraseCustomerSuccess(report=report_of(row))
