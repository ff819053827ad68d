"""Reviews of identity over GraphQL: administrators decide, once, and what they decided goes in."""

import pytest

from api.relay import global_id
from customers.profiles import customer_id_of
from tests.api.conftest import System
from tests.customers.people import import_person, import_rows, row_of

pytestmark = pytest.mark.anyio

REVIEWS = """
query($status: IdentityReviewStatus) {
  identityReviews(status: $status, first: 100) { edges { node {
    id source key line status findings { cause customer { id } } customer { id } decidedBy reason
  } } }
}
"""
DECIDE = """
mutation($input: DecideIdentityReviewInput!) {
  decideIdentityReview(input: $input) {
    ... on DecideIdentityReviewSuccess { review { status customer { id } decidedBy } }
    ... on Refusal { code path }
  }
}
"""


async def test_an_administrator_decides_once_and_the_row_goes_in(system: System, unique: str) -> None:
    """Given a row with the document of one and the phone of another; when kept apart; then it goes in with the one."""
    stores = system.edge.database, system.edge.graph
    one = await import_person(*stores, unique, "1")
    other = await import_person(*stores, unique, "2", document=None)
    row = row_of(unique, "3", document=one.document, phone=other.phone)
    assert (await import_rows(*stores, unique, row)).reviewed == 1

    admin = system.caller("he-jing", "administrator")
    listed = (await admin.ask(REVIEWS, status="OPEN"))["identityReviews"]["edges"]
    (review,) = [edge["node"] for edge in listed if edge["node"]["source"] == unique]
    ids = {"DOCUMENT": global_id("Customer", one.customer_id), "PHONE": global_id("Customer", other.customer_id)}
    assert (review["key"], review["line"]) == ("3", 1)
    assert {found["cause"]: found["customer"]["id"] for found in review["findings"]} == ids
    for caller in (system.caller("zhou", "relationship_manager"), system.caller("x", "customer")):
        assert (await caller.fail(REVIEWS))["extensions"]["code"] == "FORBIDDEN"
        input = {"reviewId": review["id"], "decision": "KEPT_APART", "reason": "x"}
        assert (await caller.fail(DECIDE, input=input))["extensions"]["code"] == "FORBIDDEN"

    wrong = global_id("Customer", (await import_person(*stores, unique, "4")).customer_id)
    for more, reason in (
        ({"decision": "MERGED"}, "REVIEW_CHOICE_INVALID"),
        ({"decision": "OPEN", "customerId": ids["PHONE"]}, "REVIEW_CHOICE_INVALID"),
        ({"customerId": wrong}, "REVIEW_CHOICE_INVALID"),
        ({"reason": " "}, "REVIEW_REASON_INVALID"),
    ):
        error = await admin.fail(DECIDE, input=input | more)
        assert error["extensions"]["reason"] == reason
    chosen = input | {"customerId": ids["DOCUMENT"], "reason": "Both came to the branch"}
    decided = (await admin.ask(DECIDE, input=chosen))["decideIdentityReview"]["review"]
    assert decided == {"status": "KEPT_APART", "customer": {"id": ids["DOCUMENT"]}, "decidedBy": "he-jing"}
    assert (await admin.ask(DECIDE, input=chosen))["decideIdentityReview"]["code"] == "CONFLICT"
    assert (await import_rows(*stores, unique, row)).accepted == 1
    async with system.edge.database.read() as session:
        assert await customer_id_of(session, unique, "3") == one.customer_id


MERGE = """
mutation($survivor: ID!, $merged: ID!) {
  mergeCustomers(input: {survivorId: $survivor, mergedId: $merged, reason: "one person"}) {
    ... on MergeCustomersSuccess { merge { id } }
    ... on Refusal { code path }
  }
}
"""
EXPLAINED = """
query($id: ID!) {
  customer360(id: $id) { id aliases { key } merges { id requestedBy finishedAt moved { what count } oldCustomerId } }
}
"""


async def test_a_review_that_merges_leaves_one_profile_that_explains_itself(system: System, unique: str) -> None:
    """Given a row that names two; when decided that they are one; then the old id leads on, and a record says why."""
    stores = system.edge.database, system.edge.graph
    one = await import_person(*stores, unique, "1")
    other = await import_person(*stores, unique, "2", document=None)
    await import_rows(*stores, unique, row_of(unique, "3", document=one.document, phone=other.phone))
    admin = system.caller("he-jing", "administrator")
    listed = (await admin.ask(REVIEWS, status="OPEN"))["identityReviews"]["edges"]
    (review,) = [edge["node"]["id"] for edge in listed if edge["node"]["source"] == unique]
    stays, goes = global_id("Customer", one.customer_id), global_id("Customer", other.customer_id)
    input = {"reviewId": review, "decision": "MERGED", "customerId": stays, "reason": "seen both papers"}
    decided = (await admin.ask(DECIDE, input=input))["decideIdentityReview"]["review"]
    assert decided["status"] == "MERGED"
    await system.work()
    found = (await admin.ask(EXPLAINED, id=goes))["customer360"]
    assert found["id"] == stays
    assert {alias["key"] for alias in found["aliases"]} == {"1", "2"}
    (merge,) = found["merges"]
    assert (merge["requestedBy"], merge["oldCustomerId"]) == ("he-jing", goes)
    assert merge["finishedAt"] is not None
    assert {"what": "customer_alias.customer_id", "count": 1} in merge["moved"]
    again = (await admin.ask(MERGE, survivor=stays, merged=goes))["mergeCustomers"]
    assert again["merge"]["id"] == merge["id"]
    back = (await admin.ask(MERGE, survivor=goes, merged=stays))["mergeCustomers"]
    assert back == {"code": "MERGE_IMPOSSIBLE", "path": ["input", "mergedId"]}
    by_id = "query($id: ID!) { customerMerge(id: $id) { survivor { id } reason } }"
    assert (await admin.ask(by_id, id=merge["id"]))["customerMerge"] == {
        "survivor": {"id": stays},
        "reason": "seen both papers",
    }
    manager = system.caller("zhou", "relationship_manager")
    assert (await manager.fail(by_id, id=merge["id"]))["extensions"]["code"] == "FORBIDDEN"
    assert (await manager.fail(MERGE, survivor=stays, merged=goes))["extensions"]["code"] == "FORBIDDEN"
