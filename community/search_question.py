"""What is asked of the search, and how it is put to an index: as conditions whose answers follow each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from community.search_documents import KINDS
from community.search_keys import (
    FREE,
    ID_BITS,
    LAST_PLACE,
    Area,
    SearchKind,
    cells_around,
    community_key,
    seconds_of,
    tag_key,
)
from community.search_sql import Condition
from community.search_text import SearchInvalid, asked_terms
from core.clock import iso

MOST_TAGS = 20
ORDER = list(SearchKind)
LABELS = {kind: label for label, kind in KINDS.items()}

# All words in the title, or elsewhere in the text.
TITLE_RANK, TEXT_RANK = 0, 1
# What another machine made a moment ago may be ahead of our clock.
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; instants are those of an event's start, `starts_to` is exclusive."""

    text: str | None = None
    tags: Sequence[str] = ()
    community_id: str | None = None
    near: Area | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None
    free_only: bool = False

    def words(self) -> list[str]:
        """The words that must all occur; raises SearchInvalid with the path of the first thing that cannot be asked."""
        if self.near is not None:
            self.near.check()
        if len(self.tags) > MOST_TAGS:
            raise SearchInvalid(path=("tags",), detail=f"at most {MOST_TAGS}")
        if self.starts_from and self.starts_to and self.starts_to <= self.starts_from:
            raise SearchInvalid(path=("to",), detail="after from")
        return [] if self.text is None else asked_terms(self.text)

    def may_be(self, kind: SearchKind) -> bool:
        """Whether something of this kind can be an answer: only events have a time, a place and a price."""
        if kind == SearchKind.EVENT:
            return True
        if self.near or self.starts_from or self.starts_to or self.free_only:
            return False
        return not (kind == SearchKind.POST and self.tags)

    def fits(self, *, starts_at: str, latitude: float | None, longitude: float | None, price: int | None) -> bool:
        """Whether an event is when, where and for what it is asked to be, exactly; `starts_at` as in the graph."""
        if self.starts_from is not None and starts_at < iso(self.starts_from):
            return False
        if self.starts_to is not None and starts_at >= iso(self.starts_to):
            return False
        if self.free_only and price:
            return False
        return self.near is None or self.near.contains(latitude, longitude)

    def keys(self) -> list[list[str]]:
        """The keys of which each group must be met."""
        groups: list[list[str]] = []
        if self.tags:
            groups.append([tag_key(tag) for tag in self.tags])
        if self.community_id is not None:
            groups.append([community_key(self.community_id)])
        if self.free_only:
            groups.append([FREE])
        if self.near is not None:
            groups.append(cells_around(self.near))
        return groups

    def places(self, kind: SearchKind, now: datetime, begins: datetime) -> tuple[int, int]:
        """The places between which answers stand, both exclusive, to the second; for events without `starts_from`
        they begin at `begins`."""
        if kind != SearchKind.EVENT:
            return (seconds_of(kind, now + CLOCKS_DIFFER) << ID_BITS) - 1, LAST_PLACE
        low = (seconds_of(kind, self.starts_from or begins) << ID_BITS) - 1
        if self.starts_to is None:
            return low, LAST_PLACE
        return low, min((seconds_of(kind, self.starts_to) + 1) << ID_BITS, LAST_PLACE)


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a candidate stands among all answers: by rank, then by kind, then by place."""

    rank: int
    kind: int
    place: int
    id: str = ""


def number_of(rank: int, kind: int, *, is_open: bool) -> int:
    """The number by which a condition's answers are known."""
    return (rank * len(ORDER) + kind) * 2 + (not is_open)


def rank_and_kind(number: int) -> tuple[int, int]:
    return divmod(number // 2, len(ORDER))


def conditions(
    question: Question,
    words: Sequence[str],
    kind: SearchKind,
    *,
    now: datetime,
    begins: datetime,
    after: Spot | None,
    by_title: bool,
) -> list[Condition]:
    """What an index is asked for of one kind: by rank, and apart what everybody may find and what members may.

    They are apart because of the second few are found by any one viewer: so these never stand between the others
    and a page that is full. Of what is behind us nothing is asked.
    """
    found: list[Condition] = []
    number = ORDER.index(kind)
    low, high = question.places(kind, now, begins)
    for rank in ranks(kind, words, by_title):
        if after is not None and (rank, number) < (after.rank, after.kind):
            continue
        start = max(low, after.place) if after is not None and (rank, number) == (after.rank, after.kind) else low
        in_title = None if len(ranks(kind, words, by_title)) == 1 else rank == TITLE_RANK
        found += [
            Condition(
                number=number_of(rank, number, is_open=is_open),
                label=LABELS[kind],
                is_open=is_open,
                words=words,
                in_title=in_title,
                keys=question.keys(),
                after=start,
                before=high,
                near=question.near,
            )
            for is_open in (True, False)
        ]
    return found


def ranks(kind: SearchKind, words: Sequence[str], by_title: bool) -> list[int]:
    """A post has no title; and where no order by titles is asked for, there is one rank only."""
    if not words or not by_title:
        return [TITLE_RANK]
    return [TEXT_RANK] if kind == SearchKind.POST else [TITLE_RANK, TEXT_RANK]
