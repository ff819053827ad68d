"""Compiled conditions find exactly whom a plain reading finds, on both engines and at all edges of time."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal
from sqlalchemy import select as sql_select
from sqlmodel import col

from core.days import DEFAULT_ZONE
from core.db import Database
from core.facts import Fact
from core.processes import REPOSITORY
from segments.condition_sql import compiled, matches
from segments.condition_words import words_of
from segments.conditions import load_vocabulary, parse_condition
from segments.tagging import CustomerTag
from segments.vocabulary import KnownTag, Vocabulary
from tests.conftest import Addresses
from tests.segments.people import EXISTS, NOW, SOON, TAGS, meets, population, put_people, put_words
from tests.segments.trees import trees

pytestmark = pytest.mark.anyio

PEOPLE = population()
WHEN = [NOW + timedelta(days=days) + beside for days in (-90, 0, 0, 0, 30) for beside in (-SOON, timedelta(), SOON)]


@pytest.fixture(scope="module")
async def peopled(stores: Addresses) -> Any:
    """A database with all these people, and the words that conditions may name."""
    database = stores.database()
    async with database.write() as session:
        await put_words(session)
        await put_people(session, PEOPLE)
    yield database
    await database.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tree=trees, now=st.sampled_from(WHEN))
async def test_sql_and_a_plain_reading_agree(peopled: Database, tree: Any, now: Any) -> None:
    """Given people with all kinds of pasts; when asked by a random tree; then SQL finds whom the model finds."""
    async with peopled.read() as session:
        condition = parse_condition(tree, await load_vocabulary(session))
        met = compiled(condition, col(Fact.customer_id), now=now, zone=DEFAULT_ZONE)
        statement = sql_select(col(Fact.customer_id)).where(col(Fact.kind) == EXISTS, met)
        found = set((await (await session.connection()).execute(statement)).scalars())
    assert found == {person.id for person in PEOPLE if meets(person, tree, now)}


async def test_one_customer_is_asked_in_one_statement(peopled: Database) -> None:
    async with peopled.read() as session:
        tree = {"any": [{"tag": "test-home"}, {"event": {"kind": "TEST_SEEN", "within_days": 90, "at_least": 2}}]}
        condition = parse_condition(tree, await load_vocabulary(session))
        before = peopled.statements
        found = [await matches(session, condition, person.id, now=NOW) for person in PEOPLE]
    assert found == [meets(person, tree, NOW) for person in PEOPLE]
    assert peopled.statements - before == len(PEOPLE)


async def test_ages_are_counted_by_the_days_of_the_banks_zone(stores: Addresses, peopled: Database) -> None:
    """Given an instant at which it is March in Shanghai and still February in New York; then who is born in March
    differs by a year."""
    tree = {"trait": {"name": "test_day", "age_at_least": 18}}
    abroad = Database(stores.database_url, zone="America/New_York")
    found: list[set[str]] = []
    for database in (peopled, abroad):
        async with database.read() as session:
            condition = parse_condition(tree, await load_vocabulary(session))
            found.append({one.id for one in PEOPLE if await matches(session, condition, one.id, now=NOW)})
    await abroad.close()
    assert found[1] < found[0]


async def test_a_statement_over_the_same_table_keeps_the_two_apart(peopled: Database) -> None:
    """Given a statement that reads customers' tags; when a condition on tags narrows it; then both read their own."""
    async with peopled.read() as session:
        condition = parse_condition({"not": {"tag": "test-home"}}, await load_vocabulary(session))
        met = compiled(condition, col(CustomerTag.customer_id), now=NOW, zone=DEFAULT_ZONE)
        mine = sql_select(col(CustomerTag.customer_id)).where(met, col(CustomerTag.tag_key).in_(TAGS))
        found = set((await (await session.connection()).execute(mine)).scalars())
    assert found == {person.id for person in PEOPLE if person.tags and not meets(person, {"tag": "test-home"}, NOW)}


async def test_all_values_are_parameters(peopled: Database) -> None:
    async with peopled.read() as session:
        tree = {"trait": {"name": "test_word", "in": ["o'hara; --", "x' OR 1=1"]}}
        condition = parse_condition(tree, await load_vocabulary(session))
        text = str(
            sql_select(literal(1)).where(compiled(condition, literal("me"), now=NOW, zone=DEFAULT_ZONE)).compile()
        )
    assert "o'hara" not in text and "test_word" not in text and "me'" not in text


DOCUMENT = (REPOSITORY / "docs" / "conditions.md").read_text()


async def test_the_reference_shows_what_can_be_read(peopled: Database) -> None:
    """Given the reference page; then each of its examples is a condition, and the first is told in the words shown."""
    block = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    rows = re.findall(r"\| `(\{.*\})` \|$", DOCUMENT, re.MULTILINE)
    assert (len(block), len(rows)) == (1, 5)
    async with peopled.read() as session:
        traits = (await load_vocabulary(session)).traits
    tags = {
        "retiree": KnownTag("retiree", "退休人士", "Retiree", "LIFE_CYCLE"),
        "wine": KnownTag("wine", "红酒", "Wine", "INTEREST"),
        "study-abroad": KnownTag("study-abroad", "留学", "Study abroad", "NEED"),
    }
    known = Vocabulary(traits, tags)
    first, *_ = [parse_condition(json.loads(text), known) for text in (*block, *rows)]
    shown = " ".join(DOCUMENT.replace("\n>", "").split())
    assert words_of(first, known, "en") in shown and words_of(first, known, "zh") in shown
