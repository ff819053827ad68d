"""The rows of accounts, holdings, transactions, service records, monthly balances and preferred channels.

Each names its source's key, or its customer and month or channel. Amounts are decimal text in whole units of the
currency. What is observed later corrects; a row without another time is as new as what it tells of.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, field_validator, model_validator
from pydantic import Field as Setting
from sqlmodel import col, select

from core.clock import as_utc, iso
from core.db import Record
from core.facts import LONGEST_LEAD
from core.ids import derived_id
from core.importing import Batch, ImportKind, ImportRow, Rejection
from core.outbox import owe
from customers.alert_looks import owe_looks
from customers.holders import HOLDINGS_ENDED
from customers.money import Amount, Currency, minor_of
from customers.newest import put_newest
from customers.records import (
    Account,
    AccountTransaction,
    ChannelPreference,
    Holding,
    MonthlyBalance,
    ServiceRecord,
)

Key = Annotated[str, Setting(min_length=1, max_length=200)]
# Words of the bank's systems, never free text, which could name a person.
Code = Annotated[str, Setting(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}$")]
MONTH = re.compile(r"[12][0-9]{3}-(0[1-9]|1[0-2])")


class RecordRow(ImportRow):
    """What all of them have; raises for a time that lies ahead when it is written."""

    customer_fields: ClassVar[tuple[str, ...]] = ("customer",)

    customer: Key


class AccountRow(RecordRow):
    """An account with the bank."""

    key: Key
    account_kind: Code
    currency: Currency
    opened_on: date | None = None
    closed_on: date | None = None
    observed_at: AwareDatetime


class MoneyRow(RecordRow):
    """A row with amounts; they have no more decimals than their currency."""

    amounts: ClassVar[tuple[str, ...]] = ("amount",)

    currency: Currency

    @model_validator(mode="after")
    def fits_currency(self) -> "MoneyRow":
        for name in self.amounts:
            if (amount := getattr(self, name)) is not None:
                minor_of(amount, self.currency)
        return self


class HoldingRow(MoneyRow):
    """What is held of a product; an amount of 0 says that it was sold or has ended."""

    key: Key
    product: Code
    product_kind: Code
    amount: Amount
    matures_on: date | None = None
    observed_at: AwareDatetime


class MonthlyBalanceRow(MoneyRow):
    """A customer's month at this source."""

    amounts: ClassVar[tuple[str, ...]] = ("average", "closing", "contribution")

    month: str
    average: Amount
    closing: Amount | None = None
    contribution: Amount = "0"
    observed_at: AwareDatetime

    @field_validator("month")
    @classmethod
    def is_month(cls, text: str) -> str:
        if not MONTH.fullmatch(text):
            raise ValueError("a month such as 2026-10")
        return text


class TransactionRow(MoneyRow):
    """Money in (above zero) or out (below zero); `account` is the source's key of an account that was told."""

    key: Key
    account: Key | None = None
    amount: Amount
    transaction_kind: Code
    occurred_at: AwareDatetime
    observed_at: AwareDatetime | None = None

    @field_validator("amount")
    @classmethod
    def is_something(cls, amount: str) -> str:
        if not amount.strip("-0."):
            raise ValueError("an amount other than 0")
        return amount


class ServiceRecordRow(RecordRow):
    """A contact with the bank."""

    key: Key
    service_kind: Code
    channel: Code
    topic: Code
    employee: Code | None = None
    occurred_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    observed_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def ends_after_its_beginning(self) -> "ServiceRecordRow":
        if self.closed_at is not None and self.closed_at < self.occurred_at:
            raise ValueError("closed_at lies before occurred_at")
        return self


class ChannelPreferenceRow(RecordRow):
    """Whether a customer likes to be reached so."""

    channel: Code
    preferred: bool
    observed_at: AwareDatetime


TIMES = ("observed_at", "occurred_at", "closed_at")


