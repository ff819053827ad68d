"""Versions of the risk questionnaire: drafted, then active until the next one is; assessments keep theirs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import select

from core.db import Session
from core.errors import Refusal
from core.paging import Page, Place
from core.versions import Version, activate_version, active_version, draft_version, newest_versions, one_active
from service.questionnaire_definition import QuestionnaireDefinition, RiskQuestionnaireInvalid, parse_questionnaire


class RiskQuestionnaireRetired(Refusal):
    code = "RISK_QUESTIONNAIRE_RETIRED"
    en = "This questionnaire is not in use; please take the active one."
    zh = "该问卷未启用或已停用，请使用当前问卷。"


class QuestionnaireStatus(StrEnum):
    """One questionnaire is active; the one that it replaces is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class RiskQuestionnaire(Version, table=True):
    """A version, whose definition never changes once it is written."""

    __table_args__ = (one_active("risk_questionnaire"),)

    def parsed(self) -> QuestionnaireDefinition:
        return QuestionnaireDefinition.model_validate(self.definition)


async def create_risk_questionnaire(
    session: Session, definition: Any, *, actor: str, now: datetime
) -> RiskQuestionnaire:
    """Draft the next version; raises RiskQuestionnaireInvalid."""
    parsed = parse_questionnaire(definition)
    return await draft_version(
        session,
        RiskQuestionnaire,
        parsed,
        area="risk-questionnaire",
        invalid=RiskQuestionnaireInvalid,
        actor=actor,
        now=now,
    )


async def activate_risk_questionnaire(
    session: Session, questionnaire_id: str, *, actor: str, now: datetime
) -> RiskQuestionnaire:
    """Let customers answer this version from now on; an active one stays so. Raises NotFound, RiskQuestionnaireRetired.

    What was assessed by another one stays valid until it expires.
    """
    return await activate_version(
        session,
        RiskQuestionnaire,
        questionnaire_id,
        area="risk-questionnaire",
        retired=RiskQuestionnaireRetired,
        argument="questionnaireId",
        actor=actor,
        now=now,
    )


async def active_questionnaire(session: Session) -> RiskQuestionnaire:
    """The version that customers answer now; the migration has seen to it that there is one."""
    return await active_version(session, RiskQuestionnaire)


async def list_questionnaires(session: Session, *, first: int | None, after: Place) -> Page[RiskQuestionnaire]:
    """The versions, the newest first."""
    return await newest_versions(
        session, select(RiskQuestionnaire), RiskQuestionnaire.version, first=first, after=after
    )
