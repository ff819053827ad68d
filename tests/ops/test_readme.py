"""What a stranger reads is true: the README's documents, settings, commands and links are those of the code."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from api.tour import tour_documents
from core.processes import REPOSITORY
from core.settings import Settings
from loyalty.earning_definition import Condition, EarningDefinition, PerUnit, parse_earning_definition
from referrals.definition import ProgramDefinition, Step, parse_definition

README = REPOSITORY / "README.md"
PROGRAMME = REPOSITORY / "docs" / "referral-programme.md"
EARNING = REPOSITORY / "docs" / "earning-rules.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(path.read_text()) if found == language]


def test_the_readme_shows_documents_of_the_tour_as_they_stand() -> None:
    """Given the README; when its GraphQL is read; then each piece is a document of the tour, byte for byte."""
    documents = [step["document"] for step in tour_documents()]
    shown = blocks(README, "graphql")

    assert 5 <= len(shown) <= 8
    assert [piece for piece in shown if piece not in documents] == []
    assert [documents.index(piece) for piece in shown] == sorted(documents.index(piece) for piece in shown)


def test_the_readme_names_every_setting_and_no_other() -> None:
    """Given the table of settings; then it names the fields of Settings, all of them."""
    section = README.read_text().partition("## Settings")[2].partition("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`([A-Z0-9_]+)`", row)
    }
    assert named == {field.upper() for field in Settings.model_fields}


def test_the_readme_names_the_commands_that_there_are() -> None:
    """Given the commands with make; then each is a target, and every target for people is named."""
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert set(re.findall(r"^\| `make (\w+)", README.read_text(), re.MULTILINE)) == targets


def test_the_readme_runs_modules_that_there_are() -> None:
    """Given the commands with python -m; then each names a module of ours or of a requirement."""
    named = set(re.findall(r"python -m ([\w.]+)", README.read_text()))
    assert {"ops.migrate", "ops.tour", "worker", "ops.api_server"} <= named
    assert [name for name in named if find_spec(name) is None] == []


@pytest.mark.parametrize("path", [README, *sorted((REPOSITORY / "docs").rglob("*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Given a page; when its links to files are followed; then each is there."""
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_described_programme_is_a_programme() -> None:
    """Given the page about programmes; then its example is valid and it names every field with its default."""
    (example,) = blocks(PROGRAMME, "json")
    parse_definition(json.loads(example))
    text = PROGRAMME.read_text()
    for name, field in ProgramDefinition.model_fields.items():
        default = "" if field.is_required() else "none" if field.default is None else field.default
        assert re.search(rf"^\| `{name}` \| `?{re.escape(str(default))}`? ?\|", text, re.MULTILINE), name
    for name in Step.model_fields:
        assert f"`steps[].{name}`" in text


def test_the_described_earning_rule_is_a_rule() -> None:
    """Given the page about earning rules; then its example is valid and it names every field with its default."""
    (example,) = blocks(EARNING, "json")
    parse_earning_definition(json.loads(example))
    text = EARNING.read_text()
    fields = {
        **EarningDefinition.model_fields,
        **{f"conditions[].{name}": field for name, field in Condition.model_fields.items()},
        **{f"per_unit.{name}": field for name, field in PerUnit.model_fields.items()},
    }
    for name, field in fields.items():
        default = "" if field.is_required() else "none" if field.default is None else field.default
        row = rf"^\| `{re.escape(name)}` \| `?{re.escape(str(default))}`? ?\|"
        assert re.search(row, text, re.MULTILINE), name
