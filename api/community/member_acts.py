"""What the acts of managers and moderators on customers have in common."""

from dataclasses import dataclass
from typing import TypedDict

import strawberry

from api.community.communities import Community, community_after
from api.context import Info
from api.customers.profiles import Customer, load_customer
from api.relay import local_id


class Outcome(TypedDict):
    community: Community
    customer_local: str


@strawberry.type
class MemberAct:
    community: Community = strawberry.field(description="The community.")
    customer_local: strawberry.Private[str]

    @strawberry.field(description="The customer on whom you acted.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.customer_local)


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts on whom in which community, by local ids."""

    community_id: str
    customer_id: str
    actor_id: str

    async def outcome(self, info: Info) -> Outcome:
        """What a success shows; raises NotFound where the actor lost sight of the community meanwhile."""
        community = await community_after(info, self.community_id)
        return Outcome(community=community, customer_local=self.customer_id)


async def act_on(info: Info, community_id: str, customer_id: str) -> Act:
    """The act that an input with these global ids asks for."""
    return Act(
        community_id=local_id("Community", community_id, "input", "communityId"),
        customer_id=local_id("Customer", customer_id, "input", "customerId"),
        actor_id=await info.context.customer_id(),
    )
