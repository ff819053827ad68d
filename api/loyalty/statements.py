"""Statements to keep: asked for by a mutation, fetched from a short-lived address, streamed page by page."""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import strawberry
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.context import Edge, Info
from api.loyalty.statement_words import ACCOUNTS, COLUMNS, KINDS, WORDS
from api.refusals import Refusal, refusals, result_union
from api.relay import local_id
from core.audit import act, checked_reason, record_act
from core.clock import utc_now
from core.db import Database, Session, rows_by_id
from core.errors import BadUserInput
from core.ids import new_id
from loyalty.adjustments import AREA
from loyalty.catalogue import Reward
from loyalty.ledger import OF_CUSTOMERS, AccountKind
from loyalty.redemption import REDEMPTION, Redemption
from loyalty.statement_links import StatementFormat, StatementOrder, read_order, sign_order
from loyalty.statements import LedgerFilter, LedgerLine, balances_before, check_filter, kind_of, lines_of, places_after

PAGE = 500
# What spreadsheets take for the beginning of a formula, also in its wide forms.
FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
HEADERS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    # The address is its own key for as long as it is good.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#111}h1{font-size:1.2rem}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.25rem .5rem;border-bottom:1px solid #ccc;text-align:left}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}thead{display:table-header-group}tr{break-inside:avoid}"
    "@media print{body{margin:0}@page{margin:15mm}}"
)

strawberry.enum(StatementFormat, name="StatementFormat", description="CSV for a spreadsheet, HTML to read and print.")


