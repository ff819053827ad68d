"""Who a row is about: by alias, by who signs in so, by identity document, then by verified phone and e-mail.

Where these name different customers nobody is merged silently: the row waits for a person (customers/reviews.py).
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import col, select

from core.clock import utc_now
from core.db import Session
from core.errors import Unavailable
from customers.profiles import SIGN_IN, Customer, customer_id_from, customer_ids_of
from customers.reviews import Cause, Decision, Found, alias_hash, decisions_about, erased_aliases

# Any number does, as long as nothing else in the database takes the same advisory lock.
TURN_LOCK = 7_226_150_032
TURN_SECONDS = 120.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Claim:
    """What a row says that tells who it is about: the source's key, the subject, and keyed hashes of all else."""

    key: str
    subject: str | None = None
    document: str | None = None
    phone: str | None = None
    email: str | None = None
    phone_verified: bool = False
    email_verified: bool = False

    @property
    def verified(self) -> list[tuple[Cause, str]]:
        """The contacts by which the row may be recognised."""
        pairs = ((Cause.PHONE, self.phone, self.phone_verified), (Cause.EMAIL, self.email, self.email_verified))
        return [(cause, contact) for cause, contact, verified in pairs if contact and verified]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose row it is, and the document that becomes theirs; none where a person decided that it is another's."""

    customer_id: str
    document: str | None


class Erased:
    """The row is about somebody who was erased."""


Answer = Resolved | Sequence[Found] | Erased


