"""Needs: found by rules, declared by people, and not raised again for as long as the bank said."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.days import months_before
from core.db import Database
from core.errors import KinshipError, NotFound
from core.ids import new_id
from customers.insight_policies import PolicyKind, active_policy
from customers.need_definition import STANDARD_NEEDS, NeedDefinition, NeedPolicyInvalid, NeedRule, parse_need_definition
from customers.needs import (
    DECLARED,
    Need,
    NeedFilter,
    NeedKindInvalid,
    NeedNotOpen,
    NeedOrigin,
    NeedReason,
    NeedStatus,
    Suspicion,
    check_kinds,
    confirm_need,
    declare_need,
    dismiss_need,
    list_needs,
    meet_need,
    put_need_kind,
    raise_needs,
)
from graph.client import GraphClient
from segments.conditions import ConditionInvalid, load_vocabulary
from segments.tagging import Tag, TagFamily
from tests.conftest import Addresses
from tests.customers.insight import DAY, NOON, TODAY, leave, make_people, put_traits, set_policy
from tests.customers.tagged import make_profiles, make_words, put_tag, rows_of
from tests.databases import own_database
from tests.worker.test_alerts import run_killed
from worker.needs import are_needs_due, sweep_needs

pytestmark = pytest.mark.anyio

HALF_YEAR = timedelta(days=180)
MOMENT = timedelta(microseconds=1)
PENSION = next(rule for rule in STANDARD_NEEDS.rules if rule.need == "PENSION")


async def suspect_one(database: Database, customer_id: str, *, now: object = NOON, rule: NeedRule = PENSION) -> int:
    """What a rule that holds for this customer raises."""
    async with database.read() as session:
        policy = await active_policy(session, PolicyKind.NEEDS)
    async with database.write() as session:
        return await raise_needs(session, [Suspicion(customer_id, rule, {})], policy.id, now=now)  # pyright: ignore[reportArgumentType]


async def needs_of(database: Database, customer_id: str) -> Sequence[Need]:
    async with database.read() as session:
        statement = select(Need).where(Need.customer_id == customer_id)
        return (await session.exec(statement.order_by(col(Need.raised_at), col(Need.id)))).all()


async def dismiss(database: Database, need_id: str, *, now: object = NOON) -> Need:
    async with database.write() as session:
        return await dismiss_need(
            session,
            need_id,
            STANDARD_NEEDS,
            reason=NeedReason.NOT_WANTED,
            actor="rm",
            now=now,  # pyright: ignore[reportArgumentType]
        )


async def test_of_sixteen_runs_one_raises_the_need(database: Database) -> None:
    customer = new_id()
    assert sum(await asyncio.gather(*(suspect_one(database, customer) for _ in range(16)))) == 1
    (need,) = await needs_of(database, customer)
    assert (need.status, need.origin, need.confidence_percent, need.rule) == ("SUSPECTED", "IMPLICIT", 70, PENSION.key)
    assert need.expires_at == NOON + timedelta(days=365)


async def test_what_was_dismissed_is_not_raised_for_exactly_180_days(database: Database) -> None:
    customer = new_id()
    await suspect_one(database, customer)
    (need,) = await needs_of(database, customer)
    await dismiss(database, need.id)
    assert await suspect_one(database, customer, now=NOON + HALF_YEAR - MOMENT) == 0
    assert await suspect_one(database, customer, now=NOON + HALF_YEAR) == 1
    assert [row.status for row in await needs_of(database, customer)] == ["DISMISSED", "SUSPECTED"]
    with pytest.raises(NeedNotOpen):
        await dismiss(database, need.id)


async def test_a_need_stays_until_it_expires_and_then_is_raised_again(database: Database) -> None:
    """Given a need that nobody decides about, then it is open to its end, whatever its rule says meanwhile."""
    customer, end = new_id(), NOON + timedelta(days=365)
    await suspect_one(database, customer)
    assert await suspect_one(database, customer, now=end - MOMENT) == 0
    (need,) = await needs_of(database, customer)
    assert (need.status_at(end - MOMENT), need.status_at(end)) == (NeedStatus.SUSPECTED, NeedStatus.EXPIRED)
    async with database.read() as session:
        for status, now, count in (("SUSPECTED", end - MOMENT, 1), ("SUSPECTED", end, 0), ("EXPIRED", end, 1)):
            wanted = NeedFilter([customer], NeedStatus(status))
            assert len((await list_needs(session, wanted, now=now, first=None, after=None)).rows) == count
    with pytest.raises(NeedNotOpen):
        await dismiss(database, need.id, now=end)
    assert await suspect_one(database, customer, now=end) == 1


async def test_a_dismissal_and_runs_at_once_end_as_if_one_had_come_after_the_other(database: Database) -> None:
    """Given a suspected need, when it is dismissed while fifteen runs raise it, then it is and none is new."""
    for _ in range(3):
        customer = new_id()
        await suspect_one(database, customer)
        (need,) = await needs_of(database, customer)
        runs = [suspect_one(database, customer) for _ in range(15)]
        await asyncio.gather(*runs[:7], dismiss(database, need.id), *runs[7:])
        assert [row.status for row in await needs_of(database, customer)] == ["DISMISSED"]


async def test_of_many_who_decide_one_does(database: Database) -> None:
    customer = new_id()
    await suspect_one(database, customer)
    (need,) = await needs_of(database, customer)

    async def decide(number: int) -> str:
        try:
            async with database.write() as session:
                if number % 2:
                    await meet_need(session, need.id, STANDARD_NEEDS, actor="rm", now=NOON)
                    return "MET"
            return (await dismiss(database, need.id)).status
        except KinshipError as error:
            return error.code

    answers = await asyncio.gather(*(decide(number) for number in range(8)))
    (done,) = [answer for answer in answers if answer != NeedNotOpen.code]
    assert [row.status for row in await needs_of(database, customer)] == [done]


async def declare(database: Database, customer_id: str, kind: str = "PENSION") -> Need:
    async with database.write() as session:
        return await declare_need(session, customer_id, kind, STANDARD_NEEDS, source=DECLARED, actor="lin", now=NOON)


async def test_what_is_declared_is_confirmed_once(database: Database) -> None:
    """Given eight who declare the same at once, then there is one need, of the customer's own."""
    customer = new_id()
    found = await asyncio.gather(*(declare(database, customer) for _ in range(8)))
    assert len({need.id for need in found}) == 1
    (need,) = await needs_of(database, customer)
    assert (need.status, need.origin, need.source) == ("CONFIRMED", NeedOrigin.EXPLICIT, DECLARED)
    assert await suspect_one(database, customer) == 0
    with pytest.raises(NotFound):
        await declare(database, customer, "NO_SUCH_NEED")
    with pytest.raises(NotFound):
        await declare(database, customer, "\0")


