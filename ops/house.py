"""The house's rules that no linter knows: `python -m ops.house`, part of `make check`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from core.processes import REPOSITORY

LONGEST_MODULE = 460
NAMELESS = {"utils.py", "helpers.py", "managers.py", "common.py", "misc.py"}
# Where packages come from is the machine's affair. The names are in pieces, so that this file passes its own check.
REGISTRIES = re.compile(
    "|".join(
        part.replace(" ", r"\.")
        for part in (
            "pypi org",
            "pythonhosted org",
            "registry npmjs",
            "repo1 maven",
            "repo maven apache",
            "deb debian org",
        )
    )
)
TEXT = {
    ".py",
    ".md",
    ".txt",
    ".in",
    ".toml",
    ".graphql",
    ".cypher",
    ".json",
    ".js",
    ".css",
    ".html",
    ".svg",
    ".yml",
    "",
}


def tracked_files() -> list[Path]:
    """The files that git tracks or would add, in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [REPOSITORY / name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


def problems(path: Path) -> Iterator[str]:
    """What is wrong with one file."""
    if path.name in NAMELESS:
        yield "a name that says nothing of what is inside"
    if path.suffix not in TEXT:
        return
    text = path.read_text(errors="replace")
    if REGISTRIES.search(text):
        yield "names a package registry"
    lines = text.count("\n")
    if path.suffix == ".py" and lines > LONGEST_MODULE and "migrations/sql/versions" not in str(path):
        yield f"{lines} lines are more than {LONGEST_MODULE}"


def main() -> None:
    found = [f"{path.relative_to(REPOSITORY)}: {problem}" for path in tracked_files() for problem in problems(path)]
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
