"""Erasure in all rooms: what is owed when a customer was erased. Cut off anywhere and begun again, it ends the same."""

from datetime import datetime

from community.erasure import blank_reports, erase_in_communities
from community.recommendation_due import owe_recommendations
from core.db import Session
from core.traces import all_traces, erase_traces
from customers.erasure import erase_node, finish_erasure
from graph.client import GraphClient
from loyalty.erasure import erase_customer
from referrals.erasure import erase_in_referrals


async def erase_everywhere(session: Session, graph: GraphClient, customer_id: str, *, now: datetime) -> None:
    """Close the books, take the words out of the rooms and the graph, and write the report."""
    # A list that is being written meanwhile goes with this.
    await owe_recommendations(session, [customer_id], now=now)
    # Points of places that are given back meanwhile go to the house, whose books close first.
    erased = await erase_customer(session, customer_id, now=now)
    places = {"points forfeited": erased.forfeited, "points written off": erased.written_off}
    places |= await erase_in_referrals(session, customer_id, now=now)
    places |= await blank_reports(session, customer_id)
    places |= await erase_traces(session, list(all_traces()), customer_id)
    places |= {f"graph: {place}": count for place, count in (await in_graph(graph, customer_id, now=now)).items()}
    await finish_erasure(session, customer_id, places, now=now)


async def in_graph(graph: GraphClient, customer_id: str, *, now: datetime) -> dict[str, int]:
    done = await erase_in_communities(graph, customer_id, now=now)
    return done | await erase_node(graph, customer_id)
