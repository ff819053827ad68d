"""In which time zone a customer wants to be reached, where they have said so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlmodel import col, select

from core.db import Session
from service.message_preferences import MessageSetting

Zones = Callable[[Session, Sequence[str]], Awaitable[Mapping[str, str]]]


async def zones_of(session: Session, customer_ids: Sequence[str]) -> Mapping[str, str]:
    """The IANA zones of those of these customers who have chosen one; all others are reached in the bank's."""
    statement = select(MessageSetting.customer_id, MessageSetting.time_zone).where(
        col(MessageSetting.customer_id).in_(list(customer_ids)), col(MessageSetting.time_zone).is_not(None)
    )
    return {customer_id: str(zone) for customer_id, zone in (await session.exec(statement)).all()}
