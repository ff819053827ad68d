"""The neighbourhood of a referral and the export of all, read from real graphs with identifiers that hundreds share."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from core.clock import utc_now
from core.db import Database
from core.identifiers import IdentifierKind
from core.ids import new_id
from customers.identifiers import Sighting, put_uses
from graph.client import GraphClient
from graph.export import export_referrers
from graph.identifiers import export_uses
from referrals.fraud_graph import group_around, read_neighbourhoods
from referrals.fraud_rings import KINDS, RingSearch, Ties
from referrals.fraud_signals import FraudPolicy, assess
from tests.referrals.programs import claim, code_of, make_people, make_program

pytestmark = pytest.mark.anyio

POLICY = FraudPolicy()


async def share(graph: GraphClient, kind: IdentifierKind, people: Sequence[str]) -> str:
    """An identifier that all of these use; returns its key."""
    key = new_id().replace("-", "")
    await put_uses(graph, [Sighting(person, kind, key, utc_now()) for person in people])
    return key


async def refer_all(graph: GraphClient, database: Database, referrer: str, referees: Sequence[str]) -> None:
    code = await code_of(database, await make_program(database), referrer)
    for referee in referees:
        await claim(database, graph, code, referee)


async def test_the_neighbourhood_has_who_shares_and_never_walks_through_what_many_share(
    graph: GraphClient, database: Database
) -> None:
    """Given a device of the referee and two siblings, a tower block of 300; then the three and no neighbour."""
    lin, wu, *siblings = await make_people(graph, 4)
    block = await make_people(graph, 300)
    device = await share(graph, IdentifierKind.DEVICE, [wu, *siblings])
    tower = await share(graph, IdentifierKind.ADDRESS, [lin, wu, *siblings, *block])
    own = await share(graph, IdentifierKind.CARD, [lin])
    await refer_all(graph, database, lin, [wu, *siblings])

    before = graph.round_trips
    (around,) = await read_neighbourhoods(graph, [(lin, wu)], POLICY)

    assert graph.round_trips - before <= 4
    assert set(around.uses) == {lin, wu, *siblings}
    assert {key: (one.kind, one.degree) for key, one in around.identifiers.items()} == {
        device: ("DEVICE", 3),
        tower: ("ADDRESS", 41),
        own: ("CARD", 1),
    }
    group = group_around(around, lin, wu, POLICY)
    found = assess(around, group, households={}, policy=POLICY)
    assert group == {lin, wu, *siblings}
    assert [(signal.name, len(signal.path)) for signal in found.signals] == [("SHARED_DEVICE", 4)]
    assert all(tie.at and utc_now() - tie.at < timedelta(minutes=5) for tie in around.ties)


async def test_two_who_share_nothing_have_an_empty_neighbourhood(graph: GraphClient, database: Database) -> None:
    lin, wu = await make_people(graph, 2)
    await refer_all(graph, database, lin, [wu])
    (around,) = await read_neighbourhoods(graph, [(lin, wu)], POLICY)
    assert (around.identifiers, dict(around.uses), len(around.ties)) == ({}, {}, 1)
    assert assess(around, {lin, wu}, households={}, policy=POLICY).score == 0


async def test_many_neighbourhoods_are_read_at_once_and_each_is_what_it_is_alone(
    graph: GraphClient, database: Database
) -> None:
    """Given referrals that share a device, a home, a referrer or nothing; then four round trips tell them all."""
    lin, wu, mei, *people = await make_people(graph, 9)
    await share(graph, IdentifierKind.DEVICE, [lin, wu, people[0]])
    await share(graph, IdentifierKind.ADDRESS, [mei, people[1], people[2]])
    await share(graph, IdentifierKind.CARD, [people[0], people[3]])
    await refer_all(graph, database, lin, [wu, mei, people[0]])
    await refer_all(graph, database, mei, [people[1], people[2]])
    await refer_all(graph, database, people[1], [people[3]])
    pairs = [(lin, wu), (lin, mei), (lin, people[0]), (mei, people[1]), (mei, people[2]), (people[1], people[3])]

    before = graph.round_trips
    together = await read_neighbourhoods(graph, pairs, POLICY)

    assert graph.round_trips - before <= 4
    alone = [(await read_neighbourhoods(graph, [pair], POLICY))[0] for pair in pairs]
    assert [(one.identifiers, one.uses, set(one.ties)) for one in together] == [
        (one.identifiers, one.uses, set(one.ties)) for one in alone
    ]


async def test_the_export_gives_the_rings_of_the_graph(graph: GraphClient, database: Database) -> None:
    """Given five who came by one referrer in a chain of shared cards; when all are exported; then they are one ring."""
    lin, *mules = await make_people(graph, 6)
    for one, other in pairwise(mules):
        await share(graph, IdentifierKind.CARD, [one, other])
    await refer_all(graph, database, lin, mules)
    customers = sorted([lin, *mules])
    everybody = {customer: number for number, customer in enumerate(customers)}
    uses = await export_uses(graph, customers, KINDS)
    ties = Ties(customers, uses, await export_referrers(graph, customers, everybody))

    search = RingSearch(ties, POLICY)
    (group,) = search.groups()

    assert len(uses.keys) == 8
    assert [customers[place] for place in search.members(group)] == customers
