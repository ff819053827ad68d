"""Facts in from the bank's systems."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.refusals import Refusal, refusals, result_union
from core.errors import Refusal as DomainRefusal
from core.facts import (
    MOST_FACTS_AT_ONCE,
    OWN_SOURCE,
    FactInvalid,
    NewFact,
    check_fact,
    may_record_facts,
    record_facts,
    seal_fact,
)
from customers.profiles import SIGN_IN, customer_ids_of

LARGEST_PAYLOAD = 8_192


class CustomerUnknown(DomainRefusal):
    code = "CUSTOMER_UNKNOWN"
    en = "The source has not told us of this customer; none of the facts was recorded."
    zh = "该数据来源未登记此客户，全部未记录。"


@strawberry.input(description="Something that happened to a customer.")
class FactInput:
    key: str = strawberry.field(description="The source's own key of it; sent twice, it counts once.")
    kind: str = strawberry.field(description="What happened, such as CUSTOMER_REGISTERED or IDENTITY_VERIFIED.")
    customer_key: str = strawberry.field(description="The key by which the source knows the customer.")
    occurred_at: datetime = strawberry.field(description="When it happened; facts may arrive in any order.")
    payload: JSON | None = strawberry.field(
        description="Anything else, up to 8 kB. DEVICE_SEEN, CARD_LINKED and ADDRESS_CHANGED carry `{value: …}`, "
        "of which only a keyed hash is kept.",
        default=None,
    )


@strawberry.input(description="Facts of one source.")
class RecordFactsInput:
    source: str = strawberry.field(description="The system that sends them.")
    facts: list[FactInput] = strawberry.field(description="Up to 500 at once; all go in or none.")


@strawberry.type(description="The facts are kept; their consequences follow within seconds.")
class RecordFactsSuccess:
    recorded: int = strawberry.field(description="How many were new.")
    duplicates: int = strawberry.field(description="How many were known already.")


RecordFactsResult = Annotated[RecordFactsSuccess | Refusal, result_union(RecordFactsSuccess)]


def new_fact(
    input: RecordFactsInput, index: int, customers: dict[str, str], *, hash_key: str, now: datetime
) -> NewFact:
    """One valid fact, sealed; raises FactInvalid or CustomerUnknown with its place in the list."""
    item, path = input.facts[index], ("facts", str(index))
    customer_id = customers.get(item.customer_key)
    if customer_id is None:
        raise CustomerUnknown(path=(*path, "customerKey"))
    payload: Any = item.payload if item.payload is not None else {}
    if not isinstance(payload, dict) or len(orjson.dumps(payload)) > LARGEST_PAYLOAD:
        raise FactInvalid(path=(*path, "payload"), detail=f"an object of at most {LARGEST_PAYLOAD} bytes")
    fact = NewFact(input.source, item.key, item.kind, customer_id, item.occurred_at, payload)
    check_fact(fact, now=now, path=path)
    return seal_fact(fact, hash_key=hash_key, path=path)


def keys_of(facts: Sequence[FactInput]) -> list[str]:
    return sorted({fact.customer_key for fact in facts})


@strawberry.type
class FactMutations:
    @strawberry.mutation(description="Record facts; for service clients with the scope facts:write.")
    @refusals
    async def record_facts(self, info: Info, input: RecordFactsInput) -> RecordFactsResult:
        context = info.context
        may_record_facts(context.signed_in())
        if not 1 <= len(input.facts) <= MOST_FACTS_AT_ONCE:
            raise FactInvalid(path=("facts",), detail=f"1 to {MOST_FACTS_AT_ONCE} facts")
        if input.source in (OWN_SOURCE, SIGN_IN):
            # Their keys are ours: a sender could forestall a fact of ours or name a customer by a sign-in.
            raise FactInvalid(path=("source",), detail="this source is Kinship's own")
        hash_key = context.edge.settings.identity_hash_key.get_secret_value()
        async with context.database.write() as session:
            customers = await customer_ids_of(session, input.source, keys_of(input.facts), hold=True)
            facts = [
                new_fact(input, index, customers, hash_key=hash_key, now=context.now)
                for index in range(len(input.facts))
            ]
            recorded = await record_facts(session, facts, now=context.now)
        return RecordFactsSuccess(recorded=len(recorded), duplicates=len(facts) - len(recorded))
