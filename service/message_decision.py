"""Whether, when and by which channels a message goes out: one pure function of what is known when it is decided.

Its rules in order: over, muted, no channel left, quiet hours, the category's cap, room in the day. The first that
holds is the reason. Nothing here asks a store or a clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from core.clock import as_utc
from core.days import day_of, start_of_day
from core.messages import MessageCategory
from service.message_policy import Cap, CategoryRule, ConsentNeed, MessageChannel, MessageDefinition, Mute

DAY_MINUTES = 24 * 60
# An end is today or tomorrow, or a day later where clocks skip all minutes that are not quiet, or a whole day.
FARTHEST_END_DAYS = 4


class Consenting(StrEnum):
    """What counts of a customer's words on one purpose and channel; SILENT where there was none."""

    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    SILENT = "SILENT"


class Verdict(StrEnum):
    """What becomes of a message."""

    SEND = "SEND"
    DEFER = "DEFER"
    SUPPRESS = "SUPPRESS"
    EXPIRE = "EXPIRE"


class Reason(StrEnum):
    """Why; the same words explain a message as a whole and one of its channels."""

    SENT = "SENT"
    ON_ITS_WAY = "ON_ITS_WAY"
    TOO_LATE = "TOO_LATE"
    WAITED_TOO_LONG = "WAITED_TOO_LONG"
    BEREAVEMENT = "BEREAVEMENT"
    OPEN_COMPLAINT = "OPEN_COMPLAINT"
    SWITCHED_OFF = "SWITCHED_OFF"
    NO_CONSENT = "NO_CONSENT"
    UNREACHABLE = "UNREACHABLE"
    QUIET_HOURS = "QUIET_HOURS"
    FREQUENCY_CAP = "FREQUENCY_CAP"
    FULL_DAY = "FULL_DAY"
    GIVES_WAY = "GIVES_WAY"
    UNKNOWN_TEMPLATE = "UNKNOWN_TEMPLATE"
    NOT_DELIVERED = "NOT_DELIVERED"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a customer when a message to them is decided.

    `wanted`, `consents` and `reachable` are by channel; `released` are the instants at which messages were let out
    before, by category; `waiting` counts messages that are queued, by category. Quiet hours are minutes of the day.
    """

    zone: str
    quiet: tuple[int, int]
    wanted: Mapping[MessageChannel, bool]
    consents: Mapping[MessageChannel, Consenting]
    reachable: frozenset[MessageChannel]
    mutes: frozenset[Mute]
    released: Mapping[MessageCategory, Sequence[datetime]]
    waiting: Mapping[MessageCategory, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a message and why; `until` says when a deferred one is decided again."""

    verdict: Verdict
    reason: Reason
    channels: tuple[MessageChannel, ...] = ()
    until: datetime | None = None
    by_channel: Mapping[MessageChannel, Reason] | None = None


def decide(
    policy: MessageDefinition,
    category: MessageCategory,
    standing: Standing,
    *,
    owed_at: datetime,
    expires_at: datetime | None,
    now: datetime,
) -> Decision:
    """The decision for a message of this category, owed since then, by what is known now."""
    rule = policy.categories[category]
    if expires_at is not None and now >= expires_at:
        return Decision(Verdict.EXPIRE, Reason.TOO_LATE)
    given_up_at = owed_at + timedelta(days=policy.longest_wait_days)
    if now >= given_up_at:
        return Decision(Verdict.EXPIRE, Reason.WAITED_TOO_LONG)
    for mute in rule.mutes:
        if mute in standing.mutes:
            return Decision(Verdict.SUPPRESS, Reason(mute.value))
    by_channel = {channel: reason_of(channel, rule, standing) for channel in rule.channels}
    channels = tuple(channel for channel, reason in by_channel.items() if reason is Reason.SENT)
    if not channels:
        return Decision(Verdict.SUPPRESS, nearest(by_channel), by_channel=by_channel)
    held = put_off(policy, category, standing, now=now)
    if held is None:
        return Decision(Verdict.SEND, Reason.SENT, channels, by_channel=by_channel)
    if held.until is not None and expires_at is not None and held.until >= expires_at:
        return Decision(Verdict.EXPIRE, held.reason)
    if held.until is not None and held.until >= given_up_at:
        return Decision(Verdict.EXPIRE, Reason.WAITED_TOO_LONG)
    return held


