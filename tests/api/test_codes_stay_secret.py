"""Codes are seen by their owners and by nobody else: not in logs, however much is logged, and not in errors."""

import asyncio
import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.db import Database
from core.processes import REPOSITORY
from tests.conftest import Addresses

pytestmark = pytest.mark.anyio


async def test_no_log_and_no_error_has_a_code(stores: Addresses, redis_url: str, unique: str, tmp_path: Path) -> None:
    """Given the application at the level DEBUG and a day of codes with all kinds of errors, then none has a code."""
    script = str(REPOSITORY / "tests" / "api" / "secretive_day.py")
    environment = {**stores.environment(), "REDIS_URL": redis_url, "LOG_LEVEL": "DEBUG", "DATA_DIR": str(tmp_path)}
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, script, unique], env=environment, capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr[-3000:]
    day = json.loads(run.stdout.splitlines()[-1])
    assert len(set(day["shown"])) == 5
    assert day["shown"][:2] == day["codes"][:2]
    assert day["shown"][2] in str(day["mine"][1])
    # The log has what it ought to have, and the unexpected error was logged with its statement.
    lines = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    assert sum(line["event"] == "request" for line in lines) > 20
    assert any("UPDATE redemption" in line.get("exception", "") for line in lines)
    assert any(line["level"] == "debug" for line in lines)
    assert [code for code in day["shown"] if code in run.stderr] == []
    assert "SECRET" not in run.stderr
    told = json.dumps(day["told"])
    assert [code for code in [*day["shown"], "SECRET"] if code in told] == []


async def test_an_error_of_the_database_does_not_quote_what_was_written(database: Database, unique: str) -> None:
    """Given a row that breaks a rule, then the error says which rule, and nothing of the row."""
    wrong = "INSERT INTO reward_tag (reward_id, tag) VALUES (:code, :code)"
    with pytest.raises(IntegrityError) as error:
        async with database.write() as session:
            await (await session.connection()).execute(text(wrong), {"code": unique})
    told = "".join(traceback.format_exception(error.value))
    assert "reward_tag" in told
    assert unique not in told