class StatementInvalid(BadUserInput):
    code = "STATEMENT_INVALID"
    en = "Whoever asks for somebody else's statement gives a reason of 1 to 500 characters."
    zh = "导出他人对账单须填写1至500个字符的理由。"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement, as both formats show it."""

    booked_at: str
    account: str
    kind: str
    description: str
    points: int
    balance: int


@dataclass(slots=True)
class Sheet:
    """A statement under way: how its words are chosen, and what stands on each account so far."""

    order: StatementOrder
    zone: str
    standing: dict[AccountKind, int] = field(default_factory=dict[AccountKind, int])

    def word(self, pair: tuple[str, str]) -> str:
        return pair[0] if self.order.language == "zh" else pair[1]

    def when(self, instant: datetime) -> str:
        return instant.astimezone(ZoneInfo(self.zone)).strftime("%Y-%m-%d %H:%M:%S")


async def statement(request: Request) -> Response:
    """The statement of a signed address; any other address, and one that is over, is the same nothing."""
    edge: Edge = request.app.state.edge
    key = edge.settings.statement_key.get_secret_value()
    order = read_order(key, request.path_params["token"], now=utc_now())
    if order is None:
        return Response("Not found\n", status_code=404, media_type="text/plain", headers=HEADERS)
    sheet = Sheet(order, edge.settings.loyalty_time_zone)
    if order.format == StatementFormat.CSV:
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="points.csv"'}
        return StreamingResponse(csv_text(edge.database, sheet), media_type="text/csv; charset=utf-8", headers=headers)
    return StreamingResponse(html_text(edge.database, sheet), media_type="text/html; charset=utf-8", headers=HEADERS)


ROUTES = [Route("/statements/{token}", statement)]


async def pages(database: Database, sheet: Sheet) -> AsyncGenerator[list[Line], None]:
    """The lines from the oldest on, a page at a time; no connection is held while somebody reads slowly."""
    order = sheet.order
    wanted = LedgerFilter(booked_from=order.booked_from, booked_before=order.booked_before)
    marks = dict.fromkeys(OF_CUSTOMERS, 0)
    while True:
        async with database.read() as session:
            found = await lines_of(session, order.customer_id, wanted, marks, limit=PAGE, oldest_first=True)
            found = found[:PAGE]
            lines = await described(session, found, sheet)
        if lines:
            yield lines
        if len(found) < PAGE:
            return
        marks = dict(zip(OF_CUSTOMERS, places_after(found, marks)[-1], strict=True))


async def described(session: Session, found: Sequence[LedgerLine], sheet: Sheet) -> list[Line]:
    """The lines with words for what they are, and the names of the rewards that were redeemed."""
    ids = {line.posting.cause_id for line in found if line.posting.cause_kind == REDEMPTION}
    redemptions = await rows_by_id(session, Redemption, ids)
    rewards = await rows_by_id(session, Reward, {row.reward_id for row in redemptions.values()})
    lines: list[Line] = []
    for line in found:
        account, redemption = kind_of(line.entry), redemptions.get(line.posting.cause_id)
        reward = rewards.get(redemption.reward_id) if redemption else None
        sheet.standing[account] = sheet.standing.get(account, 0) + line.entry.points
        lines.append(
            Line(
                booked_at=sheet.when(line.posting.booked_at),
                account=sheet.word(ACCOUNTS[account]),
                kind=sheet.word(KINDS.get(line.posting.kind, (line.posting.kind, line.posting.kind))),
                description=sheet.word((reward.name_zh, reward.name_en)) if reward else "",
                points=line.entry.points,
                # What stands on the account by these lines. The balance that was written with the entry counts what
                # took its position before it, though the instant of that may be after the statement's end.
                balance=sheet.standing[account],
            )
        )
    return lines


async def opening(database: Database, sheet: Sheet) -> dict[AccountKind, int]:
    async with database.read() as session:
        sheet.standing = await balances_before(session, sheet.order.customer_id, sheet.order.booked_from)
    return dict(sheet.standing)


def plain_cell(text: str) -> str:
    """Text that no spreadsheet runs: what could begin a formula has an apostrophe before it."""
    return f"'{text}" if text.startswith(tuple(FORMULA)) else text


async def csv_text(database: Database, sheet: Sheet) -> AsyncGenerator[str, None]:
    """RFC 4180, with the mark by which spreadsheets know UTF-8; numbers are bare, all text is made safe."""
    yield "\ufeff" + rows_text([[sheet.word(pair) for pair in COLUMNS]])
    for kind, points in (await opening(database, sheet)).items():
        yield rows_text([["", sheet.word(ACCOUNTS[kind]), sheet.word(WORDS["opening"]), "", "", points]])
    async for lines in pages(database, sheet):
        yield rows_text([[*map(plain_cell, cells(line)), line.points, line.balance] for line in lines])
    for kind, points in sheet.standing.items():
        yield rows_text([["", sheet.word(ACCOUNTS[kind]), sheet.word(WORDS["closing"]), "", "", points]])


def cells(line: Line) -> tuple[str, str, str, str]:
    return line.booked_at, line.account, line.kind, line.description


def rows_text(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


async def html_text(database: Database, sheet: Sheet) -> AsyncGenerator[str, None]:
    """A page to print; every word in it is escaped, and it runs no script."""
    order, word = sheet.order, sheet.word
    title = word(WORDS["title"])
    begin = sheet.when(order.booked_from) if order.booked_from else word(WORDS["beginning"])
    language = "zh-CN" if order.language == "zh" else "en"
    yield (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(begin)} \u2013 {escape(sheet.when(order.booked_before))} ({escape(sheet.zone)})</p>"
        f"<table><thead>{row_html([word(pair) for pair in COLUMNS], 'th')}</thead><tbody>"
    )
    for kind, points in (await opening(database, sheet)).items():
        yield row_html(["", word(ACCOUNTS[kind]), word(WORDS["opening"]), "", "", str(points)], "td")
    async for lines in pages(database, sheet):
        yield "".join(row_html([*cells(line), f"{line.points:+d}", str(line.balance)], "td") for line in lines)
    for kind, points in sheet.standing.items():
        yield row_html(["", word(ACCOUNTS[kind]), word(WORDS["closing"]), "", "", str(points)], "td")
    yield "</tbody></table></body></html>\n"


def row_html(texts: Sequence[str], tag: str) -> str:
    """A row whose last two cells are numbers."""
    row = (
        f"<{tag}{' class=n' if place >= len(texts) - 2 else ''}>{escape(text)}</{tag}>"
        for place, text in enumerate(texts)
    )
    return f"<tr>{''.join(row)}</tr>"


@strawberry.input(description="What the statement shall hold.")
class ExportStatementInput:
    format: StatementFormat = strawberry.field(description="How it is written.")
    booked_from: datetime | None = strawberry.field(
        name="from", description="Booked at this instant or later; null: from the beginning.", default=None
    )
    booked_before: datetime | None = strawberry.field(
        name="to", description="Booked before this instant; null: until now.", default=None
    )
    customer_id: strawberry.ID | None = strawberry.field(
        description="Whose; null: your own. Others' are for administrators.", default=None
    )
    reason: str | None = strawberry.field(
        description="Why somebody else's is asked for, 1 to 500 characters; kept in the audit trail.", default=None
    )


@strawberry.type(description="The statement can be fetched.")
class ExportStatementSuccess:
    url: str = strawberry.field(description="Where, without signing in: whoever has the address can read it.")
    expires_at: datetime = strawberry.field(description="Until when.")


ExportStatementResult = Annotated[ExportStatementSuccess | Refusal, result_union(ExportStatementSuccess)]


async def customer_of(info: Info, input: ExportStatementInput) -> str:
    """Whose statement it is; an administrator's request for somebody else's is audited before it is answered."""
    context = info.context
    if input.customer_id is None:
        return await context.customer_id()
    actor = context.administrator().subject
    customer_id = local_id("Customer", input.customer_id, "input", "customerId")
    reason = checked_reason(input.reason or "", StatementInvalid)
    async with context.database.write() as session:
        entry = act(
            area=AREA,
            actor=actor,
            action="STATEMENT_EXPORTED",
            subject=f"customer:{customer_id}",
            at=context.now,
            reason=reason,
            format=input.format,
        )
        await record_act(session, f"statement:{new_id()}", entry)
    return customer_id


@strawberry.type
class StatementMutations:
    @strawberry.mutation(
        description="Make an address for ten minutes from which a statement can be fetched, in the language of this "
        "request. Your own, or for administrators, who give a reason, anybody's."
    )
    @refusals
    async def export_statement(self, info: Info, input: ExportStatementInput) -> ExportStatementResult:
        context = info.context
        customer_id = await customer_of(info, input)
        end = min(input.booked_before or context.now, context.now)
        check_filter(LedgerFilter(booked_from=input.booked_from, booked_before=end))
        order = StatementOrder(customer_id, input.booked_from, end, input.format, context.language)
        settings = context.edge.settings
        token, expires_at = sign_order(settings.statement_key.get_secret_value(), order, now=context.now)
        return ExportStatementSuccess(url=f"{settings.base_url}/statements/{token}", expires_at=expires_at)