def rejected_ahead(batch: Batch[Any]) -> list[Rejection]:
    """The rows that speak of what is yet to come: they would never be corrected."""
    latest = batch.now + LONGEST_LEAD
    found = [(item.line, first_ahead(item.row, latest)) for item in batch.rows]
    return [Rejection(line, name, "it lies in the future") for line, name in found if name]


def first_ahead(row: Any, latest: datetime) -> str | None:
    """The first of a row's times that lies after the latest."""
    for name in TIMES:
        at: datetime | None = getattr(row, name, None)
        if at is not None and at > latest:
            return name
    return None


Make = Callable[[Batch[Any], Any], dict[str, Any]]


async def write_newest(
    batch: Batch[Any], model: type[Record], make: Make, *keys: str, rejected: Sequence[Rejection] = ()
) -> list[Rejection]:
    """Write the rows of a batch as they say, less those that are rejected; counts what told nothing new."""
    refused = {one.line: one for one in [*rejected_ahead(batch), *rejected]}
    rows = [
        {
            **make(batch, item.row),
            "customer_id": batch.customers[item.row.customer],
            "source": batch.source,
            "legal_basis": item.row.legal_basis,
            "recorded_at": batch.now,
        }
        for item in batch.rows
        if item.line not in refused
    ]
    batch.tally["unchanged"] += len(rows) - (await put_newest(batch.session, model, rows, *keys) if rows else 0)
    return list(refused.values())


def record_id(kind: str, source: str, key: str) -> str:
    """Our id of a record by its source's key."""
    return derived_id(kind, source, key)


async def write_accounts(batch: Batch[AccountRow]) -> list[Rejection]:
    def make(batch: Batch[AccountRow], row: AccountRow) -> dict[str, Any]:
        return {
            "id": record_id("account", batch.source, row.key),
            "key": row.key,
            "kind": row.account_kind,
            "currency": row.currency,
            "opened_on": row.opened_on,
            "closed_on": row.closed_on,
            "observed_at": row.observed_at,
        }

    return await write_newest(batch, Account, make, "id")


async def write_holdings(batch: Batch[HoldingRow]) -> list[Rejection]:
    def make(batch: Batch[HoldingRow], row: HoldingRow) -> dict[str, Any]:
        return {
            "id": record_id("holding", batch.source, row.key),
            "key": row.key,
            "product": row.product,
            "kind": row.product_kind,
            "amount": minor_of(row.amount, row.currency),
            "currency": row.currency,
            "matures_on": row.matures_on,
            "observed_at": row.observed_at,
        }

    rejected = await write_newest(batch, Holding, make, "id")
    await owe_ends_of(batch, rejected)
    return rejected


async def owe_ends_of(batch: Batch[HoldingRow], rejected: Sequence[Rejection]) -> None:
    """Owe what follows for those of whom the batch says that something is not held any more."""
    lines = {one.line for one in rejected}
    ended = [item for item in batch.rows if item.line not in lines and not item.row.amount.strip("-0.")]
    if ended:
        key = f"{batch.source}:{iso(batch.now)}:{ended[0].line}"
        payload = {"customer_ids": sorted({batch.customers[item.row.customer] for item in ended})}
        await owe(batch.session, topic=HOLDINGS_ENDED, key=key, payload=payload, now=batch.now)


async def write_balances(batch: Batch[MonthlyBalanceRow]) -> list[Rejection]:
    def make(_: Batch[MonthlyBalanceRow], row: MonthlyBalanceRow) -> dict[str, Any]:
        return {
            "customer_key": row.customer,
            "month": month_of(row.month),
            "average": minor_of(row.average, row.currency),
            "closing": None if row.closing is None else minor_of(row.closing, row.currency),
            "contribution": minor_of(row.contribution, row.currency),
            "currency": row.currency,
            "observed_at": row.observed_at,
        }

    ahead = [
        Rejection(item.line, "month", "it lies in the future")
        for item in batch.rows
        # Somewhere on earth it may be the next day already.
        if month_of(item.row.month) > (batch.now + timedelta(days=1)).date()
    ]
    return await write_newest(
        batch, MonthlyBalance, make, "customer_id", "month", "source", "customer_key", rejected=ahead
    )


