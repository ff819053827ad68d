"""Public data sets as rows of the import's own kinds, read lazily; both files are asked for by their paths.

last.fm: HetRec 2011 last.fm-2k (Cantador, Brusilovsky and Kuflik, HetRec 2011), tab-separated.
RSVPs: event registrations with `rsvp_id, event_id, member_id, guests, response, created, mtime` (milliseconds, UTC).
"""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.clock import iso

Row = dict[str, Any]

# A customer of these data sets has no name; the source's number stands for it.
HOUSE_COMMUNITY = "rsvps"
# What an answer says of the registration; a waiting list is not a registration yet.
STATUS = {"yes": "REGISTERED", "no": "CANCELLED"}
EVENT_LENGTH = timedelta(hours=2)


def lastfm_rows(folder: Path) -> Iterator[Row]:
    """Artists as communities, users as customers, listening (weighted by plays) as membership, friends as such."""
    for cells in cells_of(folder / "artists.dat", 2):
        name = cells[1].strip()[:200] or cells[0]
        yield {"kind": "community", "key": cells[0], "name_zh": name, "name_en": name, "visibility": "PUBLIC"}
    seen: set[str] = set()
    for user, _, _ in cells_of(folder / "user_artists.dat", 3):
        yield from new_customer(user, seen)
    for user, friend in cells_of(folder / "user_friends.dat", 2):
        yield from new_customer(user, seen)
        yield from new_customer(friend, seen)
    for user, artist, weight in cells_of(folder / "user_artists.dat", 3):
        yield {"kind": "membership", "customer": user, "community": artist, "weight": float(weight)}
    for user, friend in cells_of(folder / "user_friends.dat", 2):
        # The file tells each friendship from both sides.
        if int(user) < int(friend):
            yield {"kind": "acquaintance", "customer": user, "other": friend}


def new_customer(key: str, seen: set[str]) -> Iterator[Row]:
    if key not in seen:
        seen.add(key)
        yield {"kind": "customer", "key": key, "display_name": f"#{key}"}


def cells_of(path: Path, columns: int) -> Iterator[list[str]]:
    """The first `columns` cells of each line of data; a header has no number, a line that counts no tab."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) >= columns and cells[0].isdigit():
                yield cells[:columns]


def rsvp_rows(path: Path) -> Iterator[Row]:
    """One community hosting every event, members as customers, answers as registrations with their times.

    The data do not say when an event was; it is taken to begin at the last change of an answer to it.
    """
    yield {"kind": "community", "key": HOUSE_COMMUNITY, "name_zh": "活动", "name_en": "Events"}
    starts: dict[str, int] = {}
    seen: set[str] = set()
    for record in records_of(path):
        event = record["event_id"]
        starts[event] = max(starts.get(event, 0), int(record["mtime"]), int(record["created"]))
        yield from new_customer(record["member_id"], seen)
    for event, start in starts.items():
        yield event_row(event, start)
    for record in records_of(path):
        if record["response"] in STATUS:
            yield {
                "kind": "registration",
                "customer": record["member_id"],
                "event": record["event_id"],
                "status": STATUS[record["response"]],
                "registered_at": instant(int(record["created"])),
                "guests": int(record["guests"]),
            }


def records_of(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def event_row(event: str, start: int) -> Row:
    begin = datetime.fromtimestamp(start / 1000, UTC)
    return {
        "kind": "event",
        "key": event,
        "community": HOUSE_COMMUNITY,
        "title_zh": f"活动 {event}",
        "title_en": f"Event {event}",
        "starts_at": iso(begin),
        "ends_at": iso(begin + EVENT_LENGTH),
        "time_zone": "America/Chicago",
        "status": "COMPLETED",
    }


def instant(milliseconds: int) -> str:
    return iso(datetime.fromtimestamp(milliseconds / 1000, UTC))
