"""Why a customer is left in peace at the moment: one place where all causes come together."""

from datetime import datetime

from core.days import day_of
from core.db import Session, zone_of
from service.care_mutes import MuteReason, mutes_on
from service.complaint_state import open_complaints_of
from service.message_policy import Mute


async def mutes_of(session: Session, customer_id: str, *, now: datetime) -> frozenset[Mute]:
    """The mutes that hold for a customer on this day of the bank.

    Those of care for other causes than a bereavement silence greetings only, which care itself sees to.
    """
    found: set[Mute] = set()
    if await open_complaints_of(session, [customer_id]):
        found.add(Mute.OPEN_COMPLAINT)
    if MuteReason.BEREAVEMENT in await mutes_on(session, customer_id, day_of(now, zone_of(session))):
        found.add(Mute.BEREAVEMENT)
    return frozenset(found)
