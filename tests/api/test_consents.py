"""Consent: the customer's own word, or a document in the hands of who looks after them; history answers."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.relay import global_id
from core.clock import iso, utc_now
from customers.consents import Consent, ConsentChannel, ConsentPurpose, ConsentStatus, counts, has_consent
from tests.api.conftest import Caller, System
from tests.api.test_customer360 import somebody, staff
from tests.customers.people import import_rows

pytestmark = pytest.mark.anyio

GRANT = """
mutation($input: ConsentInput!) {
  said: grantConsent(input: $input) { ... on GrantConsentSuccess { consent { ...C } } ... on Refusal { code path } }
}
fragment C on Consent { purpose channel status source evidence givenBy }
"""
REVOKE = GRANT.replace("grantConsent", "revokeConsent").replace("GrantConsentSuccess", "RevokeConsentSuccess")
CONSENTS = "query($id: ID, $at: DateTime) { consents(customerId: $id, at: $at) { purpose channel status } }"


async def say(caller: Caller, document: str, **input: Any) -> dict[str, Any]:
    return (await caller.ask(document, input={"purpose": "MARKETING", **input}))["said"]["consent"]


async def test_customers_say_what_they_allow_and_take_it_back(system: System, unique: str) -> None:
    lin = await system.customer(f"lin-{unique}")
    assert (await lin.ask(CONSENTS))["consents"] == []
    granted = await say(lin, GRANT, channel="SMS")
    assert (granted["status"], granted["source"], granted["evidence"]) == ("GRANTED", "oidc", None)
    before = iso(utc_now())
    assert (await say(lin, REVOKE, channel="SMS"))["status"] == "REVOKED"
    assert (await say(lin, REVOKE, channel="EMAIL"))["status"] == "DENIED"
    assert (await lin.ask(CONSENTS, at=before))["consents"] == [
        {"purpose": "MARKETING", "channel": "SMS", "status": "GRANTED"}
    ]
    now = {(one["channel"], one["status"]) for one in (await lin.ask(CONSENTS))["consents"]}
    assert now == {("SMS", "REVOKED"), ("EMAIL", "DENIED")}


async def test_staff_note_it_by_a_document_for_those_whom_they_look_after(system: System, unique: str) -> None:
    lin = await somebody(system, unique)
    id = global_id("Customer", lin.customer_id)
    zhou = staff(system, f"zhou-{unique}")
    for evidence in (None, "", "Mrs Lin said so", "x" * 101):
        error = await zhou.fail(GRANT, input={"purpose": "CARE", "customerId": id, "evidence": evidence})
        assert error["extensions"]["reason"] == "CONSENT_EVIDENCE_INVALID"
    noted = await say(zhou, GRANT, customerId=id, evidence="A-2026/17")
    assert (noted["channel"], noted["evidence"], noted["givenBy"]) == ("ALL", "A-2026/17", f"zhou-{unique}")
    for caller in (staff(system, f"sun-{unique}"), await system.customer(f"x-{unique}")):
        for document in (GRANT, REVOKE):
            error = await caller.fail(document, input={"purpose": "CARE", "customerId": id, "evidence": "A-1"})
            assert error["extensions"]["code"] == "FORBIDDEN"
        assert (await caller.fail(CONSENTS, id=id))["extensions"]["code"] == "FORBIDDEN"
    assert len((await zhou.ask(CONSENTS, id=id))["consents"]) == 1


async def test_imported_words_count_by_their_dates_and_once(system: System, unique: str) -> None:
    """Given words told in any order and twice; then the latest by its own date counts, and at each instant its own."""
    lin = await somebody(system, unique)
    days = [utc_now() - timedelta(days=ago) for ago in (1, 3, 2)]
    rows = [
        {
            "kind": "consent",
            "customer": "1",
            "purpose": "CARE",
            "channel": "PHONE",
            "status": status,
            "given_at": at.isoformat(),
        }
        for at, status in zip(days, ("REVOKED", "DENIED", "GRANTED"), strict=True)
    ]
    bad = [rows[0] | {"given_at": "2999-01-01T00:00:00Z"}, rows[0] | {"evidence": "She said so"}]
    for _ in range(2):
        report = await import_rows(system.edge.database, system.edge.graph, unique, *rows, *bad)
        assert (report.accepted, report.rejected) == (3, 2)
    async with system.edge.database.read() as session:

        async def allowed(ago: float) -> bool:
            now = utc_now() - timedelta(days=ago)
            return await has_consent(session, lin.customer_id, ConsentPurpose.CARE, ConsentChannel.PHONE, now=now)

        assert [await allowed(ago) for ago in (0, 1.5, 2.5, 4)] == [False, True, False, False]
    history = "query($id: ID!) { customer360(id: $id) { consentHistory { status } } }"
    whole = await staff(system, f"zhou-{unique}").ask(history, id=global_id("Customer", lin.customer_id))
    assert [one["status"] for one in whole["customer360"]["consentHistory"]] == ["REVOKED", "GRANTED", "DENIED"]


WORDS = st.none() | st.tuples(st.sampled_from(list(ConsentStatus)), st.integers(0, 3))


@given(WORDS, WORDS)
def test_a_channel_is_allowed_by_its_own_or_a_general_word_and_by_no_refusal(
    own: tuple[ConsentStatus, int] | None, general: tuple[ConsentStatus, int] | None
) -> None:
    """A plain reading: what was said of the channel counts, but a later refusal of everything ends it."""
    at = utc_now()

    def word(said: tuple[ConsentStatus, int] | None) -> Consent | None:
        if said is None:
            return None
        given_at = at + timedelta(days=said[1])
        return Consent(
            id="x",
            customer_id="x",
            purpose="CARE",
            channel="SMS",
            status=said[0],
            source="x",
            given_by="x",
            given_at=given_at,
            recorded_at=at,
        )

    if own is not None and general is not None and own[0] == "GRANTED":
        expected = general[0] == "GRANTED" or general[1] <= own[1]
    else:
        counting = own or general
        expected = counting is not None and counting[0] == "GRANTED"
    assert counts(word(own), word(general)) == expected
