"""The tree of referrals below a customer."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

import strawberry

from api.ahead import asks
from api.context import Info
from api.customers.profiles import Customer, customer_named, load_customer, may_see
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
    row: strawberry.Private[Any]
    level: strawberry.Private[TreeLevel]
    people: strawberry.Private["People"]

    def told(self) -> TreeNode:
        """Made for what few ask for, since there are up to a thousand of these."""
        return TreeNode(self.row, self.level.depth, self.level.as_of)

    @strawberry.field(description="How far below the customer of the tree; 1 for their own referees.")
    def depth(self) -> int:
        return self.level.depth

    @strawberry.field(description="When the referrer was named.")
    def referred_at(self) -> datetime:
        return self.row.claimed_at

    @strawberry.field(description="Where it stood, by what is known today; one that was rejected stays where it is.")
    def status(self) -> ReferralStatus:
        return self.told().status

    @strawberry.field(
        description="`decay` to the power of (depth - 1) for a qualified referral, else 0. Shown, and never paid."
    )
    def credit(self) -> float:
        return self.told().credit

    @strawberry.field(description="How many they had brought themselves, counted up to one more than `first`.")
    def referees(self) -> int:
        # They are counted where this field is asked for.
        return self.row.referees

    @strawberry.field(description="Pass it as `after`, with the parent as `customerId`, to go on behind this node.")
    def cursor(self) -> str:
        return self.told().cursor

    @strawberry.field(description="Who was brought.")
    def customer(self) -> Customer | None:
        return named(self.row)

    @strawberry.field(description="Who brought them.")
    def parent(self) -> Customer | None:
        return self.people.by_id.get(self.row.referrer_id)


@strawberry.type(description="One page of a level of a tree: referees of those who are shown on the level above.")
class ReferralTreeLevel:
    depth: int = strawberry.field(description="How far below the customer of the tree.")
    count: int = strawberry.field(description="How many this page holds.")
    has_more: bool = strawberry.field(
        description="Whether those on the level above have brought more; go on from each of them."
    )
    nodes: list[ReferralTreeNode] = strawberry.field(
        description="Who they are; to customers, below the first level of their own tree, nobody is named."
    )
    level: strawberry.Private[TreeLevel]

    @strawberry.field(description="The sum of this page's credits.")
    def credit(self) -> float:
        return sum(node.credit for node in self.level.nodes)


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


def named(row: Any) -> Customer | None:
    """Who stands in a row; None for somebody who is not known any more."""
    return customer_named(row.referee_id, row.name) if row.name is not None else None


class People:
    """Who stands in a tree, for those who ask for the parents of its nodes."""

    def __init__(self, root: Customer, levels: Iterable[TreeLevel]) -> None:
        self._root, self._levels = root, levels

    @cached_property
    def by_id(self) -> Mapping[str, Customer]:
        found = ((row.referee_id, named(row)) for level in self._levels for row in level.rows)
        return {self._root.local: self._root, **{key: person for key, person in found if person is not None}}


def level_of(level: TreeLevel, people: People, *, is_named: bool) -> ReferralTreeLevel:
    return ReferralTreeLevel(
        depth=level.depth,
        count=len(level.rows),
        has_more=level.has_more,
        nodes=[ReferralTreeNode(row=row, level=level, people=people) for row in level.rows] if is_named else [],
        level=level,
    )


def sees_names(principal: Principal, customer_id: str) -> bool:
    """Whether somebody who may see the tree sees who stands below its first level: the bank's staff, not its owner."""
    return principal.is_administrator or (
        principal.has(Role.RELATIONSHIP_MANAGER) and principal.customer_id != customer_id
    )


REFEREES = ("levels", "nodes", "referees")
# What tells more of a node than who stands there and since when.
MORE_THAN_BRIEF = (
    REFEREES,
    *(("levels", "nodes", name) for name in ("status", "credit", "cursor", "parent")),
    ("levels", "credit"),
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
            counts_last=asks(info, REFEREES),
            is_brief=not asks(info, *MORE_THAN_BRIEF),
        )
        # Where anybody was referred in a programme, there is one.
        if not levels and program and not await is_known(context.database, program):
            return None
        sees_all = sees_names(principal, customer)
        people = People(root, [level for level in levels if sees_all or level.depth == 1])
        return ReferralTree(
            as_of=date,
            decay=DECAY,
            levels=[level_of(level, people, is_named=sees_all or level.depth == 1) for level in levels],
            local=customer,
            program_local=chosen,
        )


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
