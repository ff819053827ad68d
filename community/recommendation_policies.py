"""How lists are made, in numbered versions of which one is active, and trials of another one on part of the customers.

Which one is active and whether a trial runs is said by one row, and changed under its lock: there is never none and
never two. Written by administrators; a run takes what is so at its start (`plan_now`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic import Field as Setting
from sqlalchemy import func
from sqlmodel import Field, col, select

from community.recommendation_learning import ScoringPolicy, Weights
from community.recommendation_order import OrderPolicy, stable_number
from core.db import Record, Session, instant, json_column, rows_by_id
from core.definitions import read_definition
from core.errors import BadUserInput, NotFound, Refusal
from core.ids import new_id
from core.paging import Falling, Page, Place, by_text, cut, page_size
from core.versions import newest_versions

COMMUNITIES = "COMMUNITIES"
# A customer's place among all in a trial, in hundredths of a per cent.
PLACES = 10_000


class RecommendationPolicyInvalid(BadUserInput):
    code = "RECOMMENDATION_POLICY_INVALID"
    en = "The policy of recommendations is not valid."
    zh = "推荐策略无效。"


class RecommendationPolicyNotDraft(Refusal):
    code = "RECOMMENDATION_POLICY_NOT_DRAFT"
    en = "This policy is or was active already. Please create a new one."
    zh = "该推荐策略已启用或已停用，请新建策略。"


class ExperimentRunning(Refusal):
    code = "RECOMMENDATION_EXPERIMENT_RUNNING"
    en = "A trial is running. Please end it first."
    zh = "已有实验正在进行，请先结束。"


class NoExperiment(Refusal):
    code = "NO_RECOMMENDATION_EXPERIMENT"
    en = "No trial is running."
    zh = "当前没有进行中的实验。"


class ExperimentShareInvalid(BadUserInput):
    code = "RECOMMENDATION_EXPERIMENT_SHARE_INVALID"
    en = "A trial is made on 1 to 99 per cent of the customers."
    zh = "实验人群比例需为1%至99%。"


class RecommendationPolicyStatus(StrEnum):
    """A draft becomes active once, tried before or not; the one that was active before is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class Variant(StrEnum):
    """By which of two policies a customer's list is made; CONTROL while there is no trial."""

    CONTROL = "CONTROL"
    TREATMENT = "TREATMENT"


WEIGHTS = frozenset(one.name for one in fields(Weights))


def known_weights(weights: dict[str, float]) -> dict[str, float]:
    if unknown := sorted(weights.keys() - WEIGHTS):
        raise ValueError(f"there is no evidence {unknown[0]}: {', '.join(sorted(WEIGHTS))}")
    return weights


class RecommendationDefinition(BaseModel):
    """What a policy says; what is left out is as standard. Weights are per kind of evidence, itself from 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Annotated[dict[str, Annotated[float, Setting(ge=0, le=10)]], AfterValidator(known_weights)] = {}
    tag_cap: Annotated[int, Setting(ge=1, le=10)] = OrderPolicy().tag_cap
    least_share_percent: Annotated[int, Setting(ge=0, le=100)] = round(OrderPolicy().least_share * 100)
    explored: Annotated[int, Setting(ge=0, le=3)] = OrderPolicy().explored
    new_days: Annotated[int, Setting(ge=1, le=365)] = round(OrderPolicy().new_days)

    def over(self, policy: ScoringPolicy) -> ScoringPolicy:
        """A policy with what is said here laid over it; a weight that there is no more says nothing."""
        weights = {name: weight for name, weight in self.weights.items() if name in WEIGHTS}
        return replace(policy, weights=replace(policy.weights, **weights), order=self.order())

    def order(self) -> OrderPolicy:
        """The same for the order."""
        return OrderPolicy(
            tag_cap=self.tag_cap,
            least_share=self.least_share_percent / 100,
            explored=self.explored,
            new_days=float(self.new_days),
        )


def parse_recommendation_definition(data: Any) -> RecommendationDefinition:
    """Read a definition; raises RecommendationPolicyInvalid with a path."""
    return read_definition(RecommendationDefinition, data, RecommendationPolicyInvalid)


class RecommendationPolicy(Record, table=True):
    """One version; its definition never changes, because figures are compared by it."""

    id: str = Field(primary_key=True)
    number: int = Field(unique=True)
    definition: dict[str, Any] = json_column()
    created_by: str
    created_at: datetime = instant()
    activated_by: str | None = None
    activated_at: datetime | None = instant(optional=True)
    retired_at: datetime | None = instant(optional=True)

    @property
    def status(self) -> RecommendationPolicyStatus:
        if self.activated_at is None:
            return RecommendationPolicyStatus.DRAFT
        return RecommendationPolicyStatus.RETIRED if self.retired_at else RecommendationPolicyStatus.ACTIVE


class RecommendationExperiment(Record, table=True):
    """A trial of one policy beside the active one, on so many per cent of the customers; one runs at a time."""

    id: str = Field(primary_key=True)
    control_id: str = Field(foreign_key="recommendation_policy.id")
    treatment_id: str = Field(foreign_key="recommendation_policy.id")
    percent: int
    started_by: str
    started_at: datetime = instant()
    ended_by: str | None = None
    ended_at: datetime | None = instant(optional=True)


class RecommendationChoice(Record, table=True):
    """What is so now of one kind of recommendations; the migration chose the first policy."""

    kind: str = Field(primary_key=True)
    policy_id: str = Field(foreign_key="recommendation_policy.id")
    experiment_id: str | None = Field(default=None, foreign_key="recommendation_experiment.id")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What decides for one run, as it is kept beside its model: definitions as JSON, and the trial, if one runs.

    A trial has a treatment.
    """

    control: dict[str, Any] = field(default_factory=dict[str, Any])
    treatment: dict[str, Any] | None = None
    trial_id: str | None = None
    percent: int = 0

    def variant(self, customer_id: str) -> Variant:
        """By which policy a customer's list is made.

        By a hash of trial and customer, so the same for as long as it runs, on every machine. Two trials draw anew, and
        independently.
        """
        if self.trial_id is None:
            return Variant.CONTROL
        place = stable_number(f"{self.trial_id}:{customer_id}") % PLACES
        return Variant.TREATMENT if place < self.percent * PLACES // 100 else Variant.CONTROL

    def definition(self, variant: Variant) -> RecommendationDefinition:
        """What a variant's policy says; there is a treatment only while there is a trial."""
        return RecommendationDefinition.model_validate(self.control if variant is Variant.CONTROL else self.treatment)


