"""What customers allow, by purpose and channel; said by themselves, or noted by who looks after them."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.customers.looked_after import present_in_care
from api.refusals import Refusal, refusals, result_union
from api.relay import global_id, local_id
from core.db import Session
from customers.access import may_read
from customers.consents import Consent as ConsentRow
from customers.consents import (
    ConsentChannel,
    ConsentPurpose,
    ConsentStatus,
    Word,
    checked_evidence,
    consents_of,
    grant_consent,
    history_of,
    revoke_consent,
)
from customers.profiles import SIGN_IN, survivor_of

strawberry.enum(ConsentPurpose, name="ConsentPurpose", description="What data or a channel is used for.")
strawberry.enum(ConsentChannel, name="ConsentChannel", description="By which customers are reached; ALL is any.")
strawberry.enum(ConsentStatus, name="ConsentStatus", description="DENIED was never granted, REVOKED was.")

At = Annotated[
    datetime | None, strawberry.argument(description="As of this instant; null: now. History is kept and answers.")
]


@strawberry.type(
    description="A word of a customer on what is allowed; it is never changed, a later one counts instead."
)
class Consent:
    id: strawberry.ID = strawberry.field(description="Global id.")
    purpose: ConsentPurpose = strawberry.field(description="For what.")
    channel: ConsentChannel = strawberry.field(description="By which channel.")
    status: ConsentStatus = strawberry.field(description="What was said.")
    source: str = strawberry.field(description="Where it was said; `oidc` is the customer's own sign-in.")
    evidence: str | None = strawberry.field(description="The document that proves it.")
    given_by: str = strawberry.field(description="Who noted it.")
    given_at: datetime = strawberry.field(description="When it was said.")


def consent_of(row: ConsentRow) -> Consent:
    return Consent(
        id=global_id("Consent", row.id),
        purpose=ConsentPurpose(row.purpose),
        channel=ConsentChannel(row.channel),
        status=ConsentStatus(row.status),
        source=row.source,
        evidence=row.evidence,
        given_by=row.given_by,
        given_at=row.given_at,
    )


@strawberry.type(description="What a customer allows.")
class ConsentsOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="What counts, for each purpose and channel of which there was a word.")
    async def consents(self, info: Info, at: At = None) -> list[Consent]:
        async with info.context.database.read() as session:
            rows = await consents_of(session, self.local, at=at or info.context.now)
        return [consent_of(row) for row in rows]

    @strawberry.field(description="Every word, the latest first.")
    async def consent_history(self, info: Info) -> list[Consent]:
        async with info.context.database.read() as session:
            return [consent_of(row) for row in await history_of(session, self.local)]


@strawberry.input(description="What is allowed or no more.")
class ConsentInput:
    purpose: ConsentPurpose = strawberry.field(description="For what.")
    channel: ConsentChannel = strawberry.field(description="By which channel.", default=ConsentChannel.ALL)
    customer_id: strawberry.ID | None = strawberry.field(
        description="Global id of the customer; null: yourself.", default=None
    )
    evidence: str | None = strawberry.field(
        description="The document that proves it, such as A-2026/17; staff must name one.", default=None
    )


@strawberry.type(description="It is noted.")
class GrantConsentSuccess:
    consent: Consent = strawberry.field(description="The word.")


@strawberry.type(description="It is noted.")
class RevokeConsentSuccess:
    consent: Consent = strawberry.field(description="The word: REVOKED, or DENIED where it was never granted.")


GrantConsentResult = Annotated[GrantConsentSuccess | Refusal, result_union(GrantConsentSuccess)]
RevokeConsentResult = Annotated[RevokeConsentSuccess | Refusal, result_union(RevokeConsentSuccess)]


async def spoken(info: Info, session: Session, input: ConsentInput) -> tuple[str, Word]:
    """Whose word it is and what is said; staff speak for those whom they look after, by a document."""
    context = info.context
    if input.customer_id is None:
        own = await context.customer_id()
        return own, Word(input.purpose, input.channel, own, SIGN_IN, checked_evidence(input.evidence, needed=False))
    principal = await context.principal()
    customer_id = local_id("Customer", input.customer_id, "input", "customerId")
    if customer_id == principal.customer_id:
        word = Word(input.purpose, input.channel, customer_id, SIGN_IN, checked_evidence(input.evidence, needed=False))
        return customer_id, word
    customer_id, _ = await present_in_care(info, session, customer_id)
    evidence = checked_evidence(input.evidence, needed=True)
    return customer_id, Word(input.purpose, input.channel, principal.subject, "staff", evidence)


@strawberry.type
class ConsentMutations:
    @strawberry.mutation(
        description="Allow something: for yourself, or for a customer whom you look after, by a document."
    )
    @refusals
    async def grant_consent(self, info: Info, input: ConsentInput) -> GrantConsentResult:
        async with info.context.database.write() as session:
            customer_id, word = await spoken(info, session, input)
            row = await grant_consent(session, customer_id, word, now=info.context.now)
        return GrantConsentSuccess(consent=consent_of(row))

    @strawberry.mutation(description="Allow it no more, or never: likewise.")
    @refusals
    async def revoke_consent(self, info: Info, input: ConsentInput) -> RevokeConsentResult:
        async with info.context.database.write() as session:
            customer_id, word = await spoken(info, session, input)
            row = await revoke_consent(session, customer_id, word, now=info.context.now)
        return RevokeConsentSuccess(consent=consent_of(row))


@strawberry.type
class ConsentQueries:
    @strawberry.field(
        description="What counts of a customer's words, for the customer and who looks after them; null: yourself."
    )
    async def consents(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Global id of the customer; null: yourself.")
        ] = None,
        at: At = None,
    ) -> list[Consent]:
        context = info.context
        principal = await context.principal()
        if customer_id is None:
            local = principal.customer_id
            if local is None:
                return []
        else:
            local = local_id("Customer", customer_id, "customerId")
        async with context.database.read() as session:
            local = await survivor_of(session, local)
            await may_read(context.graph, session, principal, local, now=context.now)
            return [consent_of(row) for row in await consents_of(session, local, at=at or context.now)]
