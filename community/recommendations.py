"""Recommended communities: computed for ranges of customers, stored as one list each, read in one round trip."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson

from community.recommendation_scores import Evidence, Model, Recommendation, ScoringPolicy, fit, recommend
from core.batches import in_batches
from core.clock import iso, utc_now
from core.paging import Page, cut, decode_cursor, page_size
from graph.client import GraphClient, Row
from graph.eligibility import ELIGIBLE
from graph.export import (
    export_acquaintances,
    export_catalogue,
    export_customer_ids,
    export_customer_tags,
    export_memberships,
    export_referrals,
    export_referrers,
)

CUSTOMERS_AT_ONCE = 4_000
LISTS_AT_ONCE = 500
TIMEOUT_SECONDS = 60.0
# What a newcomer is offered beyond the communities about their tags.
POPULAR_LENGTH = 100


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did: customers in its range, lists written, and how long it took."""

    customers: int
    lists_written: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Population:
    """All customers in order of id, what was learnt from them, and the numbers by which matrices name them."""

    customers: list[str]
    numbers: dict[str, int]
    tags: dict[str, int]
    model: Model


async def recompute(
    graph: GraphClient,
    *,
    policy: ScoringPolicy,
    now: datetime,
    run_id: str,
    customers_at_once: int = CUSTOMERS_AT_ONCE,
    first_id: str | None = None,
    last_id: str | None = None,
) -> RunReport:
    """Replace the lists of the customers from `first_id` to `last_id`, both included; all by default.

    Each list is replaced whole, so that a run that dies leaves old lists and new ones; run again, it ends the same.
    """
    began = time.monotonic()
    population = await learn(graph, policy)
    await write_popularity(graph, population.model, now=now, run_id=run_id)
    rows = [n for n, key in enumerate(population.customers) if (first_id or "") <= key and key <= (last_id or key)]
    written = 0
    for part in in_batches(rows, customers_at_once):
        evidence = await read_evidence(graph, population, part, now=now)
        lists = await asyncio.to_thread(list_rows, population, evidence)
        written += await write_lists(graph, lists, now=now, run_id=run_id)
    return RunReport(len(rows), written, time.monotonic() - began)


async def learn(graph: GraphClient, policy: ScoringPolicy) -> Population:
    """Read what concerns everybody: who is a member of what, and what communities are about."""
    catalogue = await export_catalogue(graph)
    customers = await export_customer_ids(graph)
    memberships = await export_memberships(graph, customers, catalogue.communities)
    return Population(
        customers=customers,
        numbers={customer: number for number, customer in enumerate(customers)},
        tags={tag: number for number, tag in enumerate(catalogue.tags)},
        model=await asyncio.to_thread(fit, policy, catalogue, memberships),
    )


async def read_evidence(graph: GraphClient, population: Population, rows: Sequence[int], *, now: datetime) -> Evidence:
    """What is known of the customers in these rows."""
    ids = [population.customers[row] for row in rows]
    return Evidence(
        rows=np.array(rows, dtype=np.int64),
        tags=await export_customer_tags(graph, ids, population.tags, now=iso(now)),
        acquaintances=await export_acquaintances(graph, ids, population.numbers),
        referees=await export_referrals(graph, ids, population.numbers),
        referrers=await export_referrers(graph, ids, population.numbers),
    )


def list_rows(population: Population, evidence: Evidence) -> list[Row]:
    """The lists of these customers as they are stored."""
    customers = (population.customers[row] for row in evidence.rows.tolist())
    lists = recommend(population.model, evidence)
    return [list_row(customer, found) for customer, found in zip(customers, lists, strict=True)]


def list_row(customer_id: str, found: list[Recommendation]) -> Row:
    """One list; reasons are texts, because a graph's property holds no maps."""
    return {
        "customer_id": customer_id,
        "community_ids": [item.community_id for item in found],
        "scores": [item.score for item in found],
        "reasons": [orjson.dumps(item.reasons).decode() for item in found],
    }


WRITE_LISTS = """
UNWIND $rows AS row
MERGE (l:RecommendationList {customer_id: row.customer_id})
SET l.community_ids = row.community_ids, l.scores = row.scores, l.reasons = row.reasons,
    l.computed_at = $now, l.run_id = $run_id
"""


async def write_lists(graph: GraphClient, rows: list[Row], *, now: datetime, run_id: str) -> int:
    """Replace these lists, some hundred in a transaction; returns how many."""
    for part in in_batches(rows, LISTS_AT_ONCE):
        await graph.write(WRITE_LISTS, timeout=TIMEOUT_SECONDS, rows=part, now=iso(now), run_id=run_id)
    return len(rows)


WRITE_POPULARITY = """
MERGE (p:Popularity {name: 'communities'})
SET p.community_ids = $community_ids, p.scores = $scores, p.computed_at = $now, p.run_id = $run_id
"""