async def test_what_is_declared_confirms_what_a_rule_thought_and_overrides_a_dismissal(database: Database) -> None:
    customer = new_id()
    await suspect_one(database, customer)
    (suspected,) = await needs_of(database, customer)
    assert (await declare(database, customer)).id == suspected.id
    assert [row.status for row in await needs_of(database, customer)] == ["CONFIRMED"]
    with pytest.raises(NeedNotOpen):
        async with database.write() as session:
            await confirm_need(session, suspected.id, actor="rm", now=NOON)
    await dismiss(database, suspected.id)
    assert (await declare(database, customer)).id != suspected.id
    assert [row.status for row in await needs_of(database, customer)] == ["DISMISSED", "CONFIRMED"]


async def test_what_is_declared_is_the_customers_own_to_the_later_end(database: Database) -> None:
    """Given what a rule thought for 100 days, suspected or confirmed; when declared; then it is explicit for a year."""
    short = PENSION.model_copy(update={"expires_days": 100})
    for confirmed in (False, True):
        customer = new_id()
        await suspect_one(database, customer, rule=short)
        (need,) = await needs_of(database, customer)
        if confirmed:
            async with database.write() as session:
                await confirm_need(session, need.id, actor="rm", now=NOON)
        await declare(database, customer)
        (said,) = await needs_of(database, customer)
        assert (said.id, said.status, said.origin, said.source) == (need.id, "CONFIRMED", "EXPLICIT", DECLARED)
        assert (said.confidence_percent, said.rule, said.expires_at) == (100, PENSION.key, NOON + timedelta(days=365))
        assert await suspect_one(database, customer, now=NOON + timedelta(days=101)) == 0


