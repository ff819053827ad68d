"""Vouchers: what a customer shows at a counter, and what the counter does with it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api.context import Info
from api.loyalty.catalogue import Reward, load_reward
from api.qr import qr_png, qr_svg
from api.refusals import Refusal, refusals, result_union
from api.relay import Connection, Node, connection, global_id, local_id
from core.paging import Page, Place
from core.principal import Principal, Scope
from core.rate import Limit
from loyalty.redemption_records import Redemption as RedemptionRow
from loyalty.vouchers import (
    VoucherStatus,
    VoucherUnknown,
    may_use_vouchers,
    use_voucher,
    voucher_by_code,
    voucher_status,
    vouchers_of,
)

# More wrong codes than somebody mistypes in an hour, and far fewer than it takes to guess one.
VOUCHER_GUESSES = Limit("voucher", most=20, seconds=3600)
# All counters of a partner are one service client; a code of 12 letters is still far away.
COUNTER_GUESSES = Limit("voucher-counters", most=1_000, seconds=3600)

strawberry.enum(VoucherStatus, name="VoucherStatus", description="Whether a voucher can be shown at a counter.")


@strawberry.type(description="A code to show at a counter, once. Only its owner sees it.")
class Voucher(Node):
    code: str = strawberry.field(description="What the picture says; `useVoucher` takes it.")
    status: VoucherStatus = strawberry.field(description="Whether it can be shown.")
    issued_at: datetime = strawberry.field(description="Since when you have it.")
    valid_until: datetime | None = strawberry.field(description="Until when, exclusive; null: without end.")
    used_at: datetime | None = strawberry.field(description="When it was used; null: it was not.")
    redemption_id: strawberry.ID = strawberry.field(description="Global id of the redemption that brought it.")
    reward_local: strawberry.Private[str]

    @strawberry.field(description="The code as a QR code, a whole SVG document.")
    def qr_svg(self) -> str:
        return qr_svg(self.code)

    @strawberry.field(description="The code as a QR code, a PNG in a data: address.")
    def qr_png(self) -> str:
        return qr_png(self.code)

    @strawberry.field(description="What it is good for.")
    async def reward(self, info: Info) -> Reward | None:
        return await load_reward(info, self.reward_local)


def voucher_of(row: RedemptionRow, now: datetime) -> Voucher | None:
    """The voucher of a redemption of the viewer's own; None where it has no code."""
    if row.voucher_code is None:
        return None
    return Voucher(
        id=global_id("Voucher", row.id),
        code=row.voucher_code,
        status=voucher_status(row, now),
        issued_at=row.ended_at or row.redeemed_at,
        valid_until=row.voucher_until,
        used_at=row.used_at,
        redemption_id=global_id("Redemption", row.id),
        reward_local=row.reward_id,
    )


async def load_voucher(info: Info, local: str) -> Voucher | None:
    """A voucher by its id, for its owner alone."""
    row = await info.context.loaders.redemptions.load(local)
    if row is None or row.customer_id != await info.context.viewer_id():
        return None
    return voucher_of(row, info.context.now)


async def voucher_page(
    info: Info, status: VoucherStatus | None, first: int | None, after: Place
) -> Connection[Voucher]:
    """The viewer's vouchers, the latest first."""
    context = info.context
    customer_id = await context.viewer_id()
    page = Page[RedemptionRow]([], [], has_next=False)
    if customer_id is not None:
        async with context.database.read() as session:
            page = await vouchers_of(session, customer_id, status=status, first=first, after=after, now=context.now)
    return connection(page, after, lambda row: voucher_of(row, context.now))


@strawberry.input(description="What a customer shows.")
class UseVoucherInput:
    code: str = strawberry.field(description="As scanned or typed.")
    reward_id: strawberry.ID | None = strawberry.field(
        description="Global id of the reward that this counter hands out; another's code is unknown there.",
        default=None,
    )


@strawberry.type(description="The voucher is used, and cannot be used again.")
class UseVoucherSuccess:
    used_at: datetime = strawberry.field(description="When.")
    valid_until: datetime | None = strawberry.field(description="Until when it was valid; null: without end.")
    redemption_id: strawberry.ID = strawberry.field(description="Global id of the redemption that brought it.")
    reward_local: strawberry.Private[str]

    @strawberry.field(description="What to hand out.")
    async def reward(self, info: Info) -> Reward | None:
        return await load_reward(info, self.reward_local)


UseVoucherResult = Annotated[UseVoucherSuccess | Refusal, result_union(UseVoucherSuccess)]


def guesses_of(principal: Principal) -> Limit:
    """How many wrong codes are told to somebody: to a service client those of many counters."""
    return COUNTER_GUESSES if Scope.REDEMPTIONS_WRITE in principal.scopes else VOUCHER_GUESSES


async def guess_voucher(info: Info, principal: Principal, code: str, reward_id: str | None) -> RedemptionRow:
    """The voucher of this code; raises VoucherUnknown, and TooManyGuesses for who has named too many of those."""
    edge, limit = info.context.edge, guesses_of(principal)
    allowed = edge.guesses.allowed(limit, principal.subject, wrong=VoucherUnknown, path=("code",))
    async with allowed, edge.database.read() as session:
        return await voucher_by_code(session, code, reward_id=reward_id)


@strawberry.type
class VoucherMutations:
    @strawberry.mutation(
        description="Mark a voucher as used, once; for administrators, and service clients with the scope "
        "redemptions:write."
    )
    @refusals
    async def use_voucher(self, info: Info, input: UseVoucherInput) -> UseVoucherResult:
        context = info.context
        principal = context.signed_in()
        may_use_vouchers(principal)
        reward_id = local_id("Reward", input.reward_id, "input", "rewardId") if input.reward_id is not None else None
        found = await guess_voucher(info, principal, input.code, reward_id)
        async with context.database.write() as session:
            row = await use_voucher(session, found.id, actor=principal.subject, now=context.now)
        return UseVoucherSuccess(
            used_at=row.used_at or context.now,
            valid_until=row.voucher_until,
            redemption_id=global_id("Redemption", row.id),
            reward_local=row.reward_id,
        )
