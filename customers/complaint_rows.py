"""The rows of complaints: each is a contact of its kind, and what happened becomes facts that others go by."""

from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, model_validator
from pydantic import Field as Setting

from core.fact_kinds import COMPLAINT_CLOSED, COMPLAINT_FILED
from core.facts import NewFact, record_facts
from core.importing import Batch, ImportKind, ImportRow, Rejection
from customers.record_rows import Code, Key, ServiceRecordRow, owe_looks_at, service_record_of, write_newest
from customers.records import COMPLAINT, ServiceRecord


class ComplaintRow(ImportRow):
    """A complaint, told when it is filed and again when it is closed."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key
    key: Annotated[str, Setting(min_length=1, max_length=180)]
    channel: Code
    topic: Code
    employee: Code | None = None
    occurred_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    observed_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def is_a_contact(self) -> "ComplaintRow":
        self.as_contact()
        return self

    def as_contact(self) -> ServiceRecordRow:
        return ServiceRecordRow(service_kind=COMPLAINT, **self.model_dump())


async def write_complaints(batch: Batch[ComplaintRow]) -> list[Rejection]:
    """Write the contacts and record what happened, each once."""

    def make(batch: Batch[ComplaintRow], row: ComplaintRow) -> dict[str, Any]:
        return service_record_of(batch, row.as_contact())

    rejected = await write_newest(batch, ServiceRecord, make, "id")
    lines = {one.line for one in rejected}
    rows = [item.row for item in batch.rows if item.line not in lines]
    facts = [fact for row in rows for fact in facts_of(batch, row)]
    await record_facts(batch.session, facts, now=batch.now, hint=False)
    await owe_looks_at(batch, rejected)
    return rejected


def facts_of(batch: Batch[ComplaintRow], row: ComplaintRow) -> list[NewFact]:
    moments = [(COMPLAINT_FILED, "filed", row.occurred_at), (COMPLAINT_CLOSED, "closed", row.closed_at)]
    return [
        NewFact(
            source=batch.source,
            key=f"complaint:{row.key}:{name}",
            kind=kind,
            customer_id=batch.customers[row.customer],
            occurred_at=at,
            payload={"complaint": row.key},
        )
        for kind, name, at in moments
        if at is not None
    ]


KINDS = (ImportKind("complaint", ComplaintRow, write_complaints),)
