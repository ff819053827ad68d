"""Versions of the message policy: drafted, then active until the next is; a message keeps by which it was decided."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import select

from core.db import Session
from core.errors import Refusal
from core.ids import derived_id
from core.paging import Page, Place
from core.versions import Version, activate_version, active_version, draft_version, newest_versions, one_active
from service.message_policy import MessageDefinition, MessagePolicyInvalid, parse_message_definition

# The migration writes the first version under this id, active from the beginning.
FIRST_POLICY_ID = derived_id("message_policy", "first")


class MessagePolicyRetired(Refusal):
    code = "MESSAGE_POLICY_RETIRED"
    en = "This message policy was replaced; draft a new one that says the same."
    zh = "该消息策略已被替换，请新建内容相同的策略。"


class MessagePolicyStatus(StrEnum):
    """One policy is active; the one that it replaces is retired for good."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class MessagePolicy(Version, table=True):
    """A version of the policy, whose definition never changes once it is written."""

    __table_args__ = (one_active("message_policy"),)

    def parsed(self) -> MessageDefinition:
        return MessageDefinition.model_validate(self.definition)


async def create_message_policy(session: Session, definition: Any, *, actor: str, now: datetime) -> MessagePolicy:
    """Draft the next version; raises MessagePolicyInvalid."""
    parsed = parse_message_definition(definition)
    return await draft_version(
        session, MessagePolicy, parsed, area="message-policy", invalid=MessagePolicyInvalid, actor=actor, now=now
    )


async def activate_message_policy(session: Session, policy_id: str, *, actor: str, now: datetime) -> MessagePolicy:
    """Let messages that are decided from now on go by this version; an active one stays so, and nothing is noted again.

    Raises NotFound, MessagePolicyRetired.
    """
    return await activate_version(
        session, MessagePolicy, policy_id, area="message-policy", retired=MessagePolicyRetired, actor=actor, now=now
    )


async def active_message_policy(session: Session) -> MessagePolicy:
    """The version by which messages are decided now; the migration has seen to it that there is one."""
    return await active_version(session, MessagePolicy)


async def list_message_policies(session: Session, *, first: int | None, after: Place) -> Page[MessagePolicy]:
    """The versions, the newest first."""
    return await newest_versions(session, select(MessagePolicy), MessagePolicy.version, first=first, after=after)