async def write_popularity(graph: GraphClient, model: Model, *, now: datetime, run_id: str) -> None:
    """Replace what newcomers are offered: the communities with most members."""
    scores = np.where(model.eligible, model.policy.weights.popularity * model.popularity, 0)
    order = np.argsort(-scores, kind="stable")[:POPULAR_LENGTH].tolist()
    chosen = [number for number in order if model.eligible[number]]
    await graph.write(
        WRITE_POPULARITY,
        community_ids=[model.catalogue.communities[number] for number in chosen],
        scores=[round(float(scores[number]), 6) for number in chosen],
        now=iso(now),
        run_id=run_id,
    )


# Three ranks of candidates: the stored list (0); for those who have none, what matches their tags now (1); and what
# is popular (2), among the communities about a tag where one is asked for, because thirty hold few about one tag.
RECOMMENDED = (
    """
OPTIONAL MATCH (me:Customer {id: $customer_id})
OPTIONAL MATCH (l:RecommendationList {customer_id: $customer_id})
OPTIONAL MATCH (me)-[:MEMBER_OF]->(j:Community)
WITH me, l, collect(j.id) AS joined
WITH me, joined, coalesce(l.community_ids, []) AS ids, l.scores AS scores, l.reasons AS reasons
CALL (me, ids, scores, reasons) {
  UNWIND range(0, size(ids) - 1) AS place
  MATCH (k:Community {id: ids[place]})
  RETURN k, 0 AS rank, scores[place] AS score, reasons[place] AS why, [] AS tags
UNION ALL
  MATCH (me)-[g:TAGGED]->(t:Tag)<-[:ABOUT]-(k:Community)
  WHERE size(ids) = 0 AND (g.until IS NULL OR g.until > $now)
  WITH k, sum(coalesce(g.confidence, 1.0)) AS confidence, collect(t.key) AS tags
  RETURN k, 1 AS rank, confidence + log(1.0 + k.member_count) / 1000 AS score, null AS why, tags
UNION ALL
  MATCH (p:Popularity {name: 'communities'})
  WHERE size(ids) = 0 AND $tag IS NULL
  UNWIND range(0, size(p.community_ids) - 1) AS place
  MATCH (k:Community {id: p.community_ids[place]})
  RETURN k, 2 AS rank, p.scores[place] AS score, null AS why, [] AS tags
UNION ALL
  MATCH (:Tag {key: $tag})<-[:ABOUT]-(k:Community)
  RETURN k, 2 AS rank, log(1.0 + k.member_count) / 1000 AS score, null AS why, [] AS tags
}
WITH me, joined, k AS x, rank, score, why, tags
WHERE x.visibility = 'PUBLIC' AND x.archived_at IS NULL AND NOT x.id IN joined
  AND ($tag IS NULL OR EXISTS { (x)-[:ABOUT]->(:Tag {key: $tag}) })
  AND """
    + ELIGIBLE
    + """
WITH x.id AS id, rank, score, why, tags
ORDER BY rank
WITH id, head(collect({rank: rank, score: score, why: why, tags: tags})) AS found
WITH id, found.rank AS rank, found.score AS score, found.why AS why, found.tags AS tags
WHERE rank > $rank OR (rank = $rank AND (score < $score OR (score = $score AND id > $id)))
RETURN id AS community_id, rank, score, why, tags
ORDER BY rank, score DESC, community_id
LIMIT $limit
"""
)


async def recommended_communities(
    graph: GraphClient, customer_id: str, *, tag: str | None, first: int | None, after: str | None
) -> Page[Row]:
    """Communities for the customer with score and reasons, the best first, less what no longer holds since the run.

    With a tag, those about it; who has no list, or is unknown, gets what matches their tags and what is popular.
    """
    size = page_size(first)
    rank, score, last_id = decode_cursor(after, int, float, str) or (-1, 0.0, "")
    rows = await graph.read(
        RECOMMENDED,
        customer_id=customer_id,
        tag=tag,
        now=iso(utc_now()),
        rank=rank,
        score=score,
        id=last_id,
        limit=size + 1,
    )
    page = cut(rows, size, lambda row: (row["rank"], row["score"], row["community_id"]))
    return Page([shown(row) for row in page.rows], page.cursors, page.has_next)


def shown(row: Row) -> Row:
    """A row as it is read from a list or, without one, with the reason for which it was found."""
    return {"community_id": row["community_id"], "score": row["score"], "reasons": reasons_of(row)}


def reasons_of(row: Row) -> list[dict[str, Any]]:
    if row["why"] is not None:
        return orjson.loads(row["why"])
    if row["tags"]:
        return [{"kind": "SHARED_TAGS", "tags": sorted(row["tags"])}]
    return [{"kind": "POPULAR"}]
