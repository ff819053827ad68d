"""The computation of recommended communities: for ranges of customers, stored as one list each.

Of all customers at once there is but the matrix of memberships, 8 bytes an edge, and their ids (graph/export.py).
Whatever else is known is read for some thousand customers, whose lists are written before the next are read.
"""

import asyncio
import gc
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import LiteralString

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.sparse import csr_array

from community.recommendation_choice import LARGEST_SAMPLE, choose
from community.recommendation_learning import Model, ScoringPolicy, fit
from community.recommendation_models import Chosen, Population
from community.recommendation_order import seeds_of
from community.recommendation_policies import RunPlan, Variant
from community.recommendation_scores import Evidence, Recommendation, recommend
from core.batches import in_batches
from core.clock import iso
from graph.client import GraphClient, Row
from graph.evidence import Known, known_of_range, known_of_some
from graph.export import (
    IS_THERE,
    Catalogue,
    Incidence,
    Numbers,
    day_number,
    export_all_memberships,
    export_catalogue,
    export_customer_ids,
)

CUSTOMERS_AT_ONCE = 4_000
LISTS_AT_ONCE = 500
# A policy is chosen from so many customers at least, with so many memberships each, for so many communities at most.
LEAST_SAMPLE = 200
CHOOSING_MEMBERSHIPS = 3
CHOOSING_COMMUNITIES = 2_000
TIMEOUT_SECONDS = 60.0
# What a newcomer is offered beyond the communities about their tags.
POPULAR_LENGTH = 100


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did: customers in its range, lists written, and how long it took."""

    customers: int
    lists_written: int
    seconds: float


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
    """Learn, and replace the lists of the customers from `first_id` to `last_id`, both included; all by default.

    Each list is replaced whole, so that a run that dies leaves old lists and new ones; run again, it ends the same.
    """
    began = time.monotonic()
    population = await learn(graph, policy, now=now)
    await write_popularity(graph, population.model, now=now, run_id=run_id)
    customers = await export_customer_ids(graph, first_id=first_id, last_id=last_id, there=True)
    written = await compute_lists(
        graph, population, customers, now=now, run_id=run_id, customers_at_once=customers_at_once
    )
    return RunReport(len(customers), written, time.monotonic() - began)


async def learn(
    graph: GraphClient,
    policy: ScoringPolicy,
    *,
    now: datetime,
    plan: RunPlan | None = None,
    choosing: bool = False,
) -> Population:
    """Read what concerns everybody: who is a member of what, and what communities are about.

    Choosing, the memberships choose the policy; what the plan says stands above it.
    """
    plan = plan or RunPlan()
    catalogue = await export_catalogue(graph, now=now)
    memberships = await export_all_memberships(graph, catalogue.communities, now=now)
    customers = Numbers(memberships.customers).ids
    chosen = await chosen_policy(graph, policy, catalogue, memberships, now=now) if choosing else policy
    decided = plan.definition(Variant.CONTROL).over(chosen)
    today = day_number(iso(now))
    model = await asyncio.to_thread(fit, decided, catalogue, memberships, today=today)
    return Population(customers, model, plan, Chosen(chosen, today) if choosing else Chosen())


async def chosen_policy(
    graph: GraphClient, policy: ScoringPolicy, catalogue: Catalogue, memberships: Incidence, *, now: datetime
) -> ScoringPolicy:
    """The policy that the memberships themselves choose, or the given one where they are too few to say.

    The latest memberships are hidden, because a list is of what comes next. Of many communities each try inverts a
    large matrix, which is too much for a run that begins every hour.
    """
    able = np.flatnonzero(np.diff(csr_array(memberships.matrix > 0).indptr) >= CHOOSING_MEMBERSHIPS)
    if len(able) < LEAST_SAMPLE or len(catalogue.communities) > CHOOSING_COMMUNITIES:
        return policy
    chance = np.random.default_rng(len(able))
    rows = np.sort(chance.choice(able, min(LARGEST_SAMPLE, len(able)), replace=False))
    everybody = Numbers(memberships.customers)
    known = await known_of_some(graph, [key.decode() for key in everybody.ids[rows].tolist()], now=iso(now))
    if len(known.customers) < len(rows):
        # Somebody is gone meanwhile; what is left is not worth a second look.
        return policy
    evidence = evidence_by(known, catalogue, everybody)
    # What was read a moment later must not differ: both are to hide the same.
    own = replace(evidence, taken=memberships.matrix[rows], joined=memberships.joined[rows])
    return await asyncio.to_thread(choose, policy, catalogue, memberships, own, rows, latest=True)


async def compute_lists(
    graph: GraphClient,
    population: Population,
    customers: Sequence[str],
    *,
    now: datetime,
    run_id: str,
    customers_at_once: int = CUSTOMERS_AT_ONCE,
) -> int:
    """Compute and write the lists of consecutive customers, in order of id; returns how many were written."""
    written = 0
    for part in in_batches(customers, customers_at_once):
        known = await known_of_range(graph, part, now=iso(now))
        lists = await asyncio.to_thread(list_rows, population, known)
        written += await write_lists(graph, lists, now=now, run_id=run_id)
    return written


def evidence_of(population: Population, known: Known) -> Evidence:
    """What is known, as matrices by the numbers of a model."""
    return evidence_by(known, population.model.catalogue, Numbers(population.customers))


def evidence_by(known: Known, catalogue: Catalogue, everybody: Numbers) -> Evidence:
    communities = Numbers(catalogue.communities)
    return Evidence(
        taken=known.memberships(communities),
        joined=known.joined(communities),
        tags=known.matrix("tags", Numbers(catalogue.tags)),
        acquaintances=known.matrix("acquaintances", everybody, once=True),
        referees=known.matrix("referees", everybody, once=True),
        open_referees=known.matrix("open_referees", everybody, once=True),
        referrers=known.matrix("referrers", everybody, once=True),
        seeds=seeds_of(known.customers, known.now.date()),
    )


def list_rows(population: Population, known: Known) -> list[Row]:
    """The lists of these customers as they are stored."""
    return rows_of(population, known.customers, evidence_of(population, known))


def rows_of(population: Population, customers: Sequence[str], evidence: Evidence) -> list[Row]:
    """The lists that follow from the evidence, as they are stored; in a trial, each by the policy of its variant."""
    with uncollected():
        found: dict[int, Row] = {}
        for variant, places in by_variant(population.plan, customers).items():
            lists = recommend(model_for(population, variant), evidence.part_of(places))
            numbers: list[int] = places.tolist()
            for place, items in zip(numbers, lists, strict=True):
                found[place] = list_row(customers[place], items, variant)
        return [found[place] for place in range(len(customers))]


def by_variant(plan: RunPlan, customers: Sequence[str]) -> dict[Variant, NDArray[np.int64]]:
    """The places of these customers by the policy that makes their lists."""
    variants = np.array([plan.variant(customer) for customer in customers], dtype=np.str_)
    places = {variant: np.flatnonzero(variants == variant) for variant in Variant}
    return {variant: found for variant, found in places.items() if found.size}


def model_for(population: Population, variant: Variant) -> Model:
    """The run's model by the policy of a variant; what was learnt is the same for both."""
    if variant is Variant.CONTROL:
        return population.model
    policy = population.plan.definition(variant).over(population.model.policy)
    return replace(population.model, policy=policy)


