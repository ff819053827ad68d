"""What sources say of a customer's money: tier, traits, holdings, accounts, balances; each with its time.

A part of the customer's whole picture; whoever asks for it has been let through before.
"""

from datetime import date, datetime

import strawberry

from api.context import Info
from api.customers.tier_overrides import TierOverride, override_of
from api.customers.tiers import TierChange, change_of
from api.relay import After, Before, Connection, First, Last, Node, connection, global_id
from api.scalars import SafeInt
from core.clock import as_utc
from core.paging import window
from customers.money_records import (
    accounts_of,
    balances_of_customer,
    holdings_of,
    preferences_of,
    traits_of_customer,
)
from customers.records import Account as AccountRow
from customers.records import Holding as HoldingRow
from customers.records import MonthlyBalance as BalanceRow
from customers.sources import BALANCE_DAYS, is_stale
from customers.tier_records import TierOverride as TierOverrideRow
from customers.tiers import list_changes, standing_of
from graph.eligibility import Tier
from segments.traits import CustomerTrait as TraitRow
from segments.traits import TraitDefinition, TraitKind

strawberry.enum(
    TraitKind, name="TraitKind", description="What a value is; MONEY is minor units, DATE the first of a month."
)


@strawberry.type(description="The tier that a customer has now.")
class TierStanding:
    tier: Tier = strawberry.field(description="The tier that is shown.")
    on_watch: bool = strawberry.field(description="Whether a fall is near.")
    computed_tier: Tier = strawberry.field(description="What is computed; it shows when no override counts.")
    cap: Tier | None = strawberry.field(description="The most that the risk allows; null: anything.")
    month: str | None = strawberry.field(description="The month whose run changed it last; null: none has.")
    override_local: strawberry.Private[str | None]

    @strawberry.field(description="The override that counts now; null: none.")
    async def override(self, info: Info) -> TierOverride | None:
        if self.override_local is None:
            return None
        async with info.context.database.read() as session:
            row = await session.get(TierOverrideRow, self.override_local)
        return override_of(row) if row else None


@strawberry.type(description="A value that a source has told of a customer.")
class CustomerTrait:
    name: str = strawberry.field(description="Stable name of the trait.")
    title: str = strawberry.field(description="What it is, in the language of the request.")
    kind: TraitKind = strawberry.field(description="What the value is.")
    item: str = strawberry.field(description="Which of several, such as children; empty where there is one.")
    number: SafeInt | None = strawberry.field(description="The value of a NUMBER, MONEY or BOOLEAN (1 or 0).")
    word: str | None = strawberry.field(description="The value of a TEXT.")
    day: date | None = strawberry.field(description="The value of a DATE.")
    source: str = strawberry.field(description="Who says so.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")
    stale: bool = strawberry.field(description="Whether it is older than such a value stays good.")


@strawberry.type(description="What is held of a product.")
class Holding(Node):
    product: str = strawberry.field(description="The product's code.")
    kind: str = strawberry.field(description="Its kind.")
    amount: SafeInt = strawberry.field(description="Minor units of the currency.")
    currency: str = strawberry.field(description="ISO 4217.")
    matures_on: date | None = strawberry.field(description="When it matures; null: never.")
    source: str = strawberry.field(description="Who says so.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")
    stale: bool = strawberry.field(description="Whether that is long ago.")


@strawberry.type(description="An account with the bank.")
class BankAccount(Node):
    kind: str = strawberry.field(description="Its kind.")
    currency: str = strawberry.field(description="ISO 4217.")
    opened_on: date | None = strawberry.field(description="When it was opened.")
    closed_on: date | None = strawberry.field(description="When it was closed; null: it is open.")
    source: str = strawberry.field(description="Who says so.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")
    stale: bool = strawberry.field(description="Whether that is long ago.")


@strawberry.type(description="One month at one source.")
class MonthlyBalance:
    month: str = strawberry.field(description="The month, such as 2026-10.")
    average: SafeInt = strawberry.field(description="The average over the month, in minor units.")
    closing: SafeInt | None = strawberry.field(description="The last balance of the month.")
    contribution: SafeInt = strawberry.field(description="What the bank earned by it.")
    currency: str = strawberry.field(description="ISO 4217.")
    source: str = strawberry.field(description="Who says so.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")
    stale: bool = strawberry.field(description=f"Whether that is more than {BALANCE_DAYS} days ago.")


@strawberry.type(description="Whether a customer likes to be reached by a channel, as one source says.")
class ChannelPreference:
    channel: str = strawberry.field(description="The channel.")
    is_preferred: bool = strawberry.field(description="Whether it is liked.")
    source: str = strawberry.field(description="Who says so.")
    observed_at: datetime = strawberry.field(description="When the source saw it so.")


