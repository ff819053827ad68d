"""What a community says of itself and whom it takes: creating, changing and archiving communities."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from community.access import MANAGERS, MemberRole, Visibility
from community.acts import audited
from community.communities import JoinPolicy
from community.recommendation_due import community_charted, recommendation_due
from community.roles import check_owns_few
from community.search_documents import index_effect
from community.standing import COMMUNITY_ARCHIVED, COMMUNITY_HIDDEN, Standing, check_open, lock_standing, marks_of
from core.clock import iso
from core.errors import BadUserInput, NotFound, Refusal, camel
from core.ids import new_id
from graph.client import GraphClient, Row, Transaction
from graph.owed import Effect, owe_effects

# Fields with the fewest and the most characters they have, space around left out.
LENGTHS = {
    "name_zh": (1, 100),
    "name_en": (1, 100),
    "purpose_zh": (0, 300),
    "purpose_en": (0, 300),
    "description_zh": (0, 5_000),
    "description_en": (0, 5_000),
    "rules_zh": (0, 5_000),
    "rules_en": (0, 5_000),
}
TAG_LISTS = ("tags", "required_tags")
MOST_TAGS = 10
# Whom the community is for is its owners' decision; managers look after its words and tags.
OWNERS_FIELDS = {"visibility", "join_policy", "minimum_tier", "required_tags", "segment_id"}
# What decides whom it is recommended to.
RECOMMENDED_BY = {"tags", "visibility", "segment_id"}
DEFAULTS: Row = {
    **{name: "" for name, (fewest, _) in LENGTHS.items() if not fewest},
    "visibility": Visibility.PUBLIC,
    "join_policy": JoinPolicy.OPEN,
    "minimum_tier": None,
    "required_tags": [],
    "segment_id": None,
    "tags": [],
}


class CommunityInvalid(BadUserInput):
    code = "COMMUNITY_INVALID"
    en = "The community is not valid."
    zh = "社群信息无效。"


class OwnersOnly(Refusal):
    code = "OWNERS_ONLY"
    en = "Only an owner of the community may do this."
    zh = "仅群主可执行此操作。"


def checked(fields: Mapping[str, Any]) -> Row:
    """The fields as they are stored; raises CommunityInvalid with the path of the first that cannot be."""
    found = dict(fields)
    for name in found.keys() & LENGTHS.keys():
        found[name] = checked_text(name, found[name])
    for name in found.keys() & set(TAG_LISTS):
        found[name] = sorted(set(found[name] or ()))
        if len(found[name]) > MOST_TAGS:
            raise CommunityInvalid(path=(camel(name),), detail=f"at most {MOST_TAGS} tags")
    for name in found.keys() & {"visibility", "join_policy"}:
        if found[name] is None:
            raise CommunityInvalid(path=(camel(name),), detail="not null")
    return found


def checked_text(name: str, value: str | None) -> str:
    fewest, most = LENGTHS[name]
    text = (value or "").strip()
    if not fewest <= len(text) <= most:
        raise CommunityInvalid(path=(camel(name),), detail=f"{fewest} to {most} characters")
    return text


KNOWN_TAGS = "UNWIND $keys AS key MATCH (t:Tag {key: key}) RETURN t.key AS key"


async def check_tags(tx: Transaction, fields: Row) -> None:
    """Raise CommunityInvalid where a tag is named that does not exist."""
    keys = sorted({key for name in TAG_LISTS for key in fields.get(name, ())})
    if not keys:
        return
    known = {row["key"] for row in await tx.run(KNOWN_TAGS, keys=keys)}
    for name in TAG_LISTS:
        for key in fields.get(name, ()):
            if key not in known:
                raise CommunityInvalid(path=(camel(name),), detail=f"unknown tag {key[:100]}")


# Begun again after a lost answer, it finds what it made.
CREATE_COMMUNITY = """
MATCH (x:Customer {id: $owner_id})
MERGE (c:Community {id: $id})
SET c += $properties
MERGE (x)-[m:MEMBER_OF {key: $key}]->(c)
SET m += $membership
"""


async def create_community(graph: GraphClient, fields: Mapping[str, Any], *, owner_id: str, now: datetime) -> str:
    """Found a community, whose first owner is the customer; returns its id. Fields left out have their defaults.

    Raises CommunityInvalid, OwnsTooMany, or NotFound for a customer whom the graph does not know.
    """
    community_id, instant = new_id(), iso(now)
    charter = checked({"name_zh": "", "name_en": "", **DEFAULTS, **fields})
    properties = {name: value for name, value in charter.items() if name != "tags"}
    properties |= {"member_count": 1, "next_ticket": 1, "created_at": instant, "touched_at": instant}
    properties |= {"charted_at": instant}
    membership = {**marks_of(community_id, MemberRole.OWNER, 0), "since": instant}
    due = recommendation_due(owner_id, now)

    async def work(tx: Transaction) -> None:
        await check_owns_few(tx, owner_id, community_id, now)
        await check_tags(tx, charter)
        key = f"{community_id}:{owner_id}"
        names = {"owner_id": owner_id, "id": community_id, "key": key}
        await tx.run(CREATE_COMMUNITY, properties=properties, membership=membership, **names)
        await set_tags(tx, community_id, charter["tags"])
        subject = f"Community:{community_id}"
        entry = audited(community_id, "CREATED", actor=owner_id, subject=subject, now=now)
        follows = [index_effect("Community", [community_id]), community_charted(community_id), due]
        await owe_effects(tx, [entry, *follows], now=now)

    await graph.transact(work, contended=owner_id)
    return community_id


TAGS_NOW = "MATCH (c:Community {id: $id})-[:ABOUT]->(t:Tag) RETURN t.key AS key"
ADD_TAGS = """
UNWIND $keys AS key
MATCH (c:Community {id: $id}), (t:Tag {key: key})
CREATE (c)-[:ABOUT]->(t)
"""
DROP_TAGS = "MATCH (c:Community {id: $id})-[r:ABOUT]->(t:Tag) WHERE t.key IN $keys DELETE r"


async def set_tags(tx: Transaction, community_id: str, tags: Sequence[str]) -> None:
    """Let the community be about these tags, which must exist, and no others."""
    there = {row["key"] for row in await tx.run(TAGS_NOW, id=community_id)}
    if missing := sorted(set(tags) - there):
        await tx.run(ADD_TAGS, id=community_id, keys=missing)
    if superfluous := sorted(there - set(tags)):
        await tx.run(DROP_TAGS, id=community_id, keys=superfluous)


UPDATE_COMMUNITY = "MATCH (c:Community {id: $id}) SET c += $properties"


async def update_community(
    graph: GraphClient, fields: Mapping[str, Any], *, community_id: str, manager_id: str, now: datetime
) -> None:
    """Change the fields given; a manager those that are words or tags, an owner all of them.

    Raises CommunityInvalid, NotFound, OwnersOnly or CommunityArchived.
    """
    changes = checked(fields)

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, manager_id, now=now)
        if standing.role not in MANAGERS:
            raise NotFound(path=("communityId",))
        if standing.role != MemberRole.OWNER and (forbidden := sorted(changes.keys() & OWNERS_FIELDS)):
            raise OwnersOnly(path=(camel(forbidden[0]),))
        check_open(standing)
        if not changes:
            return
        await check_tags(tx, changes)
        properties = {name: value for name, value in changes.items() if name != "tags"}
        if changes.keys() & RECOMMENDED_BY:
            properties["charted_at"] = iso(now)
        await tx.run(UPDATE_COMMUNITY, id=community_id, properties=properties)
        if "tags" in changes:
            await set_tags(tx, community_id, changes["tags"])
        await owe_effects(tx, effects_of(standing, changes, manager_id, now), now=now)

    await graph.transact(work, contended=community_id)


def effects_of(standing: Standing, changes: Row, manager_id: str, now: datetime) -> list[Effect]:
    """What a changed charter owes: its entry, its place in the search and in lists, and seats of outsiders."""
    community_id = standing.community_id
    details = {name: changes[name] for name in sorted(changes.keys() & {*OWNERS_FIELDS, "tags"})}
    subject, names = f"Community:{community_id}", sorted(camel(name) for name in changes)
    entry = audited(community_id, "UPDATED", actor=manager_id, subject=subject, now=now, fields=names, **details)
    effects = [entry, index_effect("Community", [community_id])]
    if changes.get("visibility") == Visibility.PRIVATE != standing.visibility:
        ids = {"community_id": community_id, "after": ""}
        effects.append(Effect(COMMUNITY_HIDDEN, f"{community_id}:{iso(now)}", ids))
    if changes.keys() & RECOMMENDED_BY:
        effects.append(community_charted(community_id))
    return effects


ARCHIVE_COMMUNITY = "MATCH (c:Community {id: $id}) SET c.archived_at = $now"


async def archive_community(graph: GraphClient, *, community_id: str, owner_id: str, now: datetime) -> None:
    """Close a community for good: nobody comes in, what is there stays to be read, coming events are cancelled.

    Twice is once.

    Raises NotFound, and OwnersOnly for other managers.
    """

    async def work(tx: Transaction) -> None:
        standing = await lock_standing(tx, community_id, owner_id, now=now)
        if standing.role not in MANAGERS:
            raise NotFound(path=("communityId",))
        if standing.role != MemberRole.OWNER:
            raise OwnersOnly(path=("communityId",))
        if standing.archived_at is not None:
            return
        await tx.run(ARCHIVE_COMMUNITY, id=community_id, now=iso(now))
        subject = f"Community:{community_id}"
        entry = audited(community_id, "ARCHIVED", actor=owner_id, subject=subject, now=now)
        closing = Effect(COMMUNITY_ARCHIVED, community_id, {"community_id": community_id})
        await owe_effects(tx, [entry, closing, index_effect("Community", [community_id])], now=now)

    await graph.transact(work, contended=community_id)
