"""Lists of people around a community: members, those who ask to join, are invited or banned, and its audit trail."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.customers.profiles import Customer, customer_of, load_customer
from api.relay import Mark, PageInfo, global_id, page_info
from community.access import ROLES, MemberRole
from core.paging import Page, Place
from graph.client import Row

strawberry.enum(MemberRole, name="MemberRole", description="What a customer is to a community.")


@strawberry.type(description="A member of a community.")
class CommunityMemberEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks this member's place.")
    node: Customer = strawberry.field(description="The member.")
    role: MemberRole = strawberry.field(description="What they may do.")
    since: datetime = strawberry.field(description="Since when they are a member.")


@strawberry.type(description="A page of members.")
class CommunityMemberConnection:
    edges: list[CommunityMemberEdge] = strawberry.field(description="The members of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")
    total_count: int | None = strawberry.field(
        description="How many members there are in all; null with `roles`, and for whoever may not see who they are."
    )


@strawberry.type(description="Somebody who asks to become a member.")
class MembershipRequestEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks this request's place.")
    node: Customer = strawberry.field(description="Who asks.")
    message: str | None = strawberry.field(description="What they wrote with it.")
    since: datetime = strawberry.field(description="Since when they wait.")


@strawberry.type(description="A page of requests, the one that waits longest first.")
class MembershipRequestConnection:
    edges: list[MembershipRequestEdge] = strawberry.field(description="The requests of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


@strawberry.type(description="Somebody who is invited and has not answered.")
class InvitedCustomerEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks this place.")
    node: Customer = strawberry.field(description="Who is invited.")
    since: datetime = strawberry.field(description="When they were invited.")
    inviter_local: strawberry.Private[str | None]

    @strawberry.field(description="Who invited them.")
    async def invited_by(self, info: Info) -> Customer | None:
        return await load_customer(info, self.inviter_local) if self.inviter_local else None


@strawberry.type(description="A page of invited customers, the earliest first.")
class InvitedCustomerConnection:
    edges: list[InvitedCustomerEdge] = strawberry.field(description="The invited of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


@strawberry.type(description="Somebody who is banned.")
class BannedCustomerEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks this place.")
    node: Customer = strawberry.field(description="Who is banned.")
    reason: str | None = strawberry.field(description="Why.")
    since: datetime = strawberry.field(description="Since when.")
    until: datetime | None = strawberry.field(description="Until when; null: for ever.")
    moderator_local: strawberry.Private[str | None]

    @strawberry.field(description="Who banned them.")
    async def banned_by(self, info: Info) -> Customer | None:
        return await load_customer(info, self.moderator_local) if self.moderator_local else None


@strawberry.type(description="A page of banned customers, the earliest first.")
class BannedCustomerConnection:
    edges: list[BannedCustomerEdge] = strawberry.field(description="The banned of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


def member_connection(page: Page[Row], after: Place, total: int | None) -> CommunityMemberConnection:
    edges = [
        CommunityMemberEdge(cursor=cursor, node=customer_of(row), role=ROLES[row["role"]], since=row["since"])
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return CommunityMemberConnection(edges=edges, page_info=page_info(page, after), total_count=total)


def request_connection(page: Page[Row], after: Place) -> MembershipRequestConnection:
    edges = [
        MembershipRequestEdge(cursor=cursor, node=customer_of(row), message=row["message"], since=row["since"])
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return MembershipRequestConnection(edges=edges, page_info=page_info(page, after))


def invited_connection(page: Page[Row], after: Place) -> InvitedCustomerConnection:
    edges = [
        InvitedCustomerEdge(cursor=cursor, node=customer_of(row), since=row["since"], inviter_local=row["invited_by"])
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return InvitedCustomerConnection(edges=edges, page_info=page_info(page, after))


def banned_connection(page: Page[Row], after: Place) -> BannedCustomerConnection:
    edges = [
        BannedCustomerEdge(
            cursor=cursor,
            node=customer_of(row),
            reason=row["reason"],
            since=row["since"],
            until=row["banned_until"],
            moderator_local=row["banned_by"],
        )
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return BannedCustomerConnection(edges=edges, page_info=page_info(page, after))


@strawberry.type(description="One act in the government of a community. Entries are never changed.")
class AuditEntry:
    action: str = strawberry.field(description="What was done, such as BANNED or ROLE_CHANGED.")
    subject_id: strawberry.ID = strawberry.field(description="Global id of what it was done to.")
    reason: str | None = strawberry.field(description="Why, where a reason was given.")
    details: JSON = strawberry.field(description="What the act changed.")
    at: datetime = strawberry.field(description="When.")
    actor_local: strawberry.Private[str]

    @strawberry.field(description="Who did it; null where it happened by itself, such as the end of a ban.")
    async def actor(self, info: Info) -> Customer | None:
        return await load_customer(info, self.actor_local)


@strawberry.type(description="An entry in its place.")
class AuditEntryEdge:
    cursor: Mark = strawberry.field(graphql_type=str, description="Marks this entry's place.")
    node: AuditEntry = strawberry.field(description="The entry.")


@strawberry.type(description="A page of the audit trail, the latest act first.")
class AuditEntryConnection:
    edges: list[AuditEntryEdge] = strawberry.field(description="The entries of this page.")
    page_info: PageInfo = strawberry.field(description="Where it ends and whether more follow.")


def audit_connection(page: Page[Row], after: Place) -> AuditEntryConnection:
    edges = [
        AuditEntryEdge(cursor=cursor, node=audit_entry_of(row))
        for cursor, row in zip(page.marks(), page.rows, strict=True)
    ]
    return AuditEntryConnection(edges=edges, page_info=page_info(page, after))


def audit_entry_of(row: Row) -> AuditEntry:
    kind, _, local = row["subject"].rpartition(":")
    details: Any = row["details"]
    return AuditEntry(
        action=row["action"],
        # Subjects name their kind as domains spell it; in global ids it begins with a capital.
        subject_id=global_id(kind[:1].upper() + kind[1:], local) if kind else strawberry.ID(local),
        reason=row["reason"],
        details=details,
        at=row["at"],
        actor_local=row["actor"],
    )