def trait_of(row: TraitRow, definition: TraitDefinition, info: Info) -> CustomerTrait:
    observed_at = as_utc(row.observed_at)
    return CustomerTrait(
        name=row.name,
        title=info.context.text(definition, "name"),
        kind=TraitKind(definition.kind),
        item=row.item,
        number=None if row.number is None else SafeInt(row.number),
        word=row.word,
        day=row.day,
        source=row.source,
        observed_at=observed_at,
        stale=is_stale(observed_at, definition.stale_after_days, now=info.context.now),
    )


def holding_of(row: HoldingRow, now: datetime) -> Holding:
    return Holding(
        id=global_id("Holding", row.id),
        product=row.product,
        kind=row.kind,
        amount=SafeInt(row.amount),
        currency=row.currency,
        matures_on=row.matures_on,
        source=row.source,
        observed_at=row.observed_at,
        stale=is_stale(as_utc(row.observed_at), BALANCE_DAYS, now=now),
    )


def account_of(row: AccountRow, now: datetime) -> BankAccount:
    return BankAccount(
        id=global_id("BankAccount", row.id),
        kind=row.kind,
        currency=row.currency,
        opened_on=row.opened_on,
        closed_on=row.closed_on,
        source=row.source,
        observed_at=row.observed_at,
        stale=is_stale(as_utc(row.observed_at), BALANCE_DAYS, now=now),
    )


def balance_of(row: BalanceRow, now: datetime) -> MonthlyBalance:
    return MonthlyBalance(
        month=row.month.isoformat()[:7],
        average=SafeInt(row.average),
        closing=None if row.closing is None else SafeInt(row.closing),
        contribution=SafeInt(row.contribution),
        currency=row.currency,
        source=row.source,
        observed_at=row.observed_at,
        stale=is_stale(as_utc(row.observed_at), BALANCE_DAYS, now=now),
    )


@strawberry.type(description="What sources say of a customer's money.")
class MoneyOfCustomer:
    local: strawberry.Private[str]

    @strawberry.field(description="The tier by now.")
    async def tier(self, info: Info) -> TierStanding:
        async with info.context.database.read() as session:
            row = await standing_of(session, self.local)
        now = info.context.now
        if row is None:
            none = Tier.MASS
            return TierStanding(
                tier=none, on_watch=False, computed_tier=none, cap=None, month=None, override_local=None
            )
        is_over = row.overridden_until is not None and as_utc(row.overridden_until) <= now
        return TierStanding(
            tier=Tier(row.computed_tier if is_over else row.tier),
            on_watch=row.computed_watch if is_over else row.on_watch,
            computed_tier=Tier(row.computed_tier),
            cap=Tier(row.cap) if row.cap else None,
            month=row.month.isoformat()[:7] if row.month else None,
            override_local=None if is_over else row.override_id,
        )

    @strawberry.field(description="Rises and falls of the tier, the latest first.")
    async def tier_changes(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[TierChange]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await list_changes(session, customer_ids=[self.local], first=size, after=place)
        return connection(page, place, lambda row: change_of(row, info))

    @strawberry.field(description="What is known, by name.")
    async def traits(self, info: Info) -> list[CustomerTrait]:
        async with info.context.database.read() as session:
            rows = await traits_of_customer(session, self.local)
        return [trait_of(row, definition, info) for row, definition in rows]

    @strawberry.field(description="What is held of products.")
    async def holdings(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Holding]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await holdings_of(session, self.local, first=size, after=place)
        return connection(page, place, lambda row: holding_of(row, info.context.now))

    @strawberry.field(description="Accounts with the bank.")
    async def accounts(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[BankAccount]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await accounts_of(session, self.local, first=size, after=place)
        return connection(page, place, lambda row: account_of(row, info.context.now))

    @strawberry.field(description="Monthly balances, the latest first.")
    async def balances(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[MonthlyBalance]:
        size, place = window(first, after, last, before)
        async with info.context.database.read() as session:
            page = await balances_of_customer(session, self.local, first=size, after=place)
        return connection(page, place, lambda row: balance_of(row, info.context.now))

    @strawberry.field(description="Channels that sources say are liked or not.")
    async def channel_preferences(self, info: Info) -> list[ChannelPreference]:
        async with info.context.database.read() as session:
            rows = await preferences_of(session, self.local)
        return [
            ChannelPreference(
                channel=row.channel, is_preferred=row.is_preferred, source=row.source, observed_at=row.observed_at
            )
            for row in rows
        ]
