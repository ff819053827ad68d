"""Attribution: who referred whom, decided once, without a circle, in the graph's own transaction.

The REFERRED relationship is the truth of who refers whom; it carries `settled: false` until the SQL
row of the conversion exists, so that a crash between the two is found by the sweep.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint, literal, text
from sqlmodel import Field, col, select

from core.clock import iso, parse_instant
from core.db import Record, Session, insert_once, instant
from core.errors import Refusal
from core.ids import derived_id
from core.outbox import owe, owe_all
from core.paging import Page, Place, cut, newest_first, page_size
from graph.client import GraphClient, Row, Transaction
from referrals.ancestry import branching, lock_customers, lock_roots
from referrals.codes import ReferralCode
from referrals.definition import ProgramDefinition
from referrals.links import ReferralClick
from referrals.standings import Move, move_standings

REFERRAL_CLAIMED = "referral.claimed"
REFERRAL_CHANGED = "referral.changed"


class SelfReferral(Refusal):
    code = "SELF_REFERRAL"
    en = "You cannot refer yourself."
    zh = "不能推荐自己。"


class AlreadyReferred(Refusal):
    code = "ALREADY_REFERRED"
    en = "Somebody else already referred you."
    zh = "您已有推荐人。"


class ReferralCycle(Refusal):
    code = "REFERRAL_CYCLE"
    en = "You referred this person, directly or through others."
    zh = "对方由您直接或间接推荐，不能互相推荐。"


class ExistingCustomer(Refusal):
    code = "EXISTING_CUSTOMER"
    en = "You were a customer before this referral."
    zh = "您在此推荐之前已是我行客户。"


class AlreadyQualified(Refusal):
    code = "ALREADY_QUALIFIED"
    en = "It is too late to name a referrer."
    zh = "已过补填推荐人的期限。"


class ReferralStatus(StrEnum):
    """A referral is open until every step is reached, or it turns out that it should not have been."""

    OPEN = "OPEN"
    QUALIFIED = "QUALIFIED"
    REJECTED = "REJECTED"


class Referral(Record, table=True):
    """A conversion; facts count from `attributed_from` on, and who was a customer before it is refused.

    `qualified_at` is when its last step was reached, `rejected_at` when it was found that it should not have been.
    """

    __table_args__ = (
        UniqueConstraint("program_id", "referee_id"),
        Index("ix_referral_referrer_claimed", "referrer_id", "claimed_at", "id"),
        Index("ix_referral_program_claimed", "program_id", "claimed_at", "id"),
        Index("ix_referral_channel", "program_id", "referrer_id", "channel", "status"),
        Index("ix_referral_tree", "program_id", "referrer_id", "claimed_at", "id"),
        # Only of what counts, so that no planner takes it for the tree, whose order it has not.
        Index(
            "ix_referral_counted",
            "program_id",
            "referrer_id",
            "qualified_at",
            sqlite_where=text("status = 'QUALIFIED'"),
            postgresql_where=text("status = 'QUALIFIED'"),
        ),
    )

    id: str = Field(primary_key=True)
    program_id: str = Field(foreign_key="referral_program.id")
    version: int
    referrer_id: str
    referee_id: str = Field(index=True)
    code_id: str = Field(foreign_key="referral_code.id")
    click_id: str | None = Field(default=None, foreign_key="referral_click.id")
    # That of the click; none where a code was typed.
    channel: str | None = None
    status: str
    reason: str | None = None
    attributed_from: datetime = instant()
    claimed_at: datetime = instant()
    qualified_at: datetime | None = instant(optional=True)
    rejected_at: datetime | None = instant(optional=True)
    # How many steps were undone since they are told as facts; empty: none.
    steps_undone: int | None = None

    @property
    def is_open_to_facts(self) -> bool:
        """Whether facts decide where it stands: also of who was taken for an existing customer, not of fraud."""
        return self.status != ReferralStatus.REJECTED or self.reason == ExistingCustomer.code


@dataclass(frozen=True, slots=True)
class Person:
    """What attribution needs to know of a person, without knowing the profile: keyed hashes, nothing personal."""

    customer_id: str
    customer_since: datetime | None
    identity_hash: str | None
    phone_hash: str | None
    email_hash: str | None


def referral_id(program_id: str, referee_id: str) -> str:
    """A conversion's id: there is one per referee and programme."""
    return derived_id("referral", program_id, referee_id)


