"""Surveys: sent once and not too often, answered once by whom they were sent to, and linked with the breaks before."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core.db import Database
from core.errors import KinshipError, NotFound
from core.fact_kinds import COMPLAINT_CLOSED, REDEMPTION_FULFILLED, SURVEY_SUBMITTED
from core.facts import Fact
from core.ids import new_id
from core.messages import MESSAGE_OWED
from core.outbox import Outbox
from service.breaks import EFFECT, ServiceBreak
from service.service_standings import ServiceStanding, keep_later_standing
from service.survey_invitations import is_sampled
from service.survey_rows import list_surveys
from service.survey_words import TEMPLATES, WORDS
from service.surveys import SurveyAnswered, SurveyAnswerInvalid, SurveyExpired, comment_of
from tests.service.promised import (
    DAY,
    KEY,
    NOON,
    answer,
    attend,
    happen,
    invited,
    look,
    make_rule,
    own_kind,
    put_fact,
    put_survey,
    survey_at,
    twice_in,
)

pytestmark = pytest.mark.anyio


async def test_each_occasion_asks_its_question(database: Database) -> None:
    """Given an event, a case and a redemption of three customers, then each is asked once, and the message is owed."""
    people = [new_id() for _ in range(3)]
    community = new_id()
    facts = [
        await attend(database, people[0], community_id=community),
        await put_fact(database, COMPLAINT_CLOSED, people[1], complaint="C-1"),
        await put_fact(database, REDEMPTION_FULFILLED, people[2], redemption_id="R-1"),
    ]
    new = await invited(database, *facts)
    rows = [await survey_at(database, one) for one in new]
    assert sorted((row.customer_id, row.occasion, row.kind) for row in rows) == sorted(
        zip(people, ("EVENT", "CASE", "REDEMPTION"), ("NPS", "CSAT", "CSAT"), strict=True)
    )
    assert {row.community_id for row in rows} == {community, None}
    assert {row.expires_at for row in rows} == {NOON + 14 * DAY}
    async with database.read() as session:
        statement = select(Outbox).where(
            Outbox.topic == MESSAGE_OWED, col(Outbox.key).in_([f"survey:{one}" for one in new])
        )
        owed = (await session.exec(statement)).all()
    assert sorted(one.payload["template"] for one in owed) == sorted(TEMPLATES.values())
    assert {(one.payload["category"], one.payload["expires_at"]) for one in owed} == {
        ("SURVEY", (NOON + 14 * DAY).isoformat())
    }
    assert await invited(database, *facts, now=NOON + DAY) == []
    assert WORDS.keys() == set(TEMPLATES.values())


async def test_nobody_is_asked_twice_in_fourteen_days(database: Database) -> None:
    """Given events on several days, then one is asked about, and the next exactly fourteen days after it."""
    customer = new_id()
    assert len(await invited(database, await attend(database, customer), await attend(database, customer))) == 1
    soon = NOON + 14 * DAY - timedelta(microseconds=1)
    assert await invited(database, await attend(database, customer, soon), now=soon) == []
    later = NOON + 14 * DAY
    assert len(await invited(database, await attend(database, customer, later), now=later)) == 1


async def test_thirty_occasions_at_once_are_one_invitation(pools: list[Database]) -> None:
    customer = new_id()
    facts = [await attend(pools[0], customer) for _ in range(30)]
    new = await asyncio.gather(*(invited(pools[n % 4], fact) for n, fact in enumerate(facts)))
    assert sum(len(ids) for ids in new) == 1


async def test_thirty_workers_at_one_occasion_are_one_invitation(pools: list[Database]) -> None:
    customer = new_id()
    fact = await attend(pools[0], customer)
    new = await asyncio.gather(*(invited(pools[n % 4], fact) for n in range(30)))
    assert sum(len(ids) for ids in new) == 1


async def test_what_is_old_or_says_not_what_it_is_about_is_not_asked_about(database: Database) -> None:
    customer = new_id()
    old = await attend(database, customer, NOON - 7 * DAY - timedelta(seconds=1))
    nameless = await attend(database, customer, event_id=None)
    assert await invited(database, old, nameless) == []
    assert len(await invited(database, await attend(database, customer, NOON - 7 * DAY))) == 1


def test_a_sample_is_the_same_whoever_asks() -> None:
    ids = [new_id() for _ in range(2_000)]
    sampled = [one for one in ids if is_sampled(one, 30)]
    assert sampled == [one for one in ids if is_sampled(one, 30)]
    assert 500 < len(sampled) < 700
    assert not any(is_sampled(one, 0) for one in ids) and all(is_sampled(one, 100) for one in ids)


async def test_an_answer_is_kept_once_and_sealed(database: Database) -> None:
    """Given an answer at the last moment of November in Shanghai, then it is of November, and again it is the first."""
    customer = new_id()
    at = datetime.fromisoformat("2026-11-30T15:59:59+00:00")
    survey = await put_survey(database, customer, at)
    first = await answer(database, survey, customer, 6, at=at, comment=" Slow ")
    again = await answer(database, survey, customer, 6, at=at + 60 * DAY, comment="Slow")
    assert (again.answered_at, again.score, again.answered_month, again.tier) == (at, 6, date(2026, 11, 1), "MASS")
    assert first.comment is not None and "Slow" not in first.comment
    assert comment_of(first, KEY) == "Slow"
    for score, comment in ((7, "Slow"), (6, None), (6, "Fast")):
        with pytest.raises(SurveyAnswered):
            await answer(database, survey, customer, score, at=at, comment=comment)
    async with database.read() as session:
        rows = (await session.exec(select(Fact).where(Fact.key == f"survey:{survey}"))).all()
    assert [(row.kind, row.occurred_at, row.payload) for row in rows] == [
        (SURVEY_SUBMITTED, at, {"survey_id": survey, "survey_kind": "NPS", "occasion": "EVENT", "score": 6})
    ]


async def test_what_may_not_be_answered_is_refused_and_nothing_changes(database: Database) -> None:
    customer = new_id()
    survey, stars = await put_survey(database, customer), await put_survey(database, customer, kind="CSAT")
    with pytest.raises(NotFound):
        await answer(database, survey, new_id(), 9)
    with pytest.raises(NotFound):
        await answer(database, new_id(), customer, 9)
    for one, score in ((survey, 11), (survey, -1), (stars, 0), (stars, 6)):
        with pytest.raises(SurveyAnswerInvalid):
            await answer(database, one, customer, score)
    with pytest.raises(SurveyAnswerInvalid):
        await answer(database, survey, customer, 9, comment="x" * 2_001)
    with pytest.raises(SurveyExpired):
        await answer(database, survey, customer, 9, at=NOON + 14 * DAY)
    for one in (survey, stars):
        row = await survey_at(database, one)
        assert (row.answered_at, row.score, row.comment) == (None, None, None)
    async with database.read() as session:
        page = await list_surveys(session, customer, answered=False, first=None, after=None, now=NOON)
        assert {row.id for row in page.rows} == {survey, stars}
        over = await list_surveys(session, customer, answered=True, first=None, after=None, now=NOON + 14 * DAY)
        assert over.rows == []


async def test_of_sixteen_answers_at_once_one_is_kept(pools: list[Database]) -> None:
    """Given eight answers of 9 and eight of 3 at once, then one score is kept, and all of its kind are told it."""
    customer = new_id()
    survey = await put_survey(pools[0], customer)

    async def give(number: int) -> int | None:
        try:
            found = await answer(pools[number % 4], survey, customer, 9 if number % 2 else 3)
            return found.score
        except KinshipError:
            return None

    told = [one for one in await asyncio.gather(*(give(number) for number in range(16))) if one is not None]
    assert len(told) == 8 and len(set(told)) == 1
    assert (await survey_at(pools[0], survey)).score == told[0]


async def linked(database: Database, customer_id: str) -> dict[datetime, str | None]:
    async with database.read() as session:
        rows = (await session.exec(select(ServiceBreak).where(ServiceBreak.customer_id == customer_id))).all()
    return {row.broke_at: row.next_survey_id for row in rows}


async def test_the_next_answer_within_ninety_days_is_linked(database: Database) -> None:
    customer, kind = new_id(), own_kind()
    await make_rule(database, twice_in(30, kind, 1), same="case")
    await happen(database, kind, customer, NOON, case="A")
    await happen(database, kind, customer, NOON + DAY, case="B")
    at = NOON + EFFECT
    first, second = await put_survey(database, customer, at), await put_survey(database, customer, at)
    await answer(database, first, customer, 3, at=at)
    await answer(database, second, customer, 9, at=at + timedelta(seconds=1))
    assert await linked(database, customer) == {NOON: first, NOON + DAY: first}
    await happen(database, kind, customer, at, case="C")
    assert (await linked(database, customer))[at] == second


events = st.lists(
    st.tuples(st.sampled_from(["break", "survey"]), st.integers(0, 200), st.integers(0, 10**6)),
    min_size=1,
    max_size=9,
    unique_by=lambda event: event[1],
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(events=events)
async def test_links_do_not_depend_on_what_becomes_known_first(
    database: Database, events: Sequence[tuple[str, int, int]]
) -> None:
    """Given breaks and answers on days, known in any order, then each is linked with the first answer after it."""
    customer, kind = new_id(), own_kind()
    start = NOON - 250 * DAY
    await make_rule(database, twice_in(90, kind, 1), applies_from=start - DAY, same="case")
    answers: dict[int, str] = {}
    for what, day, _ in sorted(events, key=lambda event: event[2]):
        at = start + day * DAY
        if what == "survey":
            answers[day] = await put_survey(database, customer, at)
            await answer(database, answers[day], customer, 5, at=at)
        else:
            await look(database, await put_fact(database, kind, customer, at, case=str(day)), now=at)
    expected: dict[datetime, Any] = {}
    for what, day, _ in events:
        if what == "break":
            after = [other for other in sorted(answers) if day < other <= day + 90]
            expected[start + day * DAY] = answers[after[0]] if after else None
    assert await linked(database, customer) == expected


async def test_a_break_and_an_answer_at_once_find_each_other(pools: list[Database]) -> None:
    """Given eight customers each with a break found while they answer, then each break has its answer."""
    kind = own_kind()
    await make_rule(pools[0], twice_in(30, kind, 1))
    people = [new_id() for _ in range(8)]
    facts = [await put_fact(pools[0], kind, one, NOON) for one in people]
    surveys = [await put_survey(pools[0], one) for one in people]
    work: list[Any] = []
    for number, (person, fact, survey) in enumerate(zip(people, facts, surveys, strict=True)):
        work += [
            look(pools[number % 4], fact, now=NOON + DAY),
            answer(pools[(number + 1) % 4], survey, person, 9, at=NOON + timedelta(hours=1)),
        ]
    await asyncio.gather(*work)
    assert [await linked(pools[0], one) for one in people] == [{NOON: survey} for survey in surveys]


@pytest.mark.parametrize("days", [(3, None), (3, 1), (1, 3), (None, 3)])
async def test_of_two_profiles_the_later_invitation_stands(
    database: Database, days: tuple[int | None, int | None]
) -> None:
    merged, survivor = new_id(), new_id()
    async with database.write() as session:
        for one, day in zip((merged, survivor), days, strict=True):
            if day is not None:
                session.add(ServiceStanding(customer_id=one, invited_at=NOON + day * DAY))
    async with database.write() as session:
        await keep_later_standing(session, merged, survivor)
    async with database.read() as session:
        rows = (
            await session.exec(
                select(ServiceStanding.customer_id).where(col(ServiceStanding.customer_id).in_([merged, survivor]))
            )
        ).all()
    first, last = days
    is_later = first is not None and (last is None or last < first)
    assert set(rows) == {one for one, day in ((merged, first), (survivor, last)) if day} - (
        {survivor} if is_later else set()
    )
