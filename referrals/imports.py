"""The rows of facts that referrals and rewards are made of, and of referrals that were made elsewhere."""

from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime
from pydantic import Field as Setting

from core.facts import FactInvalid, NewFact, check_fact, record_facts, seal_fact
from core.importing import Batch, ImportKind, ImportRow, Rejection
from referrals.history import ReferralRow, draw_referrals, settle_referrals, write_codes


class FactRow(ImportRow):
    """Something that happened to a customer, named for ever by the source and this key."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    key: Annotated[str, Setting(min_length=1, max_length=200)]
    fact_kind: str
    customer: Annotated[str, Setting(min_length=1, max_length=200)]
    occurred_at: AwareDatetime
    payload: dict[str, Any] = Setting(default_factory=dict)


# What a fact's check calls a field, and what the row does.
FIELDS = {"source": "", "key": "key", "kind": "fact_kind", "occurredAt": "occurred_at", "payload": "payload"}


async def write_facts(batch: Batch[FactRow]) -> list[Rejection]:
    rejected: list[Rejection] = []
    facts: list[NewFact] = []
    for item in batch.rows:
        fact = NewFact(
            source=batch.source,
            key=item.row.key,
            kind=item.row.fact_kind,
            customer_id=batch.customers[item.row.customer],
            occurred_at=item.row.occurred_at,
            payload=item.row.payload,
        )
        try:
            check_fact(fact, now=batch.now)
            facts.append(seal_fact(fact, hash_key=batch.hash_key))
        except FactInvalid as error:
            rejected.append(Rejection(item.line, FIELDS[error.path[-1]], error.detail or error.en))
    await record_facts(batch.session, facts, now=batch.now)
    return rejected


KINDS = (
    ImportKind("referral", ReferralRow, write_codes, then=(draw_referrals, settle_referrals)),
    ImportKind("fact", FactRow, write_facts),
)
