"""The words themselves: tags that staff create, and how the keys of merged ones resolve."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, or_, select

from core.audit import record_change
from core.db import Session, insert_once
from core.errors import BadUserInput, Refusal
from graph.client import GraphClient
from segments.tagging import Tag, TagFamily

TAG_KEY = re.compile(r"[a-z][a-z0-9-]{0,59}")


class TagInvalid(BadUserInput):
    code = "TAG_INVALID"
    en = "The tag is not valid."
    zh = "标签无效。"


class TagExists(Refusal):
    code = "TAG_EXISTS"
    en = "There is a tag of this key already, be it one that was merged into another."
    zh = "该标签已存在（或已被合并）。"


@dataclass(frozen=True, slots=True)
class NewWord:
    """A tag as an administrator describes it."""

    key: str
    name_zh: str
    name_en: str
    family: TagFamily


PUT_TAGS = """
UNWIND $rows AS row
MERGE (t:Tag {key: row.key})
SET t.name_zh = row.name_zh, t.name_en = row.name_en, t.family = row.family
"""


async def create_tag(session: Session, graph: GraphClient, word: NewWord, *, actor: str, now: datetime) -> Tag:
    """Make a tag that customers, communities and conditions can name; raises TagInvalid, TagExists.

    The graph has its node before the row commits, so that no row is without its node.
    """
    if not TAG_KEY.fullmatch(word.key):
        raise TagInvalid(path=("key",), detail="small letters, digits and -, 1 to 60 characters, a letter first")
    names = {"name_zh": word.name_zh.strip(), "name_en": word.name_en.strip()}
    for path, name in (("nameZh", names["name_zh"]), ("nameEn", names["name_en"])):
        if not 1 <= len(name) <= 200 or "\0" in name:
            raise TagInvalid(path=(path,), detail="1 to 200 characters")
    values = {"key": word.key, **names, "family": word.family, "created_at": now}
    if not await insert_once(session, Tag, values, "key"):
        raise TagExists(path=("key",))
    await record_change(session, "tag", word.key, "CREATED", actor=actor, now=now, family=word.family)
    await graph.write(PUT_TAGS, rows=[{"key": word.key, **names, "family": word.family}])
    return await session.get_one(Tag, word.key)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The tag that a key means by now, and every key that means it."""

    tag: Tag
    keys: frozenset[str]


async def resolved_tags(session: Session, keys: Collection[str]) -> dict[str, Resolved]:
    """What these keys mean, for those that are known, in one statement; a merged key means what it was merged into."""
    asked = sorted(set(keys))
    into = select(Tag.merged_into).where(col(Tag.key).in_(asked), col(Tag.merged_into).is_not(None))
    known = or_(
        col(Tag.key).in_(asked), col(Tag.key).in_(into), col(Tag.merged_into).in_(asked), col(Tag.merged_into).in_(into)
    )
    tags = {tag.key: tag for tag in (await session.exec(select(Tag).where(known))).all()}
    standing = {key: tags.get(tag.merged_into or key, tag) for key, tag in tags.items()}
    groups: dict[str, set[str]] = {}
    for key, tag in standing.items():
        groups.setdefault(tag.key, set()).add(key)
    return {key: Resolved(standing[key], frozenset(groups[standing[key].key])) for key in asked if key in standing}