def month_of(text: str) -> date:
    return date(int(text[:4]), int(text[5:]), 1)


async def write_transactions(batch: Batch[TransactionRow]) -> list[Rejection]:
    def make(batch: Batch[TransactionRow], row: TransactionRow) -> dict[str, Any]:
        return {
            "id": record_id("transaction", batch.source, row.key),
            "key": row.key,
            "account_id": record_id("account", batch.source, row.account) if row.account else None,
            "amount": minor_of(row.amount, row.currency),
            "currency": row.currency,
            "kind": row.transaction_kind,
            "occurred_at": row.occurred_at,
            "observed_at": row.observed_at or row.occurred_at,
        }

    unknown = await without_account(batch)
    rejected = await write_newest(batch, AccountTransaction, make, "id", rejected=unknown)
    await owe_looks_at(batch, rejected)
    return rejected


async def without_account(batch: Batch[TransactionRow]) -> list[Rejection]:
    """The rejections of transactions on accounts that their source has not told us of, by one question for all."""
    keys = {item.row.account for item in batch.rows if item.row.account}
    if not keys:
        return []
    statement = select(Account.key).where(Account.source == batch.source, col(Account.key).in_(keys))
    known = set((await batch.session.exec(statement)).all())
    return [
        Rejection(item.line, "account", "unknown account")
        for item in batch.rows
        if item.row.account and item.row.account not in known
    ]


async def write_service_records(batch: Batch[ServiceRecordRow]) -> list[Rejection]:
    rejected = await write_newest(batch, ServiceRecord, service_record_of, "id")
    await owe_looks_at(batch, rejected)
    return rejected


async def owe_looks_at(batch: Batch[Any], rejected: Sequence[Rejection]) -> None:
    """Owe a look for alerts at those of whom the batch has told something new."""
    lines = {one.line for one in rejected}
    rows = [item.row for item in batch.rows if item.line not in lines]
    await owe_looks(batch.session, [(batch.customers[row.customer], row.occurred_at) for row in rows], now=batch.now)


def service_record_of(batch: Batch[Any], row: ServiceRecordRow) -> dict[str, Any]:
    return {
        "id": record_id("service_record", batch.source, row.key),
        "key": row.key,
        "kind": row.service_kind,
        "channel": row.channel,
        "topic": row.topic,
        "employee_id": row.employee,
        "occurred_at": row.occurred_at,
        "closed_at": row.closed_at,
        "observed_at": newest_time(row),
    }


def newest_time(row: ServiceRecordRow) -> datetime:
    """How new a row is: a contact that is told again with its end is newer than the one that was told without."""
    return as_utc(row.observed_at or row.closed_at or row.occurred_at)


async def write_preferences(batch: Batch[ChannelPreferenceRow]) -> list[Rejection]:
    def make(_: Batch[ChannelPreferenceRow], row: ChannelPreferenceRow) -> dict[str, Any]:
        return {
            "customer_key": row.customer,
            "channel": row.channel,
            "is_preferred": row.preferred,
            "observed_at": row.observed_at,
        }

    return await write_newest(batch, ChannelPreference, make, "customer_id", "channel", "source", "customer_key")


KINDS = (
    ImportKind("account", AccountRow, write_accounts),
    ImportKind("holding", HoldingRow, write_holdings),
    ImportKind("monthly_balance", MonthlyBalanceRow, write_balances),
    ImportKind("transaction", TransactionRow, write_transactions),
    ImportKind("service_record", ServiceRecordRow, write_service_records),
    ImportKind("channel_preference", ChannelPreferenceRow, write_preferences),
)