def check_claim(*, referrer: Person, referee: Person, attributed_from: datetime) -> None:
    """Raise SelfReferral or ExistingCustomer; it looks at the two people only."""
    if referrer.customer_id == referee.customer_id or is_same_person(referrer, referee):
        raise SelfReferral(path=("code",))
    if referee.customer_since is not None and referee.customer_since < attributed_from:
        raise ExistingCustomer


def is_same_person(one: Person, other: Person) -> bool:
    """Two profiles of one person: the same document, e-mail or telephone number, by their keyed hashes."""
    pairs = (
        (one.identity_hash, other.identity_hash),
        (one.email_hash, other.email_hash),
        (one.phone_hash, other.phone_hash),
    )
    return any(mine is not None and mine == theirs for mine, theirs in pairs)


def attribution_start(definition: ProgramDefinition, click: ReferralClick | None, now: datetime) -> datetime:
    """From when on the referee's facts count: the click within its window, else the span for late claims."""
    if click is not None and is_open(definition, click.clicked_at, now):
        return click.clicked_at
    return now - timedelta(days=definition.late_claim_days)


def is_open(definition: ProgramDefinition, clicked_at: datetime, now: datetime) -> bool:
    """Whether a click counts at `now`: its window includes its start and not its end."""
    return clicked_at <= now < clicked_at + timedelta(days=definition.click_window_days)


# A claim joins the referee's tree below the referrer; both are locked by a first write. It can close a circle only
# where the referee has referees already, so anybody else is joined without a walk, however deep or broad the tree.
# The customer whose id is given comes first in each pattern: the embedded engine starts where the text does.
REFERRER = """
MATCH (b:Customer {id: $customer_id})
MATCH (b)<-[r:REFERRED {program_id: $program_id}]-(c:Customer)
RETURN c.id AS id
"""

REFER = """
MATCH (a:Customer {id: $referrer_id}), (b:Customer {id: $referee_id})
CREATE (a)-[:REFERRED {key: $key, program_id: $program_id, version: $version, code_id: $code_id,
  click_id: $click_id, attributed_from: $attributed_from, at: $now, settled: false}]->(b)
"""


async def refer(
    graph: GraphClient,
    *,
    code: ReferralCode,
    version: int,
    referee_id: str,
    click_id: str | None,
    attributed_from: datetime,
    now: datetime,
) -> bool:
    """Draw the REFERRED relationship; False when it was already drawn by the same referrer.

    Raises AlreadyReferred for a second referrer and ReferralCycle where the referee stands above
    the referrer, also when the two claims that would close the circle run at once.
    """
    referrer_id, program_id = code.customer_id, code.program_id

    async def work(tx: Transaction) -> bool:
        await lock_customers(tx, {referrer_id, referee_id}, iso(now))
        known = await tx.run(REFERRER, program_id=program_id, customer_id=referee_id)
        if known:
            if known[0]["id"] == referrer_id:
                return False
            raise AlreadyReferred
        if await branching(tx, program_id, [referee_id]):
            roots = await lock_roots(tx, program_id, [referrer_id], iso(now))
            if roots[referrer_id] == referee_id:
                raise ReferralCycle(path=("code",))
        await tx.run(
            REFER,
            referrer_id=referrer_id,
            referee_id=referee_id,
            key=f"{program_id}:{referee_id}",
            program_id=program_id,
            version=version,
            code_id=code.id,
            click_id=click_id,
            attributed_from=iso(attributed_from),
            now=iso(now),
        )
        return True

    return await graph.transact(work, contended=program_id)


