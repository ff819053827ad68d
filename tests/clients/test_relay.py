"""Relay's compiler takes the schema as it stands, with fragments that page and refetch."""

import shutil
import subprocess
from pathlib import Path

import pytest

from core.processes import REPOSITORY
from tests.clients.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.timeout(PATIENCE_SECONDS)

COMPILED = {
    "CommunitiesQuery",
    "CommunitiesPaginationQuery",
    "CommunityEventsPaginationQuery",
    "CommunitiesCustomerRefetchQuery",
    "CommunitiesJoinMutation",
    "CommunitiesSubscription",
    "Communities_query",
    "Communities_community",
    "Communities_viewer",
    "Communities_customer",
}


def test_the_compiler_of_relay_accepts_the_schema(clients: Path) -> None:
    """Given operations with connections and refetchable fragments, then each is compiled, by ids of nodes too."""
    folder = clients / "relay"
    shutil.copy(REPOSITORY / "api" / "schema.graphql", folder)
    done = subprocess.run(
        ["node", clients.parent / "node_modules" / "relay-compiler" / "cli.js", "relay.config.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name.removesuffix(".graphql.js") for path in folder.rglob("*.graphql.js")} == COMPILED