@contextmanager
def uncollected() -> Generator[None, None, None]:
    """Look for no circles of garbage meanwhile: among some hundred thousand reasons there are none, and it takes half
    the time to look."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def list_row(customer_id: str, found: Sequence[Recommendation], variant: Variant = Variant.CONTROL) -> Row:
    """One list; reasons are texts, because a graph's property holds no maps."""
    return {
        "customer_id": customer_id,
        "variant": variant.value,
        "community_ids": [item.community_id for item in found],
        "scores": [item.score for item in found],
        "reasons": [orjson.dumps(item.reasons).decode() for item in found],
    }


# What follows from what was read later is not replaced: a change since then has its own computation. Who is gone since
# it was read gets no list any more.
WRITE_LISTS: LiteralString = (
    """
UNWIND $rows AS row
MATCH (c:Customer {id: row.customer_id})
WHERE """
    + IS_THERE
    + """
MERGE (l:RecommendationList {customer_id: row.customer_id})
WITH l, row
WHERE l.computed_at IS NULL OR l.computed_at <= $now
SET l.community_ids = row.community_ids, l.scores = row.scores, l.reasons = row.reasons,
    l.variant = row.variant, l.computed_at = $now, l.run_id = $run_id
RETURN count(l) AS written
"""
)
DROP_LISTS = """
UNWIND $ids AS id
MATCH (l:RecommendationList {customer_id: id})
DETACH DELETE l
"""


async def write_lists(graph: GraphClient, rows: Sequence[Row], *, now: datetime, run_id: str) -> int:
    """Replace these lists, some hundred in a transaction; returns how many.

    `now` is when what they follow from was read: a list that follows from something later stays.
    """
    written = 0
    for part in in_batches(rows, LISTS_AT_ONCE):
        (done,) = await graph.write(WRITE_LISTS, timeout=TIMEOUT_SECONDS, rows=part, now=iso(now), run_id=run_id)
        written += done["written"]
    return written


async def drop_lists(graph: GraphClient, customer_ids: Sequence[str]) -> None:
    """Delete the lists of those who are gone: one may have been written while they went."""
    if customer_ids:
        await graph.write(DROP_LISTS, timeout=TIMEOUT_SECONDS, ids=list(customer_ids))


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