async def test_a_need_leaves_a_tag_alone_that_somebody_else_put_on(
    database: Database, graph: GraphClient, unique: str
) -> None:
    """Given staff's tag that the need's kind stands for; when the need is confirmed and dismissed; then it stands."""
    kind = f"BOAT_{unique[-12:].upper()}"
    await make_words(database, graph, [unique], TagFamily.NEED)
    theirs, ours = await make_profiles(database, graph, 2)
    async with database.write() as session:
        await put_need_kind(session, key=kind, name_zh="游艇", name_en="Boat", tag_key=unique, actor="he", now=NOON)
    await put_tag(database, theirs, unique, family=TagFamily.NEED, now=NOON - DAY)
    rule = PENSION.model_copy(update={"need": kind})
    for customer in (theirs, ours):
        await suspect_one(database, customer, rule=rule)
        (need,) = await needs_of(database, customer)
        async with database.write() as session:
            await confirm_need(session, need.id, actor="rm", now=NOON)
        assert [row.source for row in await rows_of(database, customer)] == ["staff" if customer == theirs else "need"]
        await dismiss(database, need.id)
    (row,) = await rows_of(database, theirs)
    assert (row.source, row.until, row.ended_at) == ("staff", None, None)
    assert [row.ended_at for row in await rows_of(database, ours)] == [NOON]


async def test_a_kind_names_a_tag_of_needs_that_stands(database: Database, graph: GraphClient, unique: str) -> None:
    wine, old, new = f"wine-{unique}", f"old-{unique}", f"new-{unique}"
    await make_words(database, graph, [wine], TagFamily.INTEREST)
    await make_words(database, graph, [old, new], TagFamily.NEED)
    async with database.write() as session:
        (await session.get_one(Tag, old)).merged_into = new
    for tag in (wine, old, "none", "\0"):
        with pytest.raises(NeedKindInvalid) as caught:
            async with database.write() as session:
                await put_need_kind(
                    session, key="HOME", name_zh="购房", name_en="Home", tag_key=tag, actor="he", now=NOON
                )
        assert caught.value.path == ("tagKey",)


def years_ago(years: int, *, months: int = 0) -> date:
    """The month of today so many years ago, and so many months later; as imports keep a day, the first of the month."""
    return months_before(TODAY.replace(year=TODAY.year - years), -months)