async def record_referral(session: Session, edge: Row, *, now: datetime) -> str:
    """Write the conversion of a REFERRED relationship, once; returns its id and owes its evaluation."""
    click = await session.get(ReferralClick, edge["click_id"]) if edge["click_id"] else None
    row: dict[str, Any] = {
        "id": referral_id(edge["program_id"], edge["referee_id"]),
        "program_id": edge["program_id"],
        "version": edge["version"],
        "referrer_id": edge["referrer_id"],
        "referee_id": edge["referee_id"],
        "code_id": edge["code_id"],
        "click_id": edge["click_id"],
        "channel": click.channel if click else None,
        "status": ReferralStatus.OPEN,
        "attributed_from": edge["attributed_from"],
        "claimed_at": edge["at"],
    }
    if await insert_once(session, Referral, row):
        payload = {"customer_id": row["referee_id"], "referral_id": row["id"]}
        await owe(session, topic=REFERRAL_CLAIMED, key=str(row["id"]), payload=payload, now=now)
    return str(row["id"])


EDGE = """
MATCH (a)-[r:REFERRED]->(b)
WHERE r.key = $key
RETURN r.key AS key, a.id AS referrer_id, b.id AS referee_id, r.program_id AS program_id, r.version AS version,
       r.code_id AS code_id, r.click_id AS click_id, r.attributed_from AS attributed_from, r.at AS at
"""

# The key is joined to nothing, so that Neo4j takes the index of what is unsettled, which is little, and not of keys.
UNSETTLED_EDGES = """
MATCH (a)-[r:REFERRED]->(b)
WHERE r.settled = false AND r.key + '' > $after
RETURN r.key AS key, a.id AS referrer_id, b.id AS referee_id, r.program_id AS program_id, r.version AS version,
       r.code_id AS code_id, r.click_id AS click_id, r.attributed_from AS attributed_from, r.at AS at
ORDER BY r.key
LIMIT $limit
"""

SETTLE_EDGE = """
MATCH ()-[r:REFERRED]->()
WHERE r.key = $key
SET r.settled = true
"""


async def referral_edge(graph: GraphClient, program_id: str, referee_id: str) -> Row:
    """The relationship that a claim has drawn."""
    rows = await graph.read(EDGE, key=f"{program_id}:{referee_id}")
    return edge_with_instants(rows[0])


async def unsettled_referrals(graph: GraphClient, *, after: str, limit: int) -> list[Row]:
    """Relationships whose conversion is not known to be written, by key from `after` (exclusive) on."""
    return [edge_with_instants(row) for row in await graph.read(UNSETTLED_EDGES, after=after, limit=limit)]


def edge_with_instants(row: Row) -> Row:
    return {**row, "attributed_from": parse_instant(row["attributed_from"]), "at": parse_instant(row["at"])}


async def settle_referral(graph: GraphClient, key: str) -> None:
    """Note that the conversion of this relationship is written."""
    await graph.write(SETTLE_EDGE, key=key)


async def referrals_of_referees(session: Session, customer_ids: Sequence[str]) -> Sequence[Referral]:
    """The conversions of referees, locked for this transaction; by programme, the order in which those are locked."""
    statement = select(Referral).where(col(Referral.referee_id).in_(list(customer_ids)))
    ordered = statement.order_by(col(Referral.program_id), col(Referral.id)).with_for_update()
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()


