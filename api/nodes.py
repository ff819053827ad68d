"""`node(id:)`: anything by its global id, under the same rules as by its own field."""

import strawberry

from api.community.communities import load_community
from api.community.event_series import load_series
from api.community.events import load_event
from api.context import Info
from api.customers.profiles import load_customer, may_see
from api.loyalty.redemption import reward_of
from api.referrals.programs import program_of
from api.relay import Node, split_id
from referrals.programs import ProgramStatus


@strawberry.type
class NodeQueries:
    @strawberry.field(description="Anything that you may see, by its global id.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        info.context.signed_in()
        kind, local = split_id(id, "id")
        loader = LOADERS.get(kind)
        return await loader(info, local) if loader else None


async def load_seen_customer(info: Info, local: str) -> Node | None:
    return await load_customer(info, local) if await may_see(info, local) else None


async def load_reward(info: Info, local: str) -> Node | None:
    row = await info.context.loaders.rewards.load(local)
    return reward_of(row, info) if row else None


async def load_program(info: Info, local: str) -> Node | None:
    row = await info.context.loaders.programs.load(local)
    return program_of(row, info) if row and row.status != ProgramStatus.DRAFT else None


LOADERS = {
    "Customer": load_seen_customer,
    "Community": load_community,
    "Event": load_event,
    "EventSeries": load_series,
    "Reward": load_reward,
    "ReferralProgram": load_program,
}
