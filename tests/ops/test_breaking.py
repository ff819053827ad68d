"""What breaks clients is found and refused, unless the page of accepted changes has its exact text."""

import subprocess
import sys

from graphql import build_schema

from core.processes import REPOSITORY
from ops.breaking import ACCEPTED, accepted_changes, base_revision, breaks, schema_at, text_of

OLD = """
type Query { a(x: Int): String  b: String! }
enum E { ONE TWO }
input I { x: Int }
type Mutation { m(i: I, e: E): E }
"""
NEW = """
type Query { a(x: Int, y: Int!): String  c: String  }
enum E { ONE THREE }
input I { x: Int, y: Int! }
type Mutation { m(i: I, e: E): E }
"""
CHANGES = {
    "REQUIRED_ARG_ADDED: A required argument Query.a(y:) was added.",
    "FIELD_REMOVED: Field Query.b was removed.",
    "VALUE_REMOVED_FROM_ENUM: Enum value E.TWO was removed.",
    "REQUIRED_INPUT_FIELD_ADDED: A required field I.y was added.",
}


def test_what_breaks_clients_is_found_and_accepted_by_its_text_alone() -> None:
    old, new = build_schema(OLD), build_schema(NEW)
    assert {text_of(change) for change in breaks(old, new, set())} == CHANGES
    page = "# Page\n\nWords with `code`.\n\n- `FIELD_REMOVED: Field Query.b was removed.`\n  Nobody asked for it.\n"
    left = CHANGES - {"FIELD_REMOVED: Field Query.b was removed."}
    assert {text_of(change) for change in breaks(old, new, accepted_changes(page))} == left
    assert list(breaks(new, new, set())) == []


def test_what_is_only_described_or_added_breaks_nobody() -> None:
    new = build_schema(OLD.replace("type Query {", '"Words." type Query { "More." new(z: Int = 1): Int'))
    assert list(breaks(build_schema(OLD), new, set())) == []


def test_the_schema_as_it_stands_breaks_nothing_since_its_base() -> None:
    """Given this repository, then a base is found unless it is a first commit, and the command says yes to it."""
    base = base_revision()
    if base is not None:
        old, new = schema_at(base), schema_at(None)
        assert old is not None and new is not None
        assert [text_of(change) for change in breaks(old, new, accepted_changes(ACCEPTED.read_text()))] == []
    command = [sys.executable, "-m", "ops.breaking"]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode == 0
    unknown = subprocess.run(
        [*command, "no-such-revision"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert unknown.returncode == 2
    assert "no-such-revision" in unknown.stdout
