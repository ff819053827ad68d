"""Business calendars of the bank, kept in versions; whoever counts by one is told when days of it have changed.

Days change by staff, or by a newer library that knows an arrangement that was provisional before. Either way a digest
of the days around now differs from the stored one, and an effect is owed by which deadlines are counted anew.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic import Field as Setting
from sqlalchemy import update
from sqlmodel import Field, col, select

from core.audit import record_change
from core.business_calendar import Calendar, Span, Spans, digest_of
from core.days import DEFAULT_ZONE, time_zones
from core.db import Record, Session, changed_rows, instant, json_column, rows_by_id
from core.definitions import read_definition
from core.errors import BadUserInput, NotFound
from core.ids import derived_id, new_id
from core.outbox import owe
from core.paging import Page, Place, by_text, cut, page_size

# The topic of what is owed when days of a calendar have changed; its key names the calendar and its days.
CALENDAR_CHANGED = "calendar.changed"
# The migration writes the first calendar under this id.
FIRST_CALENDAR_ID = derived_id("business_calendar", "first")
MOST_CALENDARS = 100
MOST_DAYS = 1_000
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


class BusinessCalendarInvalid(BadUserInput):
    code = "BUSINESS_CALENDAR_INVALID"
    en = "The business calendar is not valid."
    zh = "工作日历无效。"


class BusinessCalendar(Record, table=True):
    """A calendar as it is now; `digest` is of the days by which deadlines were counted last."""

    id: str = Field(primary_key=True)
    version: int
    name_zh: str
    name_en: str
    definition: dict[str, Any] = json_column()
    digest: str
    updated_by: str
    updated_at: datetime = instant()

    def calendar(self) -> Calendar:
        return CalendarDefinition.model_validate(self.definition).calendar()


def known_zone(zone: str) -> str:
    if zone not in time_zones():
        raise ValueError("not a time zone of the IANA database")
    return zone


Hours = Annotated[str, Setting(pattern=CLOCK)]
DayHours = Annotated[tuple[Hours, ...], Setting(max_length=10)]
Days = Annotated[frozenset[date], Setting(max_length=MOST_DAYS)]
OFFICE_HOURS = ("09:00-12:00", "13:00-18:00")


class CalendarDefinition(BaseModel):
    """What staff write: hours as 09:00-18:00 by weekday, holidays by country (null: none), and days of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: Annotated[str, AfterValidator(known_zone)] = DEFAULT_ZONE
    country: Annotated[str, Setting(pattern="^[A-Z]{2}$")] | None = "CN"
    monday: DayHours = OFFICE_HOURS
    tuesday: DayHours = OFFICE_HOURS
    wednesday: DayHours = OFFICE_HOURS
    thursday: DayHours = OFFICE_HOURS
    friday: DayHours = OFFICE_HOURS
    saturday: DayHours = ()
    sunday: DayHours = ()
    opened_hours: DayHours = OFFICE_HOURS
    open_days: Days = frozenset()
    closed_days: Days = frozenset()
    arranged_until: date | None = None

    @model_validator(mode="after")
    def is_possible(self) -> Self:
        self.calendar()
        return self

    def calendar(self) -> Calendar:
        week = (self.monday, self.tuesday, self.wednesday, self.thursday, self.friday, self.saturday, self.sunday)
        return Calendar(
            zone=self.time_zone,
            hours=tuple(spans_of(day) for day in week),
            country=self.country,
            opened_hours=spans_of(self.opened_hours),
            open_days=self.open_days,
            closed_days=self.closed_days,
            arranged_until=self.arranged_until,
        )

    def stored(self) -> dict[str, Any]:
        """As JSON, with days in their order."""
        return self.model_dump(mode="json") | {
            name: sorted(str(day) for day in getattr(self, name)) for name in ("open_days", "closed_days")
        }


def spans_of(day: Sequence[str]) -> Spans:
    return tuple(span_of(text) for text in day)


def span_of(text: str) -> Span:
    start, _, end = text.partition("-")
    return minute_of(start), minute_of(end)