async def plan_now(session: Session) -> RunPlan:
    """What decides from now on."""
    choice = await session.get_one(RecommendationChoice, COMMUNITIES, populate_existing=True)
    experiment = await experiment_of(session, choice)
    control = await session.get_one(RecommendationPolicy, choice.policy_id, populate_existing=True)
    if experiment is None:
        return RunPlan(control.definition)
    treatment = await session.get_one(RecommendationPolicy, experiment.treatment_id)
    return RunPlan(control.definition, treatment.definition, experiment.id, experiment.percent)


async def experiment_of(session: Session, choice: RecommendationChoice) -> RecommendationExperiment | None:
    if choice.experiment_id is None:
        return None
    return await session.get_one(RecommendationExperiment, choice.experiment_id, populate_existing=True)


async def lock_choice(session: Session) -> RecommendationChoice:
    """The choice, held for this transaction: versions are numbered, activated and tried one after the other."""
    statement = select(RecommendationChoice).where(RecommendationChoice.kind == COMMUNITIES).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one()


async def create_policy(
    session: Session, definition: RecommendationDefinition, *, actor: str, now: datetime
) -> RecommendationPolicy:
    """Draft the next version."""
    await lock_choice(session)
    number = (await session.exec(select(func.max(RecommendationPolicy.number)))).one() or 0
    said = definition.model_dump(mode="json")
    row = RecommendationPolicy(id=new_id(), number=number + 1, definition=said, created_by=actor, created_at=now)
    session.add(row)
    await session.flush()
    return row


async def activate_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> RecommendationPolicy:
    """Let a draft decide for everybody from the next run on; a trial that runs ends, because its control is no more.

    Raises NotFound, RecommendationPolicyNotDraft.
    """
    choice = await lock_choice(session)
    chosen = await find_draft(session, policy_id)
    former = await session.get_one(RecommendationPolicy, choice.policy_id, populate_existing=True)
    await stop(session, choice, actor=actor, now=now)
    former.retired_at = now
    chosen.activated_by, chosen.activated_at = actor, now
    choice.policy_id = chosen.id
    await session.flush()
    return chosen


async def find_draft(session: Session, policy_id: str) -> RecommendationPolicy:
    found = await session.get(RecommendationPolicy, policy_id, populate_existing=True)
    if found is None:
        raise NotFound(path=("policyId",))
    if found.status != RecommendationPolicyStatus.DRAFT:
        raise RecommendationPolicyNotDraft(path=("policyId",))
    return found


async def start_experiment(
    session: Session, policy_id: str, *, percent: int, actor: str, now: datetime
) -> RecommendationExperiment:
    """Try a draft on so many per cent of the customers from the next run on.

    Raises ExperimentShareInvalid, ExperimentRunning, NotFound, RecommendationPolicyNotDraft.
    """
    if not 1 <= percent <= 99:
        raise ExperimentShareInvalid(path=("percent",))
    choice = await lock_choice(session)
    if choice.experiment_id is not None:
        raise ExperimentRunning
    draft = await find_draft(session, policy_id)
    row = RecommendationExperiment(
        id=new_id(),
        control_id=choice.policy_id,
        treatment_id=draft.id,
        percent=percent,
        started_by=actor,
        started_at=now,
    )
    session.add(row)
    await session.flush()
    choice.experiment_id = row.id
    await session.flush()
    return row


async def end_experiment(session: Session, *, actor: str, now: datetime) -> RecommendationExperiment:
    """End the trial; from the next run on the active policy decides for everybody. Raises NoExperiment."""
    ended = await stop(session, await lock_choice(session), actor=actor, now=now)
    if ended is None:
        raise NoExperiment
    return ended


async def stop(
    session: Session, choice: RecommendationChoice, *, actor: str, now: datetime
) -> RecommendationExperiment | None:
    running = await experiment_of(session, choice)
    if running is not None:
        running.ended_by, running.ended_at = actor, now
        choice.experiment_id = None
        await session.flush()
    return running


async def policies_by_id(session: Session, ids: Collection[str]) -> dict[str, RecommendationPolicy]:
    return await rows_by_id(session, RecommendationPolicy, ids)


async def list_policies(session: Session, *, first: int | None, after: Place) -> Page[RecommendationPolicy]:
    """All versions, the newest first."""
    number = RecommendationPolicy.number
    return await newest_versions(session, select(RecommendationPolicy), number, first=first, after=after)


async def list_experiments(session: Session, *, first: int | None, after: Place) -> Page[RecommendationExperiment]:
    """All trials, the latest first: their ids are in the order of their starts."""
    size = page_size(first)
    page = by_text(select(RecommendationExperiment), Falling(col(RecommendationExperiment.id)), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)
