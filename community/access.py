"""Who may see, read, moderate and manage what a community holds: one rule, as functions and as the same in Cypher.

`may_see` is about its existence (name, purpose, number of members), `may_read` about what is inside (members,
posts, events), `is_listed` about being found without its link. A banned customer is an outsider to all of them.
"""

from enum import StrEnum


class Visibility(StrEnum):
    """Who finds a community: everybody, those with its link, or its members only."""

    PUBLIC = "PUBLIC"
    UNLISTED = "UNLISTED"
    PRIVATE = "PRIVATE"


class MemberRole(StrEnum):
    """What a customer is to a community.

    The last three are no members: they keep a relationship, so that there is one per pair and it can be guarded.
    """

    OWNER = "OWNER"
    MANAGER = "MANAGER"
    MODERATOR = "MODERATOR"
    EXPERT = "EXPERT"
    MEMBER = "MEMBER"
    PENDING = "PENDING"
    INVITED = "INVITED"
    BANNED = "BANNED"


# By their values, for pages of rows: to call an enum costs several times as much.
VISIBILITIES = {one.value: one for one in Visibility}
ROLES = {one.value: one for one in MemberRole}

MANAGERS = [MemberRole.OWNER, MemberRole.MANAGER]
MODERATORS = [*MANAGERS, MemberRole.MODERATOR]
MEMBERS = [*MODERATORS, MemberRole.EXPERT, MemberRole.MEMBER]
GUESTS = [*MEMBERS, MemberRole.INVITED]


def is_member(role: str | None) -> bool:
    """Whether this role is one of a member."""
    return role in MEMBERS


def may_see(visibility: str, role: str | None) -> bool:
    """Whether the community exists for a customer with this role; an invitation to a private one reveals it."""
    return visibility != Visibility.PRIVATE or role in GUESTS


def may_read(visibility: str, role: str | None) -> bool:
    """Whether a customer with this role may read what is inside."""
    return visibility != Visibility.PRIVATE or role in MEMBERS


def is_listed(visibility: str, role: str | None) -> bool:
    """Whether a customer with this role finds the community in searches, lists and recommendations."""
    return visibility == Visibility.PUBLIC or role in MEMBERS


def may_list_guests(role: str | None, guests: str) -> bool:
    """Whether who has `role` sees who asks to join, is invited or banned; whoever lifts bans sees the banned."""
    return role in (MODERATORS if guests == MemberRole.BANNED else MANAGERS)


# The same rules for queries, in which `c` is the community and `m` the viewer's MEMBER_OF or null.
# A property test holds them against the functions.
MAY_SEE = """(c.visibility <> 'PRIVATE'
  OR coalesce(m.role, '') IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER', 'INVITED'])"""
MAY_READ = """(c.visibility <> 'PRIVATE'
  OR coalesce(m.role, '') IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER'])"""
IS_LISTED = """(c.visibility = 'PUBLIC'
  OR coalesce(m.role, '') IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER'])"""
IS_MEMBER = "coalesce(m.role, '') IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']"


def runs_event(role: str | None, *, hosts: bool) -> bool:
    """Whether somebody with this role in its community sees an event's lists and checks in.

    A host does so for as long as they are a member: who has left the community has left its events too.
    """
    return role in MANAGERS or (hosts and is_member(role))


# The same for queries, in which `role` is the viewer's or null, and `hosts` whether they are named as a host.
RUNS_EVENT = """(coalesce(role, '') IN ['OWNER', 'MANAGER']
  OR (hosts AND coalesce(role, '') IN ['OWNER', 'MANAGER', 'MODERATOR', 'EXPERT', 'MEMBER']))"""
