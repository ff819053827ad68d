"""Migrations by hand, which a production system runs before every new version."""

import subprocess
import sys

from core.processes import REPOSITORY
from tests.conftest import Addresses
from tests.ops.started import surroundings


def migrate(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**surroundings(), **variables}
    command = [sys.executable, "-m", "ops.migrate", "upgrade"]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_stores_that_are_current_stay_as_they_are(stores: Addresses) -> None:
    """Given stores at the newest schema, when they are migrated again, then that is no error and nothing is said."""
    ended = migrate(**stores.environment())
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_stores_it_ends_with_one_line_that_names_them() -> None:
    ended = migrate()
    assert (ended.returncode, ended.stderr) == (2, "DATABASE_URL, NEO4J_URI: they name the stores to migrate\n")
