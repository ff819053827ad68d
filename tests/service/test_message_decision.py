"""The decision about a message, held against a plain page that knows nothing of how it is made."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.days import time_zones
from core.messages import MessageCategory
from customers.consents import ConsentPurpose
from service.message_decision import (
    Consenting,
    Decision,
    Reason,
    Standing,
    Verdict,
    decide,
    end_of_quiet,
)
from service.message_policy import (
    STANDARD,
    Cap,
    CategoryRule,
    ConsentNeed,
    MessageChannel,
    MessageDefinition,
    MessagePolicyInvalid,
    Mute,
    Purpose,
    QuietHours,
    parse_message_definition,
)

ZONES = ("Asia/Shanghai", "America/New_York", "Pacific/Auckland", "Asia/Kolkata", "UTC")
NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERYWHERE = Standing(
    zone="Asia/Shanghai",
    quiet=(21 * 60, 9 * 60),
    wanted=dict.fromkeys(MessageChannel, True),
    consents=dict.fromkeys(MessageChannel, Consenting.GRANTED),
    reachable=frozenset(MessageChannel),
    mutes=frozenset(),
    released={},
    waiting={},
)
MARKETING = MessageCategory.MARKETING


def decided(
    standing: Standing = EVERYWHERE,
    category: MessageCategory = MARKETING,
    *,
    now: datetime = NOON,
    expires_at: datetime | None = None,
    owed_at: datetime | None = None,
) -> Decision:
    return decide(STANDARD, category, standing, owed_at=owed_at or now, expires_at=expires_at, now=now)


def wall(now: datetime, zone: str) -> datetime:
    """The clock on the wall, without its zone."""
    return now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def plainly_quiet(quiet: tuple[int, int], now: datetime, zone: str) -> bool:
    local = wall(now, zone)
    since = (local.hour * 60 + local.minute - quiet[0]) % 1440
    return since < (quiet[1] - quiet[0]) % 1440


def plain(
    policy: MessageDefinition,
    category: MessageCategory,
    standing: Standing,
    owed_at: datetime,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[str, str, set[MessageChannel]]:
    """The rules once more, as one would read them out: verdict, reason, channels."""
    rule = policy.categories[category]
    if expires_at is not None and expires_at <= now:
        return "EXPIRE", "TOO_LATE", set()
    if now - owed_at >= policy.longest_wait_days * DAY:
        return "EXPIRE", "WAITED_TOO_LONG", set()
    for mute in rule.mutes:
        if mute in standing.mutes:
            return "SUPPRESS", str(mute), set()
    wanted = {one for one in rule.channels if standing.wanted.get(one)}
    stopping = {
        ConsentNeed.NONE: (),
        ConsentNeed.NOT_REFUSED: ("REFUSED",),
        ConsentNeed.GRANTED: ("REFUSED", "SILENT"),
    }[rule.consent]
    allowed = {one for one in wanted if standing.consents.get(one, "SILENT") not in stopping}
    channels = allowed & standing.reachable
    if not channels:
        reason = "UNREACHABLE" if allowed else "NO_CONSENT" if wanted else "SWITCHED_OFF"
        return "SUPPRESS", reason, set()
    reason, verdict = "", "DEFER"
    today = wall(now, standing.zone).date()

    def within(cap: Cap, categories: Mapping[MessageCategory, object]) -> int:
        days = [wall(at, standing.zone).date() for one in categories for at in standing.released.get(one, ())]
        return len([day for day in days if (today - day).days < cap.days])

    capped = {one: other for one, other in policy.categories.items() if other.cap}
    if rule.waits_for_morning and plainly_quiet(standing.quiet, now, standing.zone):
        reason = "QUIET_HOURS"
    elif rule.cap and within(rule.cap, {category: rule}) >= rule.cap.count:
        reason, verdict = "FREQUENCY_CAP", "SUPPRESS"
    elif rule.cap:
        room = policy.total.count - within(policy.total, capped)
        ahead = sum(standing.waiting.get(one, 0) for one, other in capped.items() if other.priority > rule.priority)
        if room <= 0:
            reason = "FULL_DAY"
        elif room <= ahead:
            reason = "GIVES_WAY"
    return (verdict, reason, set()) if reason else ("SEND", "SENT", channels)


CHANNELS = st.sampled_from(list(MessageChannel))
CATEGORIES = st.sampled_from(list(MessageCategory))
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=305)).map(lambda ahead: datetime(2026, 3, 1, tzinfo=UTC) + ahead)


@st.composite
def rules(draw: st.DrawFn, is_service: bool) -> CategoryRule:
    consent = ConsentNeed.NONE if is_service else draw(st.sampled_from(list(ConsentNeed)))
    return CategoryRule(
        channels=tuple(draw(st.lists(CHANNELS, min_size=1, unique=True))),
        consent=consent,
        purpose=None if consent is ConsentNeed.NONE else "MARKETING",
        cap=None if is_service else draw(st.none() | caps()),
        waits_for_morning=draw(st.booleans()),
        mutes=() if is_service else tuple(draw(st.lists(st.sampled_from(list(Mute)), unique=True))),
        priority=draw(st.integers(0, 3)),
    )


def caps() -> st.SearchStrategy[Cap]:
    return st.builds(Cap, count=st.integers(0, 3), days=st.integers(1, 9))


@st.composite
def policies(draw: st.DrawFn) -> MessageDefinition:
    categories = {one: draw(rules(one is MessageCategory.SERVICE)) for one in MessageCategory}
    return MessageDefinition(
        quiet_hours=STANDARD.quiet_hours,
        total=draw(caps()),
        longest_wait_days=draw(st.integers(1, 10)),
        categories=categories,
    )


@st.composite
def standings(draw: st.DrawFn, now: datetime) -> Standing:
    before = st.timedeltas(timedelta(0), 10 * DAY).map(lambda ago: now - ago)
    minutes = st.integers(0, 1439)
    return Standing(
        zone=draw(st.sampled_from(ZONES)),
        quiet=(draw(minutes), draw(minutes)),
        wanted=draw(st.dictionaries(CHANNELS, st.booleans())),
        consents=draw(st.dictionaries(CHANNELS, st.sampled_from(list(Consenting)))),
        reachable=draw(st.frozensets(CHANNELS)),
        mutes=draw(st.frozensets(st.sampled_from(list(Mute)), max_size=1)),
        released=draw(st.dictionaries(CATEGORIES, st.lists(before, max_size=4))),
        waiting=draw(st.dictionaries(CATEGORIES, st.integers(0, 2))),
    )


@given(st.data())
def test_it_decides_as_the_plain_page_does(data: st.DataObject) -> None:
    now = data.draw(INSTANTS)
    policy, standing = data.draw(policies()), data.draw(standings(now))
    category = data.draw(CATEGORIES)
    owed_at = now - data.draw(st.timedeltas(timedelta(0), 11 * DAY))
    expires_at = data.draw(st.none() | st.timedeltas(-DAY, 3 * DAY).map(lambda ahead: now + ahead))
    found = decide(policy, category, standing, owed_at=owed_at, expires_at=expires_at, now=now)
    verdict, reason, channels = plain(policy, category, standing, owed_at, expires_at, now)
    if verdict == "DEFER" and found.verdict is Verdict.EXPIRE:
        # What would be sent when it is over already is not put off; without an end it would be.
        patient = replace_wait(policy, 60)
        later = decide(patient, category, standing, owed_at=now, expires_at=None, now=now)
        assert (later.verdict, later.reason) == (verdict, reason)
        assert later.until is not None
        ends = [owed_at + policy.longest_wait_days * DAY, *([expires_at] if expires_at else [])]
        assert later.until >= min(ends)
        return
    assert (found.verdict, found.reason, set(found.channels)) == (verdict, reason, channels)
    assert (found.until is not None) == (verdict == "DEFER")
    if found.until is not None:
        assert now < found.until < now + 3 * DAY
        assert not (
            policy.categories[category].waits_for_morning and plainly_quiet(standing.quiet, found.until, standing.zone)
        )


def replace_wait(policy: MessageDefinition, days: int) -> MessageDefinition:
    return policy.model_copy(update={"longest_wait_days": days})


@given(
    INSTANTS,
    st.sampled_from(("Asia/Shanghai", "Asia/Kolkata", "UTC")),
    st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
)
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(
    now: datetime, zone: str, quiet: tuple[int, int]
) -> None:
    """Given a zone whose clocks do not change, then it is the minute that a walk by minutes finds."""
    found = end_of_quiet(quiet, zone, now=now)
    walked = next(n for n in range(1442) if not plainly_quiet(quiet, whole(now) + n * MINUTE, zone))
    assert found == (whole(now) + walked * MINUTE if walked else None)


def whole(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


@example(datetime(2026, 3, 8, 4, tzinfo=UTC), timedelta(0), (121, 120))
@given(
    st.sampled_from((datetime(2026, 3, 8, 4, tzinfo=UTC), datetime(2026, 11, 1, 3, tzinfo=UTC))),
    st.timedeltas(timedelta(0), 8 * HOUR),
    st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
)
def test_quiet_hours_end_also_in_the_night_when_clocks_change(
    night: datetime, into: timedelta, quiet: tuple[int, int]
) -> None:
    """Given the nights in which the clocks of New York change, then quiet ends within a day and an hour."""
    now, zone = night + into, "America/New_York"
    found = end_of_quiet(quiet, zone, now=now)
    assert (found is not None) == plainly_quiet(quiet, now, zone)
    if found is not None:
        # Where all that is not quiet is in the hour that is left out, it is quiet for a night more.
        later = (now + n * MINUTE for n in range(25 * 60 + 1))
        assert now < found <= now + (25 if any(not plainly_quiet(quiet, one, zone) for one in later) else 49) * HOUR
        assert not plainly_quiet(quiet, found, zone)


def changes_of(year: int) -> list[tuple[datetime, str]]:
    """Every minute of a year at which the clocks of some zone change, and one zone of those that change alike."""
    found: dict[tuple[datetime, timedelta | None, timedelta | None], str] = {}
    for zone in sorted(time_zones()):
        there = ZoneInfo(zone)
        days = [datetime(year, 1, 1, tzinfo=UTC) + n * DAY for n in range(366)]
        for first, last in pairwise(days):
            before, after = first.astimezone(there).utcoffset(), last.astimezone(there).utcoffset()
            if before != after:
                minutes = range(1, 24 * 60 + 1)
                n = bisect_left(
                    minutes, True, key=lambda n: (first + n * MINUTE).astimezone(there).utcoffset() == after
                )
                found.setdefault((first + minutes[n] * MINUTE, before, after), zone)
    return [(at, zone) for (at, _, _), zone in sorted(found.items(), key=lambda one: one[0][0])]


CHANGES = st.sampled_from(changes_of(2027))


@given(CHANGES, st.timedeltas(-30 * HOUR, 3 * HOUR), st.tuples(st.integers(-90, 150), st.integers(-90, 150)))
def test_quiet_hours_end_wherever_clocks_change(
    change: tuple[datetime, str], into: timedelta, around: tuple[int, int]
) -> None:
    """Given hours that begin and end about a change of clocks, then they end, and not long after they could."""
    at, zone = change
    now, midnight = at + into, wall(at - MINUTE, zone)
    minute = midnight.hour * 60 + midnight.minute + 1
    quiet = ((minute + around[0]) % 1440, (minute + around[1]) % 1440)
    found = end_of_quiet(quiet, zone, now=now)
    assert (found is not None) == plainly_quiet(quiet, now, zone)
    if found is not None:
        assert now < found
        assert not plainly_quiet(quiet, found, zone)
        if wall(at, zone) > wall(at - MINUTE, zone) + MINUTE:
            # Where they go forward, it is the first minute that is not quiet; where they go back, it may be a second.
            walked = (whole(now) + n * MINUTE for n in range(1, 3 * 1440))
            assert found == next(one for one in walked if not plainly_quiet(quiet, one, zone))


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("03:00", "02:00", "2027-03-15T02:00-04:00"),
        ("02:50", "02:30", "2027-03-15T02:30-04:00"),
        ("02:30", "02:20", "2027-03-15T02:20-04:00"),
        ("03:30", "02:30", "2027-03-14T03:00-04:00"),
        ("21:00", "02:30", "2027-03-14T03:00-04:00"),
        ("21:00", "03:10", "2027-03-14T03:10-04:00"),
    ],
)
def test_an_end_that_clocks_skip_is_waited_for_all_the_same(start: str, end: str, found: str) -> None:
    """Given the evening before clocks go from 02:00 to 03:00, then hours that end in between still have an end."""
    now = datetime(2027, 3, 14, 2, tzinfo=UTC)
    quiet = QuietHours(start=start, end=end).minutes
    assert end_of_quiet(quiet, "America/New_York", now=now) == datetime.fromisoformat(found)
    standing = replace(EVERYWHERE, zone="America/New_York", quiet=quiet)
    assert decided(standing, now=now).until == datetime.fromisoformat(found)


def test_the_bank_s_numbers() -> None:
    """Given two marketing messages on one day, then the third goes out seven of the customer's days later."""
    late = datetime(2026, 11, 20, 15, 59, tzinfo=UTC)
    standing = replace(EVERYWHERE, released={MARKETING: [late, late - HOUR]}, quiet=(0, 0))
    # It is 23:59 of the 20th in Shanghai; the 20th is one of seven days up to the 26th, and not of those to the 27th.
    before, after = datetime(2026, 11, 26, 15, 59, tzinfo=UTC), datetime(2026, 11, 26, 16, tzinfo=UTC)
    assert (decided(standing, now=before).verdict, decided(standing, now=before).reason) == (
        "SUPPRESS",
        "FREQUENCY_CAP",
    )
    assert decided(standing, now=after).verdict == "SEND"


