"""Single lists brought up to date between two runs: for whoever joined, left or was tagged, and for new communities.

The model is that of the last run. What communities have said of themselves since is laid over it: of those that it
knows their tags and whether they are open, and those that are newer are scored apart, by their tags alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import orjson
from scipy.sparse import csr_array, diags_array

from community.recommendation_learning import Model, fit, inverse_document_frequency, telling_tags, weighted_tags
from community.recommendation_models import Population
from community.recommendation_order import OrderPolicy
from community.recommendation_scores import Evidence, Recommendation, recommend
from community.recommendations import drop_lists, evidence_of, rows_of, write_lists
from core.clock import iso
from graph.client import GraphClient, Row
from graph.evidence import Charter, Known, charters_since, known_of_some
from graph.export import Catalogue, Incidence, Numbers

# So many communities that changed since a run are laid over its model; the next run, an hour later, knows all.
MOST_CHARTERS = 1_000
# A change that began before a run began to read may have committed after it.
OVERLAP = timedelta(seconds=60)
# A new community is offered at once to so many of those whom it fits, the closest first.
MOST_FITTING = 2_000
# So many places of a list are for communities newer than the model, which have nothing but tags to speak for them.
PLACES_FOR_NEWER = 3
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Since:
    """What holds now: the model with what its communities say by now, and a small one of those that are newer."""

    population: Population
    newer: Model | None


async def update_lists(
    graph: GraphClient,
    population: Population,
    customer_ids: Sequence[str],
    *,
    run_id: str,
    learnt_at: datetime,
    now: datetime,
) -> int:
    """Compute and replace the lists of these customers; returns how many. Two reads for two hundred of them.

    Who is gone has no list any more.
    """
    known = await known_of_some(graph, customer_ids, now=iso(now))
    await drop_lists(graph, sorted({*customer_ids} - {*known.customers}))
    charters = await charters_since(graph, iso(learnt_at - OVERLAP), limit=MOST_CHARTERS)
    rows = await asyncio.to_thread(updated_rows, population, charters, known)
    return await write_lists(graph, rows, now=now, run_id=run_id)


def updated_rows(population: Population, charters: Sequence[Charter], known: Known) -> list[Row]:
    """The lists of these customers as they are stored."""
    since = laid_over(population, charters)
    rows = rows_of(since.population, known.customers, evidence_of(since.population, known))
    if since.newer is None:
        return rows
    newer = recommend(since.newer, evidence_of_newer(since.newer, known))
    policy = population.model.policy
    return [with_newer(row, new, policy.list_length, policy.order) for row, new in zip(rows, newer, strict=True)]


def laid_over(population: Population, charters: Sequence[Charter]) -> Since:
    """The model with what communities have said of themselves since."""
    places = Numbers(population.model.catalogue.communities).of([one.id for one in charters]).tolist()
    known = {place: one for place, one in zip(places, charters, strict=True) if place >= 0}
    newer = [one for place, one in zip(places, charters, strict=True) if place < 0 and one.is_open]
    model = with_charters(population.model, known) if known else population.model
    return Since(replace(population, model=model), newer_model(population.model, newer) if newer else None)


def with_charters(model: Model, charters: dict[int, Charter]) -> Model:
    """The model with the tags and the openness of some of its communities replaced; tags it does not know are left."""
    places = np.array(list(charters), dtype=np.int64)
    eligible = np.array(model.eligible)
    eligible[places] = [one.is_open for one in charters.values()]
    kept = np.ones(len(eligible), dtype=np.float32)
    kept[places] = 0
    said = about_of(list(charters.values()), Numbers(model.catalogue.tags))
    into = csr_array(
        (np.ones(len(places), dtype=np.float32), (places, np.arange(len(places)))), shape=(len(kept), len(places))
    )
    about = csr_array(diags_array(kept) @ model.catalogue.about + into @ said)
    catalogue = replace(model.catalogue, about=about)
    return replace(
        model,
        catalogue=catalogue,
        eligible=eligible,
        about=weighted_tags(about, model.tag_idf),
        telling=telling_tags(about, model.tag_idf),
    )


def about_of(charters: Sequence[Charter], tags: Numbers) -> csr_array:
    """Communities by tags (1), as the catalogue has them."""
    rows = np.repeat(np.arange(len(charters)), [len(one.tags) for one in charters])
    columns = tags.of([tag for one in charters for tag in one.tags])
    found = columns >= 0
    entries = (np.ones(int(found.sum()), dtype=np.float32), (rows[found], columns[found]))
    return csr_array(entries, shape=(len(charters), len(tags)))


def newer_model(model: Model, charters: Sequence[Charter]) -> Model:
    """A model of communities of which nothing is known but tags, which weigh what they weigh in the large one.

    It is learnt from one customer who is in none of them, because there are no memberships to learn from.
    """
    known = Numbers(model.catalogue.tags)
    tags = sorted({*model.catalogue.tags, *(tag for one in charters for tag in one.tags)})
    about = about_of(charters, Numbers(tags))
    catalogue = Catalogue(
        communities=[one.id for one in charters],
        is_public=np.ones(len(charters), dtype=np.bool_),
        is_archived=np.zeros(len(charters), dtype=np.bool_),
        tags=tags,
        about=about,
        ages=np.zeros(len(charters), dtype=np.float32),
        points=np.full((len(charters), 2), np.nan),
    )
    nothing = csr_array((1, len(charters)), dtype=np.float32)
    nobody = Incidence(["-"], catalogue.communities, nothing, nothing)
    fitted = fit(model.policy, catalogue, nobody)
    # A tag that the large model does not know is as rare there as can be.
    rarest = inverse_document_frequency(csr_array((len(model.catalogue.communities), 1), dtype=np.float32))
    places = known.of(tags)
    idf = np.where(places >= 0, np.append(model.tag_idf, rarest)[places], rarest[0]).astype(np.float32)
    return replace(fitted, tag_idf=idf, about=weighted_tags(about, idf))


def evidence_of_newer(model: Model, known: Known) -> Evidence:
    """What is known, as far as it speaks for communities of which only their tags are known."""
    people = len(known.customers)
    nobody = csr_array((people, 1), dtype=np.float32)
    communities = Numbers(model.catalogue.communities)
    return Evidence(
        taken=known.memberships(communities),
        joined=known.joined(communities),
        tags=known.matrix("tags", Numbers(model.catalogue.tags)),
        acquaintances=nobody,
        referees=nobody,
        open_referees=nobody,
        referrers=nobody,
        seeds=np.zeros(people, dtype=np.uint64),
    )


def with_newer(row: Row, new: Sequence[Recommendation], length: int, order: OrderPolicy) -> Row:
    """A list with newer communities where their scores put them, some of its last places being kept for the best."""
    newer = sorted(new, key=in_order)
    places = [(float(place), place, None) for place in range(len(row["scores"]))]
    # The first ten do not all go to what is new about one tag: whatever the others' tags, it is no more than of one.
    behind = [0.0 if number < order.tag_cap else order.head - order.tag_cap for number in range(len(newer))]
    found = [max(float(better(row["scores"], item)), least) for item, least in zip(newer, behind, strict=True)]
    places += [(place - 0.5, number, item) for number, (place, item) in enumerate(zip(found, newer, strict=True))]
    best = sorted(places, key=lambda one: one[:2])[:length]
    missing = [one for one in places[len(row["scores"]) :][:PLACES_FOR_NEWER] if one not in best]
    kept = [*best[: length - len(missing)], *missing]
    columns = ("community_ids", "scores", "reasons")
    cells = [
        (item.community_id, item.score, orjson.dumps(item.reasons).decode())
        if item
        else tuple(row[column][place] for column in columns)
        for _, place, item in kept
    ]
    return {**row, **{column: [cell[number] for cell in cells] for number, column in enumerate(columns)}}


def better(scores: Sequence[float], item: Recommendation) -> int:
    """Before how many of a list an item does not come."""
    return sum(score >= item.score for score in scores)


def in_order(item: Recommendation) -> tuple[float, str]:
    return -item.score, item.community_id


FITTING = """
MATCH (c:Community {id: $id})
WHERE c.visibility = 'PUBLIC' AND c.archived_at IS NULL AND c.segment_id IS NULL
MATCH (c)-[:ABOUT]->(t:Tag)<-[g:TAGGED]-(x:Customer)
WHERE g.until IS NULL OR g.until > $now
WITH x.id AS id, sum(coalesce(g.confidence, 1.0)) AS fit
RETURN id
ORDER BY fit DESC, id
LIMIT $limit
"""


async def fitting_customers(graph: GraphClient, community_id: str, *, limit: int, now: datetime) -> list[str]:
    """Whom a community fits by its tags, the closest first; nobody where it is not open to be found."""
    rows = await graph.read(FITTING, timeout=TIMEOUT_SECONDS, id=community_id, now=iso(now), limit=limit)
    return [row["id"] for row in rows]
