"""Products, assessments and holdings, as imports and customers would make them."""

from datetime import datetime, timedelta

from sqlmodel import select

from core.clock import utc_now
from core.db import Database, Session
from core.ids import new_id
from customers.profiles import Customer
from customers.records import Holding
from service.assessments import Answered, RiskAssessment, assess_suitability
from service.products import ProductWords, put_products
from service.questionnaire_definition import QuestionnaireDefinition
from service.risk_questionnaires import active_questionnaire
from service.suitability import CLASSES, Liquidity, ProductRisk, Rating, RiskClass
from tests.customers.insight import put

# The bank's first questionnaire, answered so that it gives each class.
ANSWERS: dict[RiskClass, tuple[str, ...]] = {
    RiskClass.C1: ("65-and-over", "under-10", "none", "keep", "sell-all", "none"),
    RiskClass.C2: ("51-to-64", "10-to-25", "none", "steady", "sell-all", "5"),
    RiskClass.C3: ("30-to-50", "10-to-25", "under-2", "steady", "sell-some", "15"),
    RiskClass.C4: ("30-to-50", "26-to-50", "2-to-5", "growth", "sell-some", "15"),
    RiskClass.C5: ("30-to-50", "over-50", "over-5", "high", "buy", "more"),
}


def answers_of(definition: QuestionnaireDefinition, risk_class: RiskClass) -> dict[str, str]:
    return {one.key: key for one, key in zip(definition.questions, ANSWERS[risk_class], strict=True)}


async def assessed(
    session: Session,
    customer_id: str,
    risk_class: RiskClass = RiskClass.C3,
    *,
    horizon_months: int = 36,
    liquidity_need: Liquidity = Liquidity.AT_MATURITY,
    now: datetime,
) -> RiskAssessment:
    """An assessment of the active questionnaire that gives this class."""
    active = await active_questionnaire(session)
    said = Answered(active.id, answers_of(active.parsed(), risk_class), horizon_months, liquidity_need)
    found = await assess_suitability(session, customer_id, said, now=now)
    assert CLASSES.index(RiskClass(found.risk_class)) == CLASSES.index(risk_class)
    return found


async def assess_one(
    database: Database, customer_id: str, risk_class: RiskClass = RiskClass.C3, *, now: datetime | None = None
) -> RiskAssessment:
    async with database.write() as session:
        return await assessed(session, customer_id, risk_class, now=now or utc_now())


def words(
    code: str,
    risk: ProductRisk | None = ProductRisk.R2,
    *,
    at: datetime,
    tags: frozenset[str] = frozenset(),
    horizon_months: int | None = 6,
    liquidity: Liquidity | None = Liquidity.MONTHLY,
    is_active: bool = True,
    name: str = "Fund",
) -> ProductWords:
    return ProductWords(code, "基金", name, Rating(risk, horizon_months, liquidity), tags, is_active, at)


async def rate(
    database: Database, code: str, risk: ProductRisk | None = ProductRisk.R2, *, at: datetime | None = None
) -> None:
    """Let an import say of a product how it is rated."""
    now = utc_now()
    async with database.write() as session:
        said = words(code, risk, at=at or now)
        await put_products(session, [said], source="core", set_by="import:core", now=now)


async def make_holders(database: Database, code: str, count: int) -> list[str]:
    """So many customers who hold a product, by their ids."""
    now = utc_now()
    ids = sorted(new_id() for _ in range(count))
    await put(database, Customer, *({"id": one, "display_name": "Test", "created_at": now} for one in ids))
    await put(database, Holding, *(holding_of(one, code, now=now) for one in ids))
    return ids


def holding_of(customer_id: str, code: str, *, now: datetime, amount: int = 1_000_00) -> dict[str, object]:
    key = new_id()
    row: dict[str, object] = {"id": key, "key": key, "customer_id": customer_id, "product": code, "amount": amount}
    row |= {"kind": "FUND", "currency": "CNY", "matures_on": None, "source": "core", "legal_basis": None}
    return row | {"observed_at": now, "recorded_at": now}


async def assessments_of(database: Database, customer_id: str) -> list[RiskAssessment]:
    async with database.read() as session:
        mine = select(RiskAssessment).where(RiskAssessment.customer_id == customer_id)
        return list((await session.exec(mine)).all())


YEAR = timedelta(days=365)