def test_a_night_is_waited_for_and_not_dropped_unless_it_is_over_then() -> None:
    night, morning = datetime(2026, 11, 25, 15, tzinfo=UTC), datetime(2026, 11, 26, 1, tzinfo=UTC)
    assert decided(now=night) == Decision(Verdict.DEFER, Reason.QUIET_HOURS, until=morning)
    over = decided(now=night, expires_at=morning)
    assert (over.verdict, over.reason) == ("EXPIRE", "QUIET_HOURS")
    assert decided(now=night, expires_at=morning + MINUTE).until == morning
    assert decided(now=night, category=MessageCategory.SERVICE).verdict == "SEND"
    assert decided(now=morning).verdict == "SEND"


def test_a_service_message_passes_caps_and_mutes_and_not_the_channels() -> None:
    wanted = {MessageChannel.APP: True, MessageChannel.EMAIL: False, MessageChannel.SMS: True}
    standing = replace(
        EVERYWHERE,
        wanted=wanted,
        consents=dict.fromkeys(MessageChannel, Consenting.REFUSED),
        reachable=frozenset({MessageChannel.APP}),
        mutes=frozenset(Mute),
        released=dict.fromkeys(MessageCategory, [NOON] * 9),
    )
    found = decided(standing, MessageCategory.SERVICE)
    assert (found.verdict, found.channels) == ("SEND", (MessageChannel.APP,))
    assert found.by_channel == {
        MessageChannel.APP: Reason.SENT,
        MessageChannel.EMAIL: Reason.SWITCHED_OFF,
        MessageChannel.SMS: Reason.UNREACHABLE,
    }
    for category in (MessageCategory.CARE, MARKETING):
        assert decided(standing, category).reason == "BEREAVEMENT"


def test_a_policy_says_all_and_nothing_else() -> None:
    standard = STANDARD.model_dump(mode="json")
    assert parse_message_definition(standard) == STANDARD
    capped = {**standard["categories"]["SERVICE"], "cap": {"count": 1, "days": 1}}
    lawless = {**standard["categories"]["CARE"], "purpose": "GOSSIP"}
    for broken, path in (
        ({**standard, "quietHours": {}}, "quietHours"),
        ({**standard, "quiet_hours": {"start": "24:00", "end": "09:00"}}, "quietHours"),
        ({**standard, "total": {"count": 1, "days": 0}}, "total"),
        ({**standard, "categories": {"CARE": standard["categories"]["CARE"]}}, "categories"),
        ({**standard, "categories": {**standard["categories"], "SERVICE": capped}}, "categories"),
        ({**standard, "categories": {**standard["categories"], "CARE": lawless}}, "categories"),
    ):
        with pytest.raises(MessagePolicyInvalid) as refused:
            parse_message_definition(broken)
        assert refused.value.path[:2] == ("definition", path)


def test_purposes_are_those_of_consents() -> None:
    assert set(Purpose.__args__) == {purpose.value for purpose in ConsentPurpose}  # pyright: ignore[reportAttributeAccessIssue]
