"""Loading the demonstration bank: programme, rules and rewards, then the rows, then what follows from them."""

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO, Any
from zoneinfo import ZoneInfo

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.clock import utc_now
from core.days import months_before
from core.db import Database, Session, insert_once
from core.errors import Unavailable
from core.fact_kinds import EVENT_ATTENDED
from core.ids import derived_id, new_id
from core.settings import Settings
from customers.imports import ImportBatch, Importer
from customers.profiles import customer_id_of
from customers.tier_run import due_month
from graph.client import GraphClient
from loyalty.catalogue import NewReward, RewardKind, create_reward
from loyalty.coupons import NewCodes, add_codes
from loyalty.earning_rules import activate_earning_rule, create_earning_rule, watched_kinds
from loyalty.lots import ExpiredPolicy
from ops.demonstration.bank import Bank
from ops.demonstration.content import load_content
from ops.demonstration.insight import load_insight
from ops.demonstration.personas import NUMBER_OF, REFERRER, WELCOMED
from ops.demonstration.products import offer_products
from ops.demonstration.rows import customer_key
from referrals.codes import referral_code
from referrals.programs import ReferralProgram, activate_program, create_program
from worker.sweeps import sweep_outbox
from worker.tiers import run_due_months
from worker.work import Stores

SOURCE = "demonstration"
FILE_NAME = "demonstration.jsonl"
PROGRAM_ID = derived_id(SOURCE, "program")
# The report of the whole load, which is written last: as long as it is missing, the load is to be done again.
LOADED_ID = derived_id(SOURCE, "loaded")

DEFINITION: dict[str, Any] = {
    "steps": [
        {"name": "registered", "fact_kind": "CUSTOMER_REGISTERED", "within_days": 30, "referee_points": 50},
        {
            "name": "verified",
            "fact_kind": "IDENTITY_VERIFIED",
            "within_days": 60,
            "referrer_points": 200,
            "referee_points": 100,
        },
        {
            "name": "first-event",
            "fact_kind": EVENT_ATTENDED,
            "within_days": 180,
            "referrer_points": 100,
            "referee_points": 100,
        },
    ],
    "rewards_per_referrer": 50,
}
# By kind of fact: the names of the rule, and its points.
EARNING_RULES = {EVENT_ATTENDED: ("参加活动", "Attending an event", 50), WELCOMED: ("新客礼", "Welcome gift", 600)}
REWARDS = (
    NewReward("手冲咖啡券", "Coffee voucher", 100, stock=500, limit_per_customer=5, category="food", voucher_days=90),
    NewReward(
        "电影票两张",
        "Two cinema tickets",
        300,
        limit_per_customer=2,
        kind=RewardKind.COUPON,
        category="culture",
        description_zh="合作影院通用兑换码",
        description_en="A code for every cinema of our partner",
    ),
    NewReward("明前龙井茶礼盒", "Longjing tea gift box", 500, stock=80, limit_per_customer=1, category="food"),
    NewReward(
        "机场贵宾厅一次",
        "One airport lounge visit",
        800,
        stock=120,
        limit_per_period=4,
        period_days=365,
        category="travel",
    ),
    NewReward(
        "全面体检套餐",
        "Full medical check-up",
        3_000,
        stock=20,
        limit_per_customer=1,
        kind=RewardKind.PARTNER,
        category="health",
        description_zh="体检中心将在七日内确认预约",
        description_en="The clinic confirms your appointment within seven days",
        time_limit_minutes=7 * 24 * 60,
        expired_policy=ExpiredPolicy.REINSTATE,
        grace_days=30,
    ),
    NewReward("公益捐赠一份", "A donation in your name", 50),
)
# A partner would hand over codes like these; each is good for two tickets.
CODES = 200


async def is_loaded(database: Database) -> bool:
    """Whether a load has come to its end; one that was interrupted has not."""
    async with database.read() as session:
        return await session.get(ImportBatch, LOADED_ID) is not None