async def take_referral(session: Session, referral_id: str) -> Referral | None:
    """Lock a conversion for this transaction."""
    statement = select(Referral).where(Referral.id == referral_id).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).first()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a conversion stands, why it was rejected, and when its last step was reached."""

    status: ReferralStatus
    reason: str | None = None
    qualified_at: datetime | None = None


async def change_status(session: Session, referral: Referral, to: Standing, *, now: datetime) -> None:
    """Set where a conversion stands; a change moves standings, and is owed to its relationship in the graph."""
    await change_statuses(session, [(referral, to)], now=now)


async def change_statuses(session: Session, changes: Sequence[tuple[Referral, Standing]], *, now: datetime) -> None:
    """Set where several conversions stand, as change_status does with one."""
    moved: list[tuple[Referral, datetime | None]] = []
    for referral, to in changes:
        if Standing(ReferralStatus(referral.status), referral.reason, referral.qualified_at) == to:
            continue
        moved.append((referral, counted_since(referral)))
        referral.status, referral.reason, referral.qualified_at = to.status, to.reason, to.qualified_at
        referral.rejected_at = now if to.status == ReferralStatus.REJECTED else None
    if not moved:
        return
    await session.flush()
    await count_referrals(session, moved)
    payloads: dict[str, dict[str, Any]] = {
        f"{referral.id}:{referral.status.lower()}:{now.isoformat()}": {"referral_id": referral.id}
        for referral, _ in moved
    }
    await owe_all(session, topic=REFERRAL_CHANGED, payloads=payloads, now=now)


def counted_since(referral: Referral) -> datetime | None:
    """Since when a conversion counts for its referrer; None while it does not."""
    return referral.qualified_at if referral.status == ReferralStatus.QUALIFIED else None


async def count_referrals(session: Session, moved: Sequence[tuple[Referral, datetime | None]]) -> None:
    """Move referrers' standings to what these conversions are by now; each comes with since when it counted before."""
    moves = [
        Move(referral.program_id, referral.referrer_id, left=was, entered=counted_since(referral))
        for referral, was in moved
        if counted_since(referral) != was
    ]

    async def find_last(program_id: str, referrer_id: str, start: datetime, end: datetime) -> datetime | None:
        counted = select(Referral.qualified_at).where(
            Referral.program_id == program_id,
            Referral.referrer_id == referrer_id,
            # Literal, because no database takes a partial index for a parameter.
            col(Referral.status) == literal(ReferralStatus.QUALIFIED.value, literal_execute=True),
            col(Referral.qualified_at) >= start,
            col(Referral.qualified_at) < end,
        )
        return (await session.exec(counted.order_by(col(Referral.qualified_at).desc()).limit(1))).first()

    if moves:
        await move_standings(session, moves, find_last=find_last)


MARK_EDGES = """
UNWIND $rows AS row
MATCH (b:Customer {id: row.referee_id})
MATCH (b)<-[r:REFERRED {program_id: row.program_id}]-(:Customer)
SET r.status = row.status, r.qualified_at = row.qualified_at, r.rejected_at = row.rejected_at
"""


async def mark_edges(graph: GraphClient, referrals: Collection[Referral]) -> None:
    """Write where conversions stand to their relationships; done twice or late, it says what is true by then."""
    rows: list[Row] = [
        {
            "referee_id": referral.referee_id,
            "program_id": referral.program_id,
            "status": referral.status,
            "qualified_at": iso(referral.qualified_at) if referral.qualified_at else None,
            "rejected_at": iso(referral.rejected_at) if referral.rejected_at else None,
        }
        for referral in referrals
    ]
    await graph.write(MARK_EDGES, rows=rows)


async def referees_since(session: Session, referrer_id: str, *, program_id: str, since: datetime) -> Sequence[str]:
    """Whom somebody referred at `since` or later; asked for when their own referrer becomes known."""
    statement = select(Referral.referee_id).where(
        Referral.referrer_id == referrer_id, Referral.claimed_at >= since, Referral.program_id == program_id
    )
    return (await session.exec(statement.order_by(col(Referral.claimed_at)))).all()


async def referrals_to(session: Session, referee_id: str) -> Sequence[Referral]:
    """The conversions that a customer is, one in each programme at most, the latest first."""
    statement = select(Referral).where(Referral.referee_id == referee_id)
    return (await session.exec(statement.order_by(col(Referral.claimed_at).desc(), col(Referral.id)))).all()


async def referrals_by(session: Session, referrer_id: str, *, first: int | None, after: Place) -> Page[Referral]:
    """The conversions that a customer brought, the latest first."""
    size = page_size(first)
    statement = select(Referral).where(Referral.referrer_id == referrer_id)
    page = newest_first(statement, col(Referral.claimed_at), col(Referral.id), size=size, after=after)
    rows = (await session.exec(page)).all()
    return cut(rows, size, lambda row: (row.claimed_at.isoformat(), row.id), after)