def minute_of(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def days_around(now: datetime) -> tuple[date, date]:
    """The days that open deadlines can be counted by; they change with the year."""
    return date(now.year - 1, 1, 1), date(now.year + 2, 12, 31)


def digest_now(calendar: Calendar, now: datetime) -> str:
    return digest_of(calendar, *days_around(now))


async def create_business_calendar(
    session: Session, *, name_zh: str, name_en: str, definition: Any, actor: str, now: datetime
) -> BusinessCalendar:
    """Make a calendar; raises BusinessCalendarInvalid."""
    parsed = read_definition(CalendarDefinition, definition, BusinessCalendarInvalid)
    if len(await list_all(session)) >= MOST_CALENDARS:
        raise BusinessCalendarInvalid(detail=f"there are {MOST_CALENDARS} calendars at most")
    row = BusinessCalendar(
        id=new_id(),
        version=1,
        **checked_names({"name_zh": name_zh, "name_en": name_en}),
        definition=parsed.stored(),
        digest=digest_now(parsed.calendar(), now),
        updated_by=actor,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await record_change(session, "business-calendar", row.id, "created", actor=actor, now=now, version=1)
    return row


async def update_business_calendar(
    session: Session, calendar_id: str, changes: Mapping[str, Any], *, actor: str, now: datetime
) -> BusinessCalendar:
    """Change names or the definition as a whole; what is counted by it is counted anew where days have changed.

    Raises NotFound, BusinessCalendarInvalid.
    """
    row = await lock_calendar(session, calendar_id)
    values = checked_names({name: value for name, value in changes.items() if name != "definition"})
    if "definition" in changes:
        parsed = read_definition(CalendarDefinition, changes["definition"], BusinessCalendarInvalid)
        values["definition"] = parsed.stored()
    if all(getattr(row, name) == value for name, value in values.items()):
        return row
    for name, value in values.items():
        setattr(row, name, value)
    row.version, row.updated_by, row.updated_at = row.version + 1, actor, now
    session.add(row)
    await session.flush()
    await record_change(
        session, "business-calendar", row.id, "updated", actor=actor, now=now, version=row.version, fields=[*values]
    )
    await notice_change(session, row, now=now)
    return row


async def lock_calendar(session: Session, calendar_id: str) -> BusinessCalendar:
    statement = select(BusinessCalendar).where(BusinessCalendar.id == calendar_id).with_for_update()
    row = (await session.exec(statement.execution_options(populate_existing=True))).first()
    if row is None:
        raise NotFound(path=("calendarId",))
    return row


def checked_names(names: Mapping[str, Any]) -> dict[str, Any]:
    """The names without space around them; raises BusinessCalendarInvalid."""
    found: dict[str, Any] = {}
    for name, path in (("name_zh", "nameZh"), ("name_en", "nameEn")):
        if name in names:
            found[name] = (names[name] or "").strip()
            if not 1 <= len(found[name]) <= 100 or "\0" in found[name]:
                raise BusinessCalendarInvalid(path=(path,), detail="1 to 100 characters")
    return found


async def notice_change(session: Session, row: BusinessCalendar, *, now: datetime) -> bool:
    """Owe the counting anew where days are others than those last counted by; of two who notice at once one does."""
    digest = digest_now(row.calendar(), now)
    if digest == row.digest:
        return False
    seen = update(BusinessCalendar).where(
        col(BusinessCalendar.id) == row.id, col(BusinessCalendar.digest) == row.digest
    )
    if not await changed_rows(session, seen.values(digest=digest)):
        return False
    # Days may come back to what they were: the key has the instant, too.
    change = f"{digest[:16]}:{now.isoformat()}"
    payload = {"calendar_id": row.id, "change": change, "after": ""}
    await owe(session, topic=CALENDAR_CHANGED, key=f"{row.id}:{change}", payload=payload, now=now)
    row.digest = digest
    return True


async def look_at_calendars(session: Session, *, now: datetime) -> int:
    """Notice what a newer library knows of the days of all calendars; returns how many have changed."""
    return sum([await notice_change(session, row, now=now) for row in await list_all(session)])


async def list_all(session: Session) -> Sequence[BusinessCalendar]:
    return (await session.exec(select(BusinessCalendar).order_by(col(BusinessCalendar.id)))).all()


async def calendars_by_id(session: Session, ids: Collection[str]) -> dict[str, Calendar]:
    """The calendars as they are by now, by id."""
    return {id: row.calendar() for id, row in (await rows_by_id(session, BusinessCalendar, ids)).items()}


async def hold_calendars(session: Session, ids: Collection[str]) -> dict[str, Calendar]:
    """The calendars as they are by now, by id; nobody changes their days until the transaction ends.

    Whoever begins to count by one holds it: else what begins while days change would keep the old ones, because the
    counting anew does not see it yet. Whoever changes days holds their calendar and waits for nobody after that.
    """
    if not ids:
        return {}
    named = select(BusinessCalendar).where(col(BusinessCalendar.id).in_(sorted(set(ids))))
    shared = named.order_by(col(BusinessCalendar.id)).with_for_update(read=True)
    fresh = shared.execution_options(populate_existing=True)
    return {row.id: row.calendar() for row in (await session.exec(fresh)).all()}


async def find_calendar(session: Session, calendar_id: str) -> BusinessCalendar:
    """The calendar; raises NotFound."""
    found = await session.get(BusinessCalendar, calendar_id)
    if found is None:
        raise NotFound(path=("calendarId",))
    return found


async def list_calendars(session: Session, *, first: int | None, after: Place) -> Page[BusinessCalendar]:
    """The calendars in the order in which they were made."""
    size = page_size(first)
    statement = select(BusinessCalendar)
    page = by_text(statement, col(BusinessCalendar.id), size=size, after=after)
    return cut((await session.exec(page)).all(), size, lambda row: (row.id,), after)
