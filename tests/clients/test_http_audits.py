"""GraphQL over HTTP, by the audits of the library that its authors keep (npm graphql-http)."""

import pytest

from tests.clients.conftest import PATIENCE_SECONDS, Run

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS)

AUDITS = 61


def test_every_audit_of_graphql_over_http_passes(run: Run, tokens: dict[str, str]) -> None:
    """Given the running server, when it is audited, then all 61 requirements are met, and none with a warning."""
    results = run("audits", token=tokens["lin-yue"])
    failed = [
        f"{one['id']} {one['name']}: {one['status']}, {one['reason']}" for one in results if one["status"] != "ok"
    ]
    assert failed == []
    assert len(results) == AUDITS
