"""Personal data is seen by those who may, and by nobody else: not in logs, not in errors, not in the graph."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.processes import REPOSITORY
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def test_no_log_no_error_and_no_node_has_anything_personal(
    stores: Addresses, redis_url: str, unique: str, tmp_path: Path
) -> None:
    """Given a day of somebody's data at the level DEBUG, with all kinds of errors, then it is where it belongs."""
    script = str(REPOSITORY / "tests" / "api" / "personal_day.py")
    environment = {**stores.environment(), "REDIS_URL": redis_url, "LOG_LEVEL": "DEBUG", "DATA_DIR": str(tmp_path)}
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, script, unique], env=environment, capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr[-3000:]
    day = json.loads(run.stdout.splitlines()[-1])
    secrets, seen = day["secrets"], json.dumps(day["seen"], ensure_ascii=False)
    # Who may see it saw it, so that the secrets are those of the day; the document was never shown.
    assert [secret in seen for secret in secrets] == [True, True, True, True, False, True]
    told, graph = json.dumps(day["told"], ensure_ascii=False), "\n".join(day["graph"])
    for where, text in {"log": run.stderr, "answers": told, "graph": graph}.items():
        assert [secret for secret in secrets if secret in text] == [], where
    # The log has what it ought to have, and the unexpected error was logged with its statement.
    lines = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    assert sum(line["event"] == "request" for line in lines) > 12
    assert any("UPDATE customer" in line.get("exception", "") for line in lines)
    assert day["customer"] in graph
    assert '"rejected": 6' in told
