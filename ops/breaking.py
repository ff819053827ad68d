"""Compares the schema with an earlier one: `python -m ops.breaking [BASE [HEAD]]`, part of `make check`.

BASE and HEAD are revisions of git. Without HEAD it is the file as it stands; without BASE the last tag before, or else
where the branch left main. A change that breaks clients ends it with 1, unless docs/breaking-changes.md has its text.
"""

import re
import subprocess
import sys
from collections.abc import Iterator

from graphql import BreakingChange, DangerousChange, GraphQLSchema, build_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from core.processes import REPOSITORY

SCHEMA = "api/schema.graphql"
ACCEPTED = REPOSITORY / "docs" / "breaking-changes.md"
MAIN = ("origin/main", "main")


def git(*arguments: str) -> str | None:
    """What git answers; None where it fails."""
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def base_revision() -> str | None:
    """The last tag before this commit, or where its branch left main, or the commit before it; None in a first one."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD")
    if tag:
        return tag
    here = git("rev-parse", "HEAD")
    left = next((found for name in MAIN if (found := git("merge-base", name, "HEAD"))), None)
    return left if left and left != here else git("rev-parse", "HEAD^")


def schema_at(revision: str | None) -> GraphQLSchema | None:
    """The schema of a revision, or of the working tree; None where there is none."""
    if revision is None:
        return build_schema((REPOSITORY / SCHEMA).read_text())
    text = git("show", f"{revision}:{SCHEMA}")
    return build_schema(text) if text else None


def accepted_changes(page: str) -> set[str]:
    """The texts of changes that the page lists: each in a line of its own, between backticks."""
    return set(re.findall(r"^- `(.+)`$", page, flags=re.MULTILINE))


def breaks(old: GraphQLSchema, new: GraphQLSchema, accepted: set[str]) -> Iterator[BreakingChange]:
    """Changes after which a document that was valid is not any more, or is answered otherwise, and nobody accepted."""
    return (change for change in find_breaking_changes(old, new) if text_of(change) not in accepted)


def text_of(change: BreakingChange | DangerousChange) -> str:
    """One line, as it is printed and accepted."""
    return f"{change.type.name}: {change.description}"


def main() -> None:
    revisions = [*sys.argv[1:3], None][:2]
    base = revisions[0] or base_revision()
    head = revisions[1] if len(revisions) > 1 else None
    old, new = schema_at(base) if base else None, schema_at(head)
    if old is None or new is None:
        print(f"{base or 'No earlier commit'}: there is no {SCHEMA} to compare with")
        sys.exit(2 if sys.argv[1:] else 0)
    for change in find_dangerous_changes(old, new):
        print(f"may surprise clients, and is allowed: {text_of(change)}")
    found = list(breaks(old, new, accepted_changes(ACCEPTED.read_text())))
    for change in found:
        print(f"breaks clients since {base}: {text_of(change)}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
