"""Data sets as rows: headers and counting lines are no data, times are instants, nothing is said twice."""

from pathlib import Path

import pytest

from bench.datasets import lastfm_rows, rsvp_rows
from core.importing import ImportRow, RawRow, validate
from customers.importer import all_kinds

LASTFM = {
    "artists.dat": "id\tname\turl\tpictureURL\n1\tFirst\thttp://a\thttp://b\n2\tSecond\thttp://c\n",
    "user_artists.dat": "2\n3\n7\t1\t500\n7\t2\t20\n8\t1\t3\n",
    "user_friends.dat": "3\n4\n7\t8\n8\t7\n7\t9\n9\t7\n",
}
RSVPS = """rsvp_id,event_id,member_id,guests,response,created,mtime
1,"20",5,0,"no",1358540068000,1359144519000
2,"20",6,2,"yes",1358474530000,1358474530000
3,"21",5,0,"waitlist",1358449124000,1358449124000
"""


@pytest.fixture
def lastfm(tmp_path: Path) -> Path:
    for name, text in LASTFM.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def rsvps(tmp_path: Path) -> Path:
    path = tmp_path / "rsvps.csv"
    path.write_text(RSVPS)
    return path


def test_last_fm_gives_communities_customers_memberships_and_friends_once(lastfm: Path) -> None:
    """Given two artists, three users and two friendships told from both sides; then each is one row."""
    rows = list(lastfm_rows(lastfm))

    assert [row["key"] for row in rows if row["kind"] == "community"] == ["1", "2"]
    assert [row["key"] for row in rows if row["kind"] == "customer"] == ["7", "8", "9"]
    assert [row["weight"] for row in rows if row["kind"] == "membership"] == [500.0, 20.0, 3.0]
    assert [(row["customer"], row["other"]) for row in rows if row["kind"] == "acquaintance"] == [
        ("7", "8"),
        ("7", "9"),
    ]


def test_rsvps_give_registrations_with_times_and_events_at_their_last_answer(rsvps: Path) -> None:
    """Given three answers, one of them from a waiting list; then two registrations and both events."""
    rows = list(rsvp_rows(rsvps))

    registrations = [row for row in rows if row["kind"] == "registration"]
    events = {row["key"]: row for row in rows if row["kind"] == "event"}
    assert [(row["customer"], row["status"], row["guests"]) for row in registrations] == [
        ("5", "CANCELLED", 0),
        ("6", "REGISTERED", 2),
    ]
    assert registrations[0]["registered_at"] == "2013-01-18T20:14:28.000000Z"
    assert events["20"]["starts_at"] == "2013-01-25T20:08:39.000000Z"
    assert sorted(events) == ["20", "21"]


def test_every_row_is_valid_for_the_import(lastfm: Path, rsvps: Path) -> None:
    """Given the rows of both; when validated as the import does; then none is rejected."""
    kinds = all_kinds()
    for row in [*lastfm_rows(lastfm), *rsvp_rows(rsvps)]:
        found = validate(kinds, RawRow(1, str(row.pop("kind")), row))
        assert isinstance(found, ImportRow), found
