"""Telling live listeners of what a transaction has changed, once it is committed."""

from api.context import Info
from core.db import Session
from core.live import told


async def ring_told(info: Info, session: Session) -> None:
    """Ring what the domain left to be told in this session; to be called after its block."""
    for channel, hint in told(session):
        await info.context.edge.ring(channel, hint)
