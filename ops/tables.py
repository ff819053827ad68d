"""The complete SQL schema: importing this module loads every room's tables into one metadata."""

from sqlmodel import SQLModel

from community import feedback, reports, search_sql
from core import anniversaries, audit, facts, outbox
from customers import imports, profiles
from loyalty import (
    adjustments,
    catalogue,
    catalogue_changes,
    charges,
    coupons,
    day_close,
    earning_caps,
    earning_rules,
    ledger,
    lots,
    redemption_records,
    transfers,
)
from referrals import (
    attribution,
    codes,
    fraud_cases,
    funnel,
    households,
    influence,
    k_factor,
    leaderboard,
    limits,
    links,
    programs,
    rewards,
    settlement,
    standings,
)
from service import calendar_feeds, digests, notifications

MODULES = (
    audit,
    facts,
    outbox,
    anniversaries,
    reports,
    imports,
    profiles,
    catalogue,
    catalogue_changes,
    charges,
    coupons,
    earning_rules,
    earning_caps,
    ledger,
    lots,
    adjustments,
    transfers,
    day_close,
    redemption_records,
    attribution,
    codes,
    households,
    fraud_cases,
    links,
    programs,
    rewards,
    limits,
    settlement,
    standings,
    leaderboard,
    influence,
    funnel,
    k_factor,
    notifications,
    digests,
    calendar_feeds,
    search_sql,
    feedback,
)
METADATA = SQLModel.metadata