async def load_demonstration(
    settings: Settings, database: Database, graph: GraphClient, *, customers: int, now: datetime, console: Console
) -> None:
    """Load a bank of so many customers; interrupted and run again, it ends the same."""
    async with database.write() as session:
        await offer(session, now=now)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        report = await import_rows(settings, database, graph, customers=customers, now=now, progress=progress)
        task = progress.add_task("Points", total=None)
        async with database.write() as session:
            await give_code(session, now=now)
        await load_insight(database, now=now)
        await load_content(database, now=now)
        await offer_products(database, now=now)
        # Within the time of one sweep; of a large bank the worker settles the rest.
        progress.update(task, completed=await sweep_outbox(Stores(database, graph)))
        progress.add_task("Tiers", total=None)
        await decide_tiers(Stores(database, graph), settings.loyalty_time_zone, now=now)
        progress.add_task("Recommendations", total=None)
        await recommend(graph, now=now)
    await mark_loaded(database, report)
    console.print(f"Demonstration bank: {customers} customers, {report.accepted} rows")


async def offer(session: Session, *, now: datetime) -> None:
    """An active referral programme, earning rules and rewards; what is there already stays."""
    if await session.get(ReferralProgram, PROGRAM_ID) is None:
        await create_program(
            session,
            program_id=PROGRAM_ID,
            name_zh="邀友有礼",
            name_en="Bring a friend",
            definition=DEFINITION,
            starts_at=now - timedelta(days=365),
            ends_at=None,
            budget_points=None,
            now=now,
        )
        await activate_program(session, PROGRAM_ID)
    for kind, (name_zh, name_en, points) in EARNING_RULES.items():
        if not await watched_kinds(session, [kind]):
            definition = {"fact_kind": kind, "points": points}
            rule_id = await create_earning_rule(
                session, name_zh=name_zh, name_en=name_en, definition=definition, now=now
            )
            # What is loaded has happened before.
            await activate_earning_rule(session, rule_id, effective_from=now - timedelta(days=3650), now=now)
    for reward in REWARDS:
        reward_id = derived_id(SOURCE, "reward", reward.name_en)
        await create_reward(session, reward, now=now, reward_id=reward_id)
        if reward.kind == RewardKind.COUPON:
            codes = [f"CINEMA-{derived_id(reward_id, str(number))[:13].upper()}" for number in range(CODES)]
            await add_codes(session, NewCodes(reward_id, codes, f"{SOURCE}-codes"), actor="supervisor", now=now)


async def import_rows(
    settings: Settings, database: Database, graph: GraphClient, *, customers: int, now: datetime, progress: Progress
) -> ImportBatch:
    """Write the rows into a file without a name, and import it as any other file."""
    bank = Bank(customers, now.astimezone(ZoneInfo("Asia/Shanghai")).date(), program=PROGRAM_ID)
    with tempfile.TemporaryFile() as file:
        total = write_rows(bank.rows(), file)
        task = progress.add_task("Demonstration bank", total=total)
        importer = Importer(
            database,
            graph,
            settings.identity_hash_key.get_secret_value(),
            progress=lambda rows: progress.advance(task, rows),
        )
        file.seek(0)
        return await importer.run(file, file_name=FILE_NAME, source=SOURCE, kind=None, started_by="supervisor", now=now)


def write_rows(rows: Iterator[dict[str, Any]], file: IO[bytes]) -> int:
    """Write JSON Lines; returns how many."""
    count = 0
    for row in rows:
        file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        count += 1
    return count


async def give_code(session: Session, *, now: datetime) -> None:
    """The code that a visitor who signs in as the referrer finds at once."""
    customer_id = await customer_id_of(session, SOURCE, customer_key(NUMBER_OF[REFERRER]))
    if customer_id is None:
        raise Unavailable(detail="the demonstration bank was not imported")
    await referral_code(session, program_id=PROGRAM_ID, customer_id=customer_id, now=now)


async def decide_tiers(stores: Stores, zone: str, *, now: datetime) -> None:
    """Decide the last two months whose balances are in, so that there is one to compare with."""
    async with stores.database.read() as session:
        due = await due_month(session, zone=zone, now=now)
    if due is not None:
        await run_due_months(stores, zone=zone, month=months_before(due, 1))
        await run_due_months(stores, zone=zone, month=due)


async def recommend(graph: GraphClient, *, now: datetime) -> None:
    """Compute the first lists of recommendations, so that the first screen has one."""
    from community.recommendation_learning import ScoringPolicy
    from community.recommendations import recompute

    await recompute(graph, policy=ScoringPolicy(), now=now, run_id=new_id())


async def mark_loaded(database: Database, report: ImportBatch) -> None:
    """Write the report of the whole load."""
    marker = {**report.model_dump(), "id": LOADED_ID, "finished_at": utc_now()}
    async with database.write() as session:
        await insert_once(session, ImportBatch, marker, "id")