async def take_turn(session: Session) -> None:
    """Wait until no other import resolves, and keep others waiting until this transaction ends; raises Unavailable.

    Two who resolved at once would each make a profile of one verified phone, for which there is no constraint. SQLite
    has one writer anyhow. It asks again and again, because a statement that waits is cut off sooner than this.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    started = utc_now()
    while not (await session.exec(select(func.pg_try_advisory_xact_lock(TURN_LOCK)))).one():
        if (utc_now() - started).total_seconds() > TURN_SECONDS:
            raise Unavailable(detail="another import is at work")
        await asyncio.sleep(PAUSE_SECONDS)


class Resolver:
    """Resolves the rows of one batch in their order, each seeing what those before it have made known."""

    def __init__(self, source: str, hash_key: str) -> None:
        self.source = source
        self.hash_key = hash_key
        self.aliases: dict[str, str] = {}
        self.subjects: dict[str, str] = {}
        self.by_document: dict[str, str] = {}
        self.documents: dict[str, str | None] = {}
        self.by_contact: dict[tuple[Cause, str], set[str]] = defaultdict(set)
        self.contacts: dict[tuple[str, Cause], str] = {}
        self.decisions: Mapping[str, Sequence[Decision]] = {}
        self.erased: set[str] = set()

    async def load(self, session: Session, claims: Sequence[Claim]) -> None:
        """Read what is known of all that these rows name, in a fixed number of statements."""
        keys = sorted({claim.key for claim in claims})
        subjects = sorted({claim.subject for claim in claims if claim.subject})
        self.aliases = await customer_ids_of(session, self.source, keys)
        self.subjects = await customer_ids_of(session, SIGN_IN, subjects) if subjects else {}
        self.decisions = await decisions_about(session, self.source, keys)
        self.erased = await erased_aliases(session, self.source, keys, hash_key=self.hash_key)
        known = {*self.aliases.values(), *self.subjects.values()}
        await self.load_customers(session, claims, known)

    async def load_customers(self, session: Session, claims: Sequence[Claim], known: set[str]) -> None:
        documents = {claim.document for claim in claims if claim.document}
        phones = {value for claim in claims for cause, value in claim.verified if cause == Cause.PHONE}
        emails = {value for claim in claims for cause, value in claim.verified if cause == Cause.EMAIL}
        columns = (Customer.id, Customer.identity_hash, Customer.phone_hash, Customer.email_hash)
        verified = (Customer.phone_verified, Customer.email_verified)
        wanted = (
            (col(Customer.id), known),
            (col(Customer.identity_hash), documents),
            (col(Customer.phone_hash), phones),
            (col(Customer.email_hash), emails),
        )
        for column, values in wanted:
            if not values:
                continue
            statement = select(*columns, *verified).where(column.in_(sorted(values)))  # pyright: ignore[reportCallIssue, reportArgumentType] - six columns are more than its overloads have
            for row in (await session.exec(statement)).all():
                self.note(
                    row.id,
                    Claim("", None, row.identity_hash, row.phone_hash, row.email_hash, *row[4:]),
                )

    def note(self, customer_id: str, claim: Claim) -> None:
        """Keep in mind what is known of a customer from now on."""
        before = self.documents.get(customer_id)
        self.documents[customer_id] = claim.document or before
        if claim.document:
            # A document that was corrected is nobody's any more.
            if before is not None and before != claim.document:
                self.by_document.pop(before, None)
            self.by_document[claim.document] = customer_id
        for cause, contact in ((Cause.PHONE, claim.phone), (Cause.EMAIL, claim.email)):
            former = self.contacts.get((customer_id, cause))
            if contact is not None and former not in (None, contact):
                # Likewise a contact: who has another now is not found by it, and its next owner is somebody else.
                self.by_contact[cause, former].discard(customer_id)
        for cause, contact in claim.verified:
            self.by_contact[cause, contact].add(customer_id)
            self.contacts[customer_id, cause] = contact

    def resolve(self, claim: Claim) -> Answer:
        """Whose row it is, be it a new customer; or who was found, where a person has to decide."""
        if alias_hash(self.hash_key, self.source, claim.key) in self.erased and claim.key not in self.aliases:
            return Erased()
        found = self.found_by(claim)
        people = {one.customer_id for one in found}
        if len(people) > 1 or any(one.cause == Cause.OTHER_DOCUMENT for one in found):
            decided = self.decided(claim, people)
            if decided is None:
                return found
            answer = decided
        else:
            made = customer_id_from(self.hash_key, self.source, claim.key)
            answer = Resolved(people.pop() if people else made, claim.document)
        self.keep(claim, answer)
        return answer

    def found_by(self, claim: Claim) -> list[Found]:
        """Everybody whom the row names, by what; a verified contact is nothing where the documents differ."""
        found: list[Found] = []
        alias, signs_in = self.aliases.get(claim.key), self.subjects.get(claim.subject or "")
        holder = self.by_document.get(claim.document or "")
        for cause, customer in ((Cause.ALIAS, alias), (Cause.SUBJECT, signs_in), (Cause.DOCUMENT, holder)):
            if customer is not None:
                found.append(Found(cause, customer))
        for contact in claim.verified:
            found += [Found(contact[0], one) for one in sorted(self.by_contact[contact]) if self.may_be(claim, one)]
        # A source corrects the documents of its own customers; that of who only signs in so is another matter.
        if signs_in is not None and alias is None and not self.may_be(claim, signs_in):
            found.append(Found(Cause.OTHER_DOCUMENT, signs_in))
        return found

    def may_be(self, claim: Claim, customer_id: str) -> bool:
        known = self.documents.get(customer_id)
        return known is None or claim.document is None or known == claim.document

    def decided(self, claim: Claim, people: set[str]) -> Resolved | None:
        """What a person has decided of this row and these customers; the document of another stays another's."""
        for decision in self.decisions.get(claim.key, ()):
            if people <= decision.customers:
                made = customer_id_from(self.hash_key, self.source, claim.key)
                customer_id = self.aliases.get(claim.key) or decision.customer_id or made
                is_free = self.by_document.get(claim.document or "", customer_id) == customer_id
                document = claim.document if is_free and self.may_be(claim, customer_id) else None
                return Resolved(customer_id, document)
        return None

    def keep(self, claim: Claim, answer: Resolved) -> None:
        self.aliases[claim.key] = answer.customer_id
        if claim.subject:
            self.subjects.setdefault(claim.subject, answer.customer_id)
        known = Claim("", None, answer.document, claim.phone, claim.email, claim.phone_verified, claim.email_verified)
        self.note(answer.customer_id, known)
