"""The live transports, by the clients that their protocols come from (npm graphql-ws and graphql-sse)."""

from typing import Any

import pytest

from tests.clients.conftest import PATIENCE_SECONDS, Run
from tests.ops.started import Started

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS)

COMMUNITY = "{ viewer { communities(first: 1) { edges { node { id } } } } }"
FOLLOW = """
subscription($community: ID!, $after: String) {
  communityActivity(communityId: $community, after: $after) { kind subject { __typename } }
}
"""
POST = """
mutation($community: ID!, $text: String!) {
  createPost(input: {communityId: $community, text: $text, language: "en"}) { __typename }
}
"""
ME: list[dict[str, Any]] = [{"data": {"viewer": {"subject": "chen-hao"}}}]
ACTIVITY = {"communityActivity": {"kind": "POST", "subject": {"__typename": "Post"}}}
LIVE = {"message": ACTIVITY, "done": True, "missed": ACTIVITY, "moved": True}


@pytest.fixture(scope="module")
def followed(bank: Started, tokens: dict[str, str]) -> dict[str, Any]:
    """A subscription of Chen Hao's to his own community, and what he does there."""
    owner = tokens["chen-hao"]
    community = bank.ask(owner, COMMUNITY)["viewer"]["communities"]["edges"][0]["node"]["id"]
    act = {"token": owner, "query": POST, "variables": {"community": community, "text": "We meet at eight."}}
    return {"token": owner, "subscription": FOLLOW, "variables": {"community": community}, "act": act}


def test_the_client_of_graphql_ws_is_served(run: Run, followed: dict[str, Any]) -> None:
    """Given its client, then it queries, follows, completes and pings; without a good token it is refused by code."""
    found = run("websocket", **followed)
    assert found == {
        "query": ME,
        "invalid": ["GRAPHQL_VALIDATION_FAILED"],
        "pong": True,
        "live": LIVE,
        "afterwards": ME,
        "nobody": {"code": 4401, "reason": "Unauthorized"},
        "forged": {"code": 4403, "reason": "Forbidden"},
    }


def test_the_client_of_graphql_sse_is_served(run: Run, followed: dict[str, Any]) -> None:
    """Given its client with a connection for each operation, then the same; nobody without a token gets a stream."""
    found = run("events", **followed)
    (invalid,) = found.pop("invalid")
    assert [error["extensions"]["code"] for error in invalid["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]
    assert found == {
        "query": ME,
        "live": LIVE,
        "afterwards": ME,
        "nobody": 401,
        "forged": 401,
    }