async def test_the_daily_look_finds_needs_by_stage_of_life(stores: Addresses, tmp_path: Path) -> None:
    """Given customers at and beside the edge of each rule, then those inside have the need and its evidence."""
    async with own_database(stores, tmp_path) as database:
        newborn, fifteen, almost, both, firm, old_firm, fifty, young, owner = await make_people(database, 9)
        await put_traits(database, newborn, child_born=years_ago(0, months=-1))
        await put_traits(database, fifteen, child_born=years_ago(15))
        await put_traits(database, almost, child_born=years_ago(15, months=1))
        # One child is too young and the other one too old: neither is both.
        await put_traits(database, both, child_born_1=years_ago(3), child_born_2=years_ago(20))
        await put_traits(database, firm, firm_founded=years_ago(2, months=1))
        await put_traits(database, old_firm, firm_founded=years_ago(2))
        await put_traits(database, fifty, born=years_ago(50), owns_home=0)
        await put_traits(database, young, born=years_ago(30), owns_home=0, assets=500_000_00, products_held=2)
        await put_traits(database, owner, born=years_ago(30), owns_home=1, assets=500_000_00, products_held=3)
        assert await are_needs_due(database, now=NOON)
        assert await sweep_needs(database, now=NOON, page=4) == 6
        people = (newborn, fifteen, almost, both, firm, old_firm, fifty, young, owner)
        found = [sorted(row.kind for row in await needs_of(database, one)) for one in people]
        nobody: list[str] = []
        assert found == [
            ["EDUCATION_FUND"],
            ["STUDY_ABROAD"],
            nobody,
            nobody,
            ["STARTUP_LOAN"],
            nobody,
            ["PENSION"],
            ["HOME", "WEALTH"],
            nobody,
        ]
        home = next(row for row in await needs_of(database, young) if row.kind == "HOME")
        assert home.evidence == {
            "trait:born": [{"value": "1996-11-01", "source": "core", "at": "2026-11-28T04:00:00.000000Z"}],
            "trait:owns_home": [{"value": 0, "source": "core", "at": "2026-11-28T04:00:00.000000Z"}],
        }
        assert not await are_needs_due(database, now=NOON)
        assert await sweep_needs(database, now=NOON) == 0
        # By the next day nothing is new; in the next month there is a child who is fifteen by then.
        assert await sweep_needs(database, now=NOON + DAY, page=4) == 0
        assert await sweep_needs(database, now=NOON + 3 * DAY, page=4) == 1


async def test_who_was_erased_or_merged_needs_nothing(stores: Addresses, tmp_path: Path) -> None:
    """Given a rule that holds for whoever has no assets, then it speaks of those who are still somebody."""
    async with own_database(stores, tmp_path) as database:
        first, erased, merged, last = await make_people(database, 4)
        await leave(database, erased, merged, last)
        unknown = PENSION.model_copy(update={"condition": {"trait": {"name": "assets", "known": False}}})
        await set_policy(database, NeedDefinition(rules=(unknown,)))
        assert await sweep_needs(database, now=NOON) == 2
        assert [len(await needs_of(database, one)) for one in (first, erased, merged, last)] == [1, 0, 0, 1]


async def test_a_definition_that_cannot_be_says_where(database: Database) -> None:
    async with database.read() as session:
        known = await load_vocabulary(session)
        rule = PENSION.model_dump(mode="json")
        cases = (
            ({"rules": [rule, rule]}, ("rules",), NeedPolicyInvalid),
            ({"rules": [rule | {"confidence_percent": 0}]}, ("rules", "0", "confidencePercent"), NeedPolicyInvalid),
            (
                {"rules": [rule | {"condition": {"trait": {"name": "none", "eq": 1}}}]},
                ("rules", "0", "condition", "trait", "name"),
                ConditionInvalid,
            ),
        )
        for definition, path, error in cases:
            with pytest.raises(error) as caught:
                parse_need_definition(definition, known)
            assert caught.value.path == ("definition", *path)
        with pytest.raises(NeedPolicyInvalid) as caught:
            await check_kinds(session, NeedDefinition(rules=(PENSION.model_copy(update={"need": "NONE"}),)))
        assert caught.value.path == ("definition", "rules", "0", "need")
        assert parse_need_definition(STANDARD_NEEDS.model_dump(mode="json"), known) == STANDARD_NEEDS
        await check_kinds(session, STANDARD_NEEDS)


@pytest.mark.parametrize(("point", "number"), [("after-commit", 1), ("before-commit", 3)])
async def test_a_look_that_is_killed_and_run_again_ends_the_same(
    stores: Addresses, tmp_path: Path, point: str, number: int
) -> None:
    """Given five customers in pages of two, when the look dies at one, then the next look does the rest, once."""
    async with own_database(stores, tmp_path) as database:
        people = await make_people(database, 5)
        for one in people:
            await put_traits(database, one, born=years_ago(60), firm_founded=years_ago(1))
        assert run_killed(stores, database.url, "needs", point, number) == -signal.SIGKILL
        await sweep_needs(database, now=NOON, page=2)
        assert [len(await needs_of(database, one)) for one in people] == [2] * 5
        assert await sweep_needs(database, now=NOON) == 0
