"""The words that conditions may name: traits with their kinds, and tags, also those that were merged away."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Integer, literal, null, type_coerce, union_all
from sqlalchemy import select as sql_select

from core.db import Session, table_of
from segments.tagging import Tag
from segments.traits import TraitDefinition, TraitKind


@dataclass(frozen=True, slots=True)
class KnownTrait:
    """A trait that customers can have; `stale_after_days` null: its values never grow old."""

    kind: TraitKind
    name_zh: str
    name_en: str
    stale_after_days: int | None = None


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A tag that stands, with the keys of those that were merged into it."""

    key: str
    name_zh: str
    name_en: str
    family: str
    merged: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key under which a customer may carry the tag, because a merge moves them one after the other."""
        return self.key, *self.merged


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Traits by name and tags by every key that ever meant them."""

    traits: Mapping[str, KnownTrait] = field(default_factory=dict[str, KnownTrait])
    tags: Mapping[str, KnownTag] = field(default_factory=dict[str, KnownTag])


async def load_vocabulary(session: Session) -> Vocabulary:
    """All that conditions may name by now, in one statement."""
    trait, tag = table_of(TraitDefinition).c, table_of(Tag).c
    whole = type_coerce(null(), Integer)
    statement = union_all(
        sql_select(
            literal("trait").label("what"), trait.name, trait.kind, trait.name_zh, trait.name_en, trait.stale_after_days
        ),
        sql_select(literal("tag"), tag.key, tag.family, tag.name_zh, tag.name_en, whole).where(
            tag.merged_into.is_(None)
        ),
        sql_select(literal("merged"), tag.key, tag.merged_into, tag.name_zh, tag.name_en, whole).where(
            tag.merged_into.is_not(None)
        ),
    )
    rows = (await (await session.connection()).execute(statement)).all()
    return vocabulary_of([tuple(row) for row in rows])


def vocabulary_of(rows: list[tuple[Any, ...]]) -> Vocabulary:
    traits = {
        name: KnownTrait(TraitKind(kind), name_zh, name_en, stale)
        for what, name, kind, name_zh, name_en, stale in rows
        if what == "trait"
    }
    merged = {key: into for what, key, into, *_ in rows if what == "merged"}
    others: dict[str, list[str]] = defaultdict(list)
    for key in sorted(merged):
        others[merged[key]].append(key)
    tags = {
        key: KnownTag(key, name_zh, name_en, family, tuple(others[key]))
        for what, key, family, name_zh, name_en, _ in rows
        if what == "tag"
    }
    return Vocabulary(traits, tags | {key: tags[into] for key, into in merged.items() if into in tags})
