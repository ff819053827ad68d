"""Attribution in batches: each step of a claim once for many referees, under the same locks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.clock import iso
from core.importing import Rejection
from graph.client import GraphClient, Row, Transaction
from referrals.ancestry import branching, lock_customers, lock_roots
from referrals.attribution import edge_with_instants

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row of one programme with its customers' ids."""

    line: int
    referrer_id: str
    referee_id: str
    occurred_at: datetime


# The customer whose id is given comes first in each pattern: the embedded engine starts where the text does.
REFERRERS = """
UNWIND $ids AS id
MATCH (b:Customer {id: id})
MATCH (b)<-[r:REFERRED {program_id: $program_id}]-(a:Customer)
RETURN r.key AS key, a.id AS referrer_id, b.id AS referee_id, r.program_id AS program_id, r.version AS version,
       r.code_id AS code_id, r.click_id AS click_id, r.attributed_from AS attributed_from, r.at AS at
"""


async def edges_of(graph: GraphClient, program_id: str, referee_ids: Sequence[str]) -> list[Row]:
    """The relationships by which these customers were referred."""
    rows = await graph.read(REFERRERS, timeout=TIMEOUT_SECONDS, ids=list(referee_ids), program_id=program_id)
    return [edge_with_instants(row) for row in rows]


REFER_ALL = """
UNWIND $rows AS row
MATCH (a:Customer {id: row.referrer_id}), (b:Customer {id: row.referee_id})
CREATE (a)-[:REFERRED {key: row.key, program_id: $program_id, version: $version, code_id: row.code_id,
  attributed_from: row.at, at: row.at, settled: false}]->(b)
"""


async def refer_all(
    graph: GraphClient,
    program_id: str,
    version: int,
    wanted: Sequence[Wanted],
    codes: Mapping[str, str],
    now: datetime,
) -> list[Rejection]:
    """Draw what is not drawn, in one transaction and under the locks that claims take; returns what cannot be."""

    async def work(tx: Transaction) -> list[Rejection]:
        known = await referrers_of(tx, program_id, wanted)
        fresh = [one for one in wanted if one.referee_id not in known]
        roots: dict[str, str] = {}
        if fresh:
            await lock_customers(tx, {id for one in fresh for id in (one.referrer_id, one.referee_id)}, iso(now))
            known |= await referrers_of(tx, program_id, fresh)
            if await branching(tx, program_id, {one.referee_id for one in fresh}):
                roots = await lock_roots(tx, program_id, sorted({one.referrer_id for one in fresh}), iso(now))
        drawn, refused = arrange(wanted, known, roots)
        rows = [
            {
                "key": f"{program_id}:{one.referee_id}",
                "referrer_id": one.referrer_id,
                "referee_id": one.referee_id,
                "code_id": codes[one.referrer_id],
                "at": iso(one.occurred_at),
            }
            for one in drawn
        ]
        if rows:
            await tx.run(REFER_ALL, program_id=program_id, version=version, rows=rows)
        return refused

    return await graph.transact(work, contended=program_id, timeout=TIMEOUT_SECONDS)


async def referrers_of(tx: Transaction, program_id: str, wanted: Sequence[Wanted]) -> dict[str, str]:
    """The referrer of each referee who has one."""
    rows = await tx.run(REFERRERS, ids=sorted({one.referee_id for one in wanted}), program_id=program_id)
    return {row["referee_id"]: row["referrer_id"] for row in rows}


def arrange(
    wanted: Sequence[Wanted], known: Mapping[str, str], roots: Mapping[str, str]
) -> tuple[list[Wanted], list[Rejection]]:
    """Split rows into those to draw and those to refuse, in their order; what is drawn already is neither.

    `known` maps referees to their referrers and `roots` referrers to the roots of their trees, as they stand
    in the graph; where no referee has referees there, a circle lies in the rows alone and no roots are needed.
    A referee without referrer is a root, so a circle closes where it is the referrer's own.
    """
    referrers = dict(known)
    drawn: list[Wanted] = []
    refused: list[Rejection] = []
    for one in wanted:
        above = referrers.get(one.referee_id)
        if above is not None:
            if above != one.referrer_id:
                refused.append(Rejection(one.line, "referee", "somebody else already referred this customer"))
        elif root_above(one.referrer_id, referrers, roots) == one.referee_id:
            refused.append(Rejection(one.line, "referee", "the referrer was referred by this customer"))
        else:
            referrers[one.referee_id] = one.referrer_id
            drawn.append(one)
    return drawn, refused


def root_above(customer_id: str, referrers: Mapping[str, str], roots: Mapping[str, str]) -> str:
    """Climb by trees as they stand, then by what this batch has added above their roots."""
    root = roots.get(customer_id, customer_id)
    while root in referrers:
        above = referrers[root]
        root = roots.get(above, above)
    return root