def reason_of(channel: MessageChannel, rule: CategoryRule, standing: Standing) -> Reason:
    """Why a channel is not used; SENT where it is."""
    if not standing.wanted.get(channel, False):
        return Reason.SWITCHED_OFF
    said = standing.consents.get(channel, Consenting.SILENT)
    refused = rule.consent is not ConsentNeed.NONE and said is Consenting.REFUSED
    lacking = rule.consent is ConsentNeed.GRANTED and said is not Consenting.GRANTED
    if refused or lacking:
        return Reason.NO_CONSENT
    return Reason.SENT if channel in standing.reachable else Reason.UNREACHABLE


def nearest(by_channel: Mapping[MessageChannel, Reason]) -> Reason:
    """The reason of the channel that came nearest to being used, which a person can mend most easily."""
    found = set(by_channel.values())
    return next(one for one in (Reason.UNREACHABLE, Reason.NO_CONSENT, Reason.SWITCHED_OFF) if one in found)


def put_off(
    policy: MessageDefinition, category: MessageCategory, standing: Standing, *, now: datetime
) -> Decision | None:
    """Why a message does not go out now though it may; None where it does."""
    rule = policy.categories[category]
    if rule.waits_for_morning and (until := end_of_quiet(standing.quiet, standing.zone, now=now)) is not None:
        return Decision(Verdict.DEFER, Reason.QUIET_HOURS, until=until)
    if rule.cap is None:
        return None
    if counted(rule.cap, standing.released.get(category, ()), standing.zone, now=now) >= rule.cap.count:
        return Decision(Verdict.SUPPRESS, Reason.FREQUENCY_CAP)
    capped = [one for one, other in policy.categories.items() if other.cap is not None]
    everything = [at for one in capped for at in standing.released.get(one, ())]
    room = policy.total.count - counted(policy.total, everything, standing.zone, now=now)
    first = sum(standing.waiting.get(one, 0) for one in capped if policy.categories[one].priority > rule.priority)
    if room > first:
        return None
    tomorrow = start_of_day(day_of(now, standing.zone) + timedelta(days=1), standing.zone)
    until = tomorrow
    if rule.waits_for_morning:
        until = end_of_quiet(standing.quiet, standing.zone, now=tomorrow) or tomorrow
    return Decision(Verdict.DEFER, Reason.FULL_DAY if room <= 0 else Reason.GIVES_WAY, until=until)


def counted(cap: Cap, instants: Sequence[datetime], zone: str, *, now: datetime) -> int:
    """How many of these count by now: those of today and of the days before it that the cap spans."""
    return sum(at >= cap_begins(cap, zone, now=now) for at in instants)


def cap_begins(cap: Cap, zone: str, *, now: datetime) -> datetime:
    """The instant from which a cap counts: the beginning of the first of its days, of which today is the last."""
    return start_of_day(day_of(now, zone) - timedelta(days=cap.days - 1), zone)


def end_of_quiet(quiet: tuple[int, int], zone: str, *, now: datetime) -> datetime | None:
    """When the quiet hours end in which it is now; None where it is in none.

    Where the end comes twice, it is the one that is next; where clocks skip it, the first minute after that is not
    quiet, which may be of the next day where they skip all that is not.
    """
    local = now.astimezone(ZoneInfo(zone))
    if not is_quiet(quiet, local):
        return None
    days = (local.date() + timedelta(days=ahead) for ahead in range(FARTHEST_END_DAYS))
    return next(end for day in days if (end := end_on(day, quiet, zone, after=now)) is not None)


def end_on(day: date, quiet: tuple[int, int], zone: str, *, after: datetime) -> datetime | None:
    """When quiet hours end on a day, after an instant; None where they do not."""
    wall = datetime.combine(day, time(quiet[1] // 60, quiet[1] % 60), tzinfo=ZoneInfo(zone))
    # Both readings are the same, except where clocks change just there: then the end is one of them, or in between.
    first, last = sorted(as_utc(wall.replace(fold=fold)) for fold in (0, 1))
    minutes = (first + timedelta(minutes=n) for n in range((last - first) // timedelta(minutes=1) + 1))
    return next((at for at in minutes if at > after and not is_quiet(quiet, at.astimezone(ZoneInfo(zone)))), None)


def is_quiet(quiet: tuple[int, int], local: datetime) -> bool:
    """Whether a wall clock stands within the quiet hours, of which the end does not belong to them."""
    start, end = quiet
    minute = local.hour * 60 + local.minute
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end
