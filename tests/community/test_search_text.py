"""Texts cut into terms, places in order, and areas that can be asked for."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from community.search_keys import (
    ID_BITS,
    LAST_PLACE,
    Area,
    SearchKind,
    day_key,
    day_of,
    distance,
    first_place_of,
    place_of,
    windows,
)
from community.search_text import SearchInvalid, asked_terms, terms_of
from core.ids import new_id

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def test_what_a_text_is_found_by() -> None:
    assert terms_of("周末摄影") == {"周", "末", "摄", "影", "周末", "末摄", "摄影"}
    assert terms_of("The Photo-Walk, don't miss 3.5 km") == {"photo", "walk", "don't", "miss", "3.5", "km"}
    assert terms_of("Ｋ歌２０２６年 kino") == {"k", "歌", "2026", "年", "kino"}
    assert terms_of("!?  _ —— 。") == set()


def test_what_a_question_asks_for() -> None:
    assert asked_terms("周末摄影活动") == ["周末", "摄影", "活动"]
    assert asked_terms("红酒品鉴会 WINE the wine") == ["红酒", "品鉴", "鉴会", "wine"]
    assert asked_terms("茶") == ["茶"]


@pytest.mark.parametrize("text", ["", "  ", "the", "!!", "字" * 101, " ".join(f"w{n}" for n in range(13))])
def test_questions_that_cannot_be_asked(text: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        asked_terms(text)
    assert caught.value.path == ("text",)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_text_is_found_by_itself(text: str) -> None:
    """Given any text, when it is asked for as it stands, then all that is asked of it occurs in it."""
    try:
        asked = asked_terms(text)
    except SearchInvalid:
        return
    assert set(asked) <= terms_of(f"before {text} after")
    assert not any(" " in term for term in asked)


def test_places_follow_time_and_are_told_apart_by_the_id() -> None:
    ids = [new_id() for _ in range(1_000)]
    later = NOW + timedelta(seconds=1)
    assert max(place_of(SearchKind.EVENT, NOW, i) for i in ids) < min(place_of(SearchKind.EVENT, later, i) for i in ids)
    assert max(place_of(SearchKind.POST, later, i) for i in ids) < min(place_of(SearchKind.POST, NOW, i) for i in ids)
    assert len({place_of(SearchKind.EVENT, NOW, i) for i in ids}) == len(ids)
    assert 0 <= place_of(SearchKind.EVENT, datetime(1900, 1, 1, tzinfo=UTC), ids[0]) < 2**ID_BITS
    assert place_of(SearchKind.EVENT, datetime(2200, 1, 1, tzinfo=UTC), ids[0]) <= LAST_PLACE


@given(st.integers(0, LAST_PLACE), st.integers(0, LAST_PLACE), st.sampled_from([2, 8, 32]))
def test_windows_cover_every_day_once(one: int, other: int, length: int) -> None:
    """Given any two places, then the windows between them are neighbours, few, and hold every day."""
    first, last = min(one, other), max(one, other)
    found = list(windows(first, last, first_length=length))
    assert (found[0][0], found[-1][1]) == (day_of(first), day_of(last))
    assert first_place_of(found[0][0]) <= first
    assert all(end + 1 == begin for (_, end), (begin, _) in itertools.pairwise(found))
    assert len(found) <= 6
    assert day_key(9, is_open=True) < day_key(10, is_open=True)


def test_known_distances() -> None:
    shanghai, beijing = (31.2304, 121.4737), (39.9042, 116.4074)
    assert distance(*shanghai, *beijing) == pytest.approx(1067, abs=2)
    assert distance(0, 179.5, 0, -179.5) == pytest.approx(111.19, abs=0.01)
    assert not Area(0, 0, 10).contains(None, 0)


@pytest.mark.parametrize(
    ("area", "field"),
    [
        (Area(91, 0, 1), "latitude"),
        (Area(0, -181, 1), "longitude"),
        (Area(0, 0, 0), "radiusKm"),
        (Area(0, 0, 501), "radiusKm"),
        (Area(float("nan"), 0, 1), "latitude"),
    ],
)
def test_areas_that_cannot_be_asked_for(area: Area, field: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        area.check()
    assert caught.value.path == ("near", field)
