"""What both servers are asked for, and how their answers are told in one form, so that they can be held together."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One question to either server, and what each answer comes to; the variables are `id` and, for ours, `own`."""

    name: str
    ours: str
    peer: str
    told: Callable[[Any], Told]
    told_by_peer: Callable[[Any], Told]


OURS_COMMUNITY = """
query Community($id: ID!) {
  community(id: $id) {
    id name purpose memberCount visibility joinPolicy createdAt
    members(first: 20) { edges { role since node { id displayName } } }
    events(first: 10) { edges { node { id title startsAt endsAt venue capacity registeredCount } } }
  }
}
"""
PEER_COMMUNITY = """
query Community($id: ID!) {
  communities(where: { id: { eq: $id } }) {
    id name_en purpose_en member_count visibility join_policy created_at
    membersConnection(first: 20) { edges { properties { role since } node { id display_name } } }
    eventsConnection(first: 10) { edges { node { id title_en starts_at ends_at venue capacity registered } } }
  }
}
"""
OURS_PROFILE = """
query Profile($id: ID!, $program: ID!) {
  viewer {
    customer { id displayName tags { source confidence tag { key name family } } }
    communities(first: 20) { edges { node { id name memberCount } } }
  }
  referralTree(customerId: $id, programId: $program, maxDepth: 3, first: 100) {
    levels { depth nodes { referredAt customer { id displayName } } }
  }
}
"""
PEER_PROFILE = """
query Profile($id: ID!) {
  customers(where: { id: { eq: $id } }) {
    id display_name
    tagsConnection { edges { properties { source confidence } node { key name_en family } } }
    communitiesConnection(first: 20) { edges { node { id name_en member_count } } }
    referredConnection(first: 100) {
      edges {
        properties { at }
        node {
          id display_name
          referredConnection(first: 100) {
            edges {
              properties { at }
              node {
                id display_name
                referredConnection(first: 100) { edges { properties { at } node { id display_name } } }
              }
            }
          }
        }
      }
    }
  }
}
"""
OURS_RECOMMENDATIONS = """
query Recommendations {
  viewer {
    recommendedCommunities(first: 40) {
      edges {
        score
        reasons { __typename text }
        node { id name purpose memberCount visibility joinPolicy createdAt tags { key name family } }
      }
    }
  }
}
"""
PEER_RECOMMENDATIONS = """
query Recommendations($id: ID!) {
  customers(where: { id: { eq: $id } }) {
    recommendationsConnection(first: 40) {
      edges {
        node {
          score place
          reasons { kind text }
          community {
            id name_en purpose_en member_count visibility join_policy created_at tags { key name_en family }
          }
        }
      }
    }
  }
}
"""


# Ours has an order in each list, without which a page is none.
ORDERS = {
    "membersConnection(first: 20)": "membersConnection(first: 20, sort: [{ edge: { since: ASC } }])",
    "eventsConnection(first: 10)": "eventsConnection(first: 10, sort: [{ node: { starts_at: ASC } }])",
    "communitiesConnection(first: 20)": "communitiesConnection(first: 20, sort: [{ node: { id: ASC } }])",
    "referredConnection(first: 100)": "referredConnection(first: 100, sort: [{ edge: { at: ASC } }])",
    "recommendationsConnection(first: 40)": "recommendationsConnection(first: 40, sort: [{ node: { place: ASC } }])",
}


def in_order(document: str) -> str:
    """The peer's document with an order in each of its lists."""
    for plain, ordered in ORDERS.items():
        document = document.replace(plain, ordered)
    return document


def local(global_id: str) -> str:
    """The id that a global one stands for."""
    return base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode().partition(":")[2]


def nodes(connection: Any) -> list[Any]:
    return [edge["node"] for edge in connection["edges"]]


def community(data: Any) -> Told:
    found = data["community"]
    members = {
        (local(edge["node"]["id"]), edge["node"]["displayName"], edge["role"]) for edge in found["members"]["edges"]
    }
    events = {(local(one["id"]), one["title"], one["startsAt"], one["capacity"]) for one in nodes(found["events"])}
    return {"name": found["name"], "count": found["memberCount"], "members": members, "events": events}


def peers_community(data: Any) -> Told:
    (found,) = data["communities"]
    edges = found["membersConnection"]["edges"]
    members = {(edge["node"]["id"], edge["node"]["display_name"], edge["properties"]["role"]) for edge in edges}
    events = {
        (one["id"], one["title_en"], one["starts_at"], one["capacity"]) for one in nodes(found["eventsConnection"])
    }
    return {"name": found["name_en"], "count": found["member_count"], "members": members, "events": events}


def profile(data: Any) -> Told:
    customer, levels = data["viewer"]["customer"], data["referralTree"]["levels"]
    return {
        "name": customer["displayName"],
        "tags": {(one["tag"]["key"], one["source"], one["confidence"]) for one in customer["tags"]},
        "communities": {(local(one["id"]), one["memberCount"]) for one in nodes(data["viewer"]["communities"])},
        "downline": {(level["depth"], local(one["customer"]["id"])) for level in levels for one in level["nodes"]},
    }


def peers_profile(data: Any) -> Told:
    (found,) = data["customers"]
    tags = found["tagsConnection"]["edges"]
    return {
        "name": found["display_name"],
        "tags": {
            (edge["node"]["key"], edge["properties"]["source"], edge["properties"]["confidence"]) for edge in tags
        },
        "communities": {(one["id"], one["member_count"]) for one in nodes(found["communitiesConnection"])},
        "downline": set(below(found, 1)),
    }


def below(customer: Any, depth: int) -> list[tuple[int, str]]:
    referred = nodes(customer.get("referredConnection") or {"edges": []})
    return [(depth, one["id"]) for one in referred] + [found for one in referred for found in below(one, depth + 1)]


def recommendations(data: Any) -> Told:
    return {
        local(edge["node"]["id"]): (
            edge["score"],
            tuple((one["__typename"], one["text"]) for one in edge["reasons"]),
            edge["node"]["memberCount"],
            {tag["key"] for tag in edge["node"]["tags"]},
        )
        for edge in data["viewer"]["recommendedCommunities"]["edges"]
    }


def peers_recommendations(data: Any) -> Told:
    (found,) = data["customers"]
    return {
        one["community"][0]["id"]: (
            one["score"],
            tuple(sorted((reason["kind"], reason["text"]) for reason in one["reasons"])),
            one["community"][0]["member_count"],
            {tag["key"] for tag in one["community"][0]["tags"]},
        )
        for one in nodes(found["recommendationsConnection"])
    }


def in_one_order(told: Callable[[Any], Told]) -> Callable[[Any], Told]:
    """Ours with the reasons of each in the order of their kinds: the peer's are in none."""

    def sorted_reasons(data: Any) -> Told:
        return {key: (score, tuple(sorted(why)), *rest) for key, (score, why, *rest) in told(data).items()}

    return sorted_reasons


QUESTIONS = (
    Question("a community, 20 members, 10 events", OURS_COMMUNITY, PEER_COMMUNITY, community, peers_community),
    Question("a profile and its downline", OURS_PROFILE, PEER_PROFILE, profile, peers_profile),
    Question(
        "recommendations with reasons",
        OURS_RECOMMENDATIONS,
        PEER_RECOMMENDATIONS,
        in_one_order(recommendations),
        peers_recommendations,
    ),
)
