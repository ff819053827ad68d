"""Days that come back every year, by the solar and by the Chinese lunar calendar, for lunar years 1900 to 2099.

Rules where a year has not the day itself: 29 February is kept on the 28th; the thirtieth of a lunar month on the
twenty-ninth of a short one; a day of a leap month in the ordinary month of that number, in years without that leap
month. Who was born in an ordinary month keeps that one, also in a year that repeats it.

A lunar day comes once in each lunar year, and so not always once in a year of the other calendar: twice in one, and
not at all in another. Occurrences are therefore counted by the years of their own calendar. The lunar calendar is that
of GB/T 33661-2017, as borax has it but for the two months named below; a test holds it against another library.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from borax.calendars.lunardate import LCalendars, LunarDate, TermUtils

from core.clock import as_utc
from core.errors import BadUserInput

FIRST_YEAR, LAST_YEAR = 1900, 2099
MONTHS = 12
# Months that begin a day before what borax says, by lunar year and month: their new moons are so near to midnight
# that the Hong Kong Observatory names them in a footnote to its tables, which have 4 September 2089 and 7 August 2097.
A_DAY_EARLIER = frozenset({(2089, 8), (2097, 7)})
# The months before them, which are a day shorter for that.
A_DAY_SHORTER = frozenset({(2089, 7), (2097, 6)})
LONGEST_LUNAR_MONTH = 30


class CareCalendar(StrEnum):
    """By which calendar a day comes back."""

    SOLAR = "SOLAR"
    LUNAR = "LUNAR"


class CareDayInvalid(BadUserInput):
    code = "CARE_DAY_INVALID"
    en = "There is no such day in this calendar, or not in this year."
    zh = "该历法或该年份中没有这一天。"


@dataclass(frozen=True, slots=True)
class CareDay:
    """A day of a year; `is_leap` is of the lunar calendar: a day of the month that is put in after that number."""

    calendar: CareCalendar
    month: int
    day: int
    is_leap: bool = False

    @property
    def code(self) -> str:
        """The day as text; equal days have equal codes."""
        return f"{self.calendar}:{self.month:02}-{self.day:02}{'+' if self.is_leap else ''}"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """When a day comes back in one year of its own calendar."""

    year: int
    day: date


def all_care_days() -> Iterator[CareDay]:
    """Every day that somebody can have."""
    for month in range(1, MONTHS + 1):
        for day in range(1, days_of_solar_month(2000, month) + 1):
            yield CareDay(CareCalendar.SOLAR, month, day)
        for day in range(1, LONGEST_LUNAR_MONTH + 1):
            yield CareDay(CareCalendar.LUNAR, month, day)
            yield CareDay(CareCalendar.LUNAR, month, day, is_leap=True)


def check_care_day(day: CareDay, year: int | None) -> None:
    """Raise CareDayInvalid, with the field to blame, for a day that is in no year or not in the one that is named."""
    if not 1 <= day.month <= MONTHS:
        raise CareDayInvalid(path=("month",), detail="1 to 12")
    if day.calendar == CareCalendar.SOLAR and day.is_leap:
        raise CareDayInvalid(path=("isLeapMonth",), detail="only the lunar calendar has leap months")
    longest = LONGEST_LUNAR_MONTH if day.calendar == CareCalendar.LUNAR else days_of_solar_month(2000, day.month)
    if not 1 <= day.day <= longest:
        raise CareDayInvalid(path=("day",), detail=f"1 to {longest}")
    if year is None:
        return
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise CareDayInvalid(path=("year",), detail=f"{FIRST_YEAR} to {LAST_YEAR}")
    if not is_in_year(day, year):
        raise CareDayInvalid(path=("year",), detail="this year has not that day")


def is_in_year(day: CareDay, year: int) -> bool:
    """Whether a year of its calendar has the day itself, and not only one that stands for it."""
    if day.calendar == CareCalendar.SOLAR:
        return day.day <= days_of_solar_month(year, day.month)
    if day.is_leap and leap_month(year) != day.month:
        return False
    return day.day <= days_of_lunar_month(year, day.month, is_leap=day.is_leap)


def days_of_solar_month(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - date(year, month, 1)).days


@lru_cache(maxsize=512)
def leap_month(year: int) -> int:
    """The number of the month after which a lunar year has another of that number; 0 for none."""
    return LCalendars.leap_month(year)


@lru_cache(maxsize=4_096)
def days_of_lunar_month(year: int, month: int, *, is_leap: bool) -> int:
    # The years of the corrected months have no leap month beside them.
    corrected = ((year, month) in A_DAY_EARLIER) - ((year, month) in A_DAY_SHORTER)
    return LCalendars.ndays(year, month, int(is_leap)) + corrected


def occurrence(day: CareDay, year: int) -> Occurrence:
    """When a day is kept in a year of its own calendar."""
    if day.calendar == CareCalendar.SOLAR:
        return Occurrence(year, date(year, day.month, min(day.day, days_of_solar_month(year, day.month))))
    is_leap = day.is_leap and leap_month(year) == day.month
    kept = min(day.day, days_of_lunar_month(year, day.month, is_leap=is_leap))
    return Occurrence(year, lunar_to_solar(year, day.month, kept, is_leap=is_leap))


@lru_cache(maxsize=4_096)
def lunar_to_solar(year: int, month: int, day: int, *, is_leap: bool) -> date:
    first = LunarDate(year, month, 1, int(is_leap)).to_solar_date()
    return first + timedelta(days=day - 1 - ((year, month) in A_DAY_EARLIER))


def solar_to_lunar(day: date) -> tuple[int, int, int, bool]:
    """The lunar year, month and day, and whether the month is a leap month."""
    found = LunarDate.from_solar(day)
    year, month, is_leap = found.year, found.month, bool(found.leap)
    if (year, month) in A_DAY_EARLIER:
        return year, month, found.day + 1, is_leap
    if found.day > days_of_lunar_month(year, month, is_leap=is_leap):
        return year, month + 1, 1, is_leap
    return year, month, found.day, is_leap


def occurrences_in(day: CareDay, year: int) -> list[Occurrence]:
    """When a day is kept within a Gregorian year: once, and by the lunar calendar at times twice or not at all."""
    years = (year,) if day.calendar == CareCalendar.SOLAR else (year - 1, year)
    found = (occurrence(day, own) for own in years if FIRST_YEAR <= own <= LAST_YEAR)
    return [one for one in found if one.day.year == year]


def next_occurrences(day: CareDay, *, start: date, count: int) -> list[Occurrence]:
    """The next times that a day is kept, from `start` on; fewer where the calendar is known no further."""
    found: list[Occurrence] = []
    for year in range(max(start.year - 1, FIRST_YEAR), LAST_YEAR + 1):
        if len(found) == count:
            break
        one = occurrence(day, year)
        if one.day >= start:
            found.append(one)
    return found


@lru_cache(maxsize=64)
def days_kept_on(day: date) -> dict[CareDay, int]:
    """All the days that are kept on this one, each with the year of its own calendar of which it is the occurrence."""
    found = {CareDay(CareCalendar.SOLAR, day.month, day.day): day.year}
    if (day.month, day.day) == (2, 28) and days_of_solar_month(day.year, 2) == 28:
        found[CareDay(CareCalendar.SOLAR, 2, 29)] = day.year
    year, month, number, is_leap = solar_to_lunar(day)
    kinds = [is_leap] if is_leap or leap_month(year) == month else [False, True]
    last = days_of_lunar_month(year, month, is_leap=is_leap)
    # The last day of a short month is kept by those of the thirtieth, too.
    numbers = [number, *range(last + 1, LONGEST_LUNAR_MONTH + 1)] if number == last else [number]
    return found | {CareDay(CareCalendar.LUNAR, month, one, kind): year for one in numbers for kind in kinds}


def greeted_at(day: date, zone: str, hour: int) -> datetime:
    """The instant at which people in a zone are greeted on a day, by their own clocks."""
    return as_utc(datetime.combine(day, time(hour), tzinfo=ZoneInfo(zone)))


class Festival(StrEnum):
    """Days on which all are greeted whom the policy names, in the order in which one stands before another."""

    SPRING_FESTIVAL = "SPRING_FESTIVAL"
    MID_AUTUMN = "MID_AUTUMN"
    NATIONAL_DAY = "NATIONAL_DAY"
    NEW_YEARS_EVE = "NEW_YEARS_EVE"
    LANTERN = "LANTERN"
    DRAGON_BOAT = "DRAGON_BOAT"
    DOUBLE_NINTH = "DOUBLE_NINTH"
    NEW_YEAR = "NEW_YEAR"
    WOMENS_DAY = "WOMENS_DAY"
    LABOUR_DAY = "LABOUR_DAY"


FESTIVAL_DAYS: dict[Festival, CareDay] = {
    Festival.SPRING_FESTIVAL: CareDay(CareCalendar.LUNAR, 1, 1),
    Festival.MID_AUTUMN: CareDay(CareCalendar.LUNAR, 8, 15),
    Festival.NATIONAL_DAY: CareDay(CareCalendar.SOLAR, 10, 1),
    # The last day of the lunar year, be it the thirtieth or the twenty-ninth.
    Festival.NEW_YEARS_EVE: CareDay(CareCalendar.LUNAR, 12, 30),
    Festival.LANTERN: CareDay(CareCalendar.LUNAR, 1, 15),
    Festival.DRAGON_BOAT: CareDay(CareCalendar.LUNAR, 5, 5),
    Festival.DOUBLE_NINTH: CareDay(CareCalendar.LUNAR, 9, 9),
    Festival.NEW_YEAR: CareDay(CareCalendar.SOLAR, 1, 1),
    Festival.WOMENS_DAY: CareDay(CareCalendar.SOLAR, 3, 8),
    Festival.LABOUR_DAY: CareDay(CareCalendar.SOLAR, 5, 1),
}


def festivals_on(day: date) -> dict[Festival, int]:
    """The festivals of a day, the foremost first, each with the year of its own calendar."""
    kept = days_kept_on(day)
    return {festival: kept[own] for festival, own in FESTIVAL_DAYS.items() if own in kept}


def festival_day(festival: Festival, year: int) -> date:
    """When a festival is in a Gregorian year; the eve of a lunar new year belongs to the lunar year that it ends."""
    return occurrences_in(FESTIVAL_DAYS[festival], year)[0].day


QINGMING = 6


def qingming(year: int) -> date:
    """The day of the dead, by the sun: on it nobody is greeted."""
    return TermUtils.nth_term_day(year, QINGMING)


def is_silent(day: date) -> bool:
    """Whether nobody is greeted on a day."""
    return day == qingming(day.year)
