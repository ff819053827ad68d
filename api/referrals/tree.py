"""The tree of referrals below a customer."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, cast

import strawberry

from api.ahead import asks
from api.context import Info
from api.customers.profiles import Customer, customer_of, load_customer, may_see
from api.referrals.programs import ReferralProgram, program_of
from api.relay import First, local_id
from core.db import Database
from core.errors import NotFound
from core.principal import Principal, Role
from customers.profiles import display_name_of
from referrals.analytics import known_program
from referrals.attribution import ReferralStatus
from referrals.programs import the_program
from referrals.tree import DECAY, TreeLevel, TreeNode, referral_tree


@strawberry.type(description="Somebody in a tree of referrals, as of its date.")
class ReferralTreeNode:
    depth: int = strawberry.field(description="How far below the customer of the tree; 1 for their own referees.")
    referred_at: datetime = strawberry.field(description="When the referrer was named.")
    status: ReferralStatus = strawberry.field(
        description="Where it stood, by what is known today; one that was rejected stays where it is."
    )
    credit: float = strawberry.field(
        description="`decay` to the power of (depth - 1) for a qualified referral, else 0. Shown, and never paid."
    )
    referees: int = strawberry.field(
        description="How many they had brought themselves, counted up to one more than `first`."
    )
    local: strawberry.Private[str]
    node: strawberry.Private[TreeNode]
    parent_local: strawberry.Private[str]
    # At hand, since a tree has up to a thousand nodes.
    people: strawberry.Private[Mapping[str, Customer]]

    @strawberry.field(description="Pass it as `after`, with the parent as `customerId`, to go on behind this node.")
    def cursor(self) -> str:
        return self.node.cursor

    @strawberry.field(description="Who was brought.")
    def customer(self) -> Customer | None:
        return self.people.get(self.local)

    @strawberry.field(description="Who brought them.")
    def parent(self) -> Customer | None:
        return self.people.get(self.parent_local)


@strawberry.type(description="One page of a level of a tree: referees of those who are shown on the level above.")
class ReferralTreeLevel:
    depth: int = strawberry.field(description="How far below the customer of the tree.")
    count: int = strawberry.field(description="How many this page holds.")
    has_more: bool = strawberry.field(
        description="Whether those on the level above have brought more; go on from each of them."
    )
    credit: float = strawberry.field(description="The sum of this page's credits.")
    nodes: list[ReferralTreeNode] = strawberry.field(
        description="Who they are; to customers, below the first level of their own tree, nobody is named."
    )


@strawberry.type(description="Whom a customer has brought, directly and through others, as of a date.")
class ReferralTree:
    as_of: datetime = strawberry.field(description="The date.")
    decay: float = strawberry.field(description="By how much a credit is multiplied with each level.")
    levels: list[ReferralTreeLevel] = strawberry.field(
        description="The levels that have anybody, the customer's own referees first."
    )
    local: strawberry.Private[str]
    program_local: strawberry.Private[str]

    @strawberry.field(description="The programme.")
    async def program(self, info: Info) -> ReferralProgram:
        row = await info.context.loaders.referring.programs.load(self.program_local)
        if row is None:
            raise NotFound(path=("programId",))
        return program_of(row, info)

    @strawberry.field(description="Whose tree it is.")
    async def customer(self, info: Info) -> Customer | None:
        return await load_customer(info, self.local)


def node_of(node: TreeNode, people: Mapping[str, Customer]) -> ReferralTreeNode:
    return ReferralTreeNode(
        depth=node.depth,
        referred_at=node.referred_at,
        status=node.status,
        credit=node.credit,
        referees=cast(int, node.referees),
        local=node.customer_id,
        parent_local=node.parent_id,
        people=people,
        node=node,
    )


def level_of(level: TreeLevel, people: Mapping[str, Customer], *, is_named: bool) -> ReferralTreeLevel:
    return ReferralTreeLevel(
        depth=level.depth,
        count=len(level.nodes),
        has_more=level.has_more,
        credit=sum(node.credit for node in level.nodes),
        nodes=[node_of(node, people) for node in level.nodes] if is_named else [],
    )


def sees_names(principal: Principal, customer_id: str) -> bool:
    """Whether somebody who may see the tree sees who stands below its first level: the bank's staff, not its owner."""
    return principal.is_administrator or (
        principal.has(Role.RELATIONSHIP_MANAGER) and principal.customer_id != customer_id
    )


MaxDepth = Annotated[int | None, strawberry.argument(description="How many levels, 1 to 10; 3 by default.")]
AsOf = Annotated[datetime | None, strawberry.argument(description="The date; now by default, and at the latest.")]
AfterNode = Annotated[
    str | None, strawberry.argument(description="Cursor of a referee of the customer, after whom level 1 goes on.")
]

OneProgram = Annotated[
    strawberry.ID | None, strawberry.argument(description="Which programme; where one is active, that by default.")
]


@strawberry.type
class ReferralTreeQueries:
    @strawberry.field(
        description="Whom a customer has brought: for themselves, for their own relationship manager, and for "
        "administrators; null for anybody else. Every level is one page."
    )
    async def referral_tree(
        self,
        info: Info,
        customer_id: Annotated[
            strawberry.ID,
            strawberry.argument(
                description="Global id of the customer at the root: yourself, or one whom you may see."
            ),
        ],
        as_of: AsOf = None,
        max_depth: MaxDepth = None,
        program_id: OneProgram = None,
        first: First = None,
        after: AfterNode = None,
    ) -> ReferralTree | None:
        context = info.context
        principal = await context.principal()
        program = local_id("ReferralProgram", program_id, "programId") if program_id else None
        customer = local_id("Customer", customer_id, "customerId")
        root = await load_customer(info, customer) if await may_see(info, customer) else None
        if root is None:
            return None
        date = min(as_of or context.now, context.now)
        chosen = program or await only_program(context.database)
        if chosen is None:
            return None
        levels = await referral_tree(
            context.database,
            naming=display_name_of,
            program_id=chosen,
            customer_id=customer,
            as_of=date,
            max_depth=max_depth,
            first=first,
            after=after,
            counts_last=asks(info, "levels", "nodes", "referees"),
        )
        # Where anybody was referred in a programme, there is one.
        if not levels and program and not await is_known(context.database, program):
            return None
        named = sees_names(principal, customer)
        people = people_of(root, (node for level in levels if named or level.depth == 1 for node in level.nodes))
        return ReferralTree(
            as_of=date,
            decay=DECAY,
            levels=[level_of(level, people, is_named=named or level.depth == 1) for level in levels],
            local=customer,
            program_local=chosen,
        )


def people_of(root: Customer, nodes: Iterable[TreeNode]) -> dict[str, Customer]:
    """Those who stand at these nodes and above them, by their ids."""
    found = {
        node.customer_id: customer_of({"id": node.customer_id, "display_name": node.name})
        for node in nodes
        if node.name is not None
    }
    return {root.local: root, **found}


async def only_program(database: Database) -> str | None:
    """The id of the programme that is active, where there is but one."""
    async with database.read() as session:
        row = await the_program(session)
    return row.id if row else None


async def is_known(database: Database, program_id: str) -> bool:
    """Whether customers know of a programme."""
    async with database.read() as session:
        try:
            await known_program(session, program_id)
        except NotFound:
            return False
    return True
