"""What must hold of every answer, whatever was asked."""

import os
import re
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings

# What only the inside knows: statements, exceptions, libraries, files.
INSIDE = re.compile(
    r"Traceback|\.py\b|site-packages|/home/|/root/|/tmp/|sqlalchemy|sqlite|asyncpg|psycopg|neo4j|arcadedb|aiosqlite"
    r"|pydantic|graphql\.|strawberry|joserfc"
    # Statements shout; the sentence "must select only one field" does not.
    r"|(?-i:\bSELECT \w|\bINSERT INTO|\bUPDATE \w+ SET|MATCH \(|MERGE \(|UNWIND )"
    r"|\b(?:Type|Value|Key|Index|Attribute|Overflow|Recursion|Integrity|Operational|Unicode\w*)Error\b",
    re.IGNORECASE,
)
STATUSES = {200, 400, 401, 405, 413, 415}
# A run of thousands is for whoever looks for something new; the one of every day is small and always the same.
EXAMPLES = int(os.environ.get("KINSHIP_FUZZ_EXAMPLES", "0"))


def fuzzed(few: int) -> settings:
    """So many examples, or as many as the environment says, which are then new each time."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate] if not EXAMPLES else list(Phase),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
        print_blob=True,
        database=None,
    )


def judge(answer: httpx.Response, secret: str | None) -> None:
    """Raise AssertionError for an answer that nobody should ever get; `secret` is what this one must not see."""
    assert answer.status_code in STATUSES, (answer.status_code, answer.text[:500])
    if answer.status_code == 405:
        return
    judge_errors(answer.json(), answer.text, answer.request.content.decode(errors="replace"))
    assert secret is None or secret not in answer.text


def judge_errors(answer: Any, text: str, asked: str) -> None:
    """The same of an answer, however it came; it may name what the client wrote, be that the name of a library."""
    assert isinstance(answer, dict), text[:500]
    for error in answer.get("errors", []):
        code = error.get("extensions", {}).get("code")
        assert code not in (None, "INTERNAL_SERVER_ERROR", "UNAVAILABLE"), error
        inside = [found[0] for found in INSIDE.finditer(error["message"]) if found[0] not in asked]
        assert not inside, error
    assert "errors" in answer or "data" in answer, text[:500]
