"""Which channels a customer likes to be reached by, as the bank's systems tell."""

from sqlmodel import col, select

from core.db import Session
from customers.records import ChannelPreference


async def liked_channels(session: Session, customer_id: str) -> dict[str, bool]:
    """Whether a customer likes each channel of which something was told, in capitals; the latest of several counts."""
    statement = select(ChannelPreference).where(ChannelPreference.customer_id == customer_id)
    rows = (await session.exec(statement.order_by(col(ChannelPreference.observed_at)))).all()
    return {row.channel.upper(): row.is_preferred for row in rows}
