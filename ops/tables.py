"""The complete SQL schema: importing this module loads every room's tables into one metadata."""

from sqlmodel import SQLModel

from community import feedback
from core import audit, facts, outbox
from customers import imports, profiles
from loyalty import catalogue, earning, ledger, lots, redemption
from referrals import attribution, codes, links, programs, rewards
from service import notifications

MODULES = (
    audit,
    facts,
    outbox,
    imports,
    profiles,
    catalogue,
    earning,
    ledger,
    lots,
    redemption,
    attribution,
    codes,
    links,
    programs,
    rewards,
    notifications,
    feedback,
)
METADATA = SQLModel.metadata
