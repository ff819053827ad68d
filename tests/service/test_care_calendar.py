"""The calendar of care: against published dates, and against another library on every day from 1930 to 2099."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tyme4py.lunar import LunarMonth, LunarYear
from tyme4py.solar import SolarDay, SolarTerm

from service.care_calendar import (
    CareCalendar,
    CareDay,
    CareDayInvalid,
    Festival,
    all_care_days,
    check_care_day,
    days_kept_on,
    festival_day,
    festivals_on,
    greeted_at,
    is_silent,
    leap_month,
    next_occurrences,
    occurrence,
    occurrences_in,
    qingming,
)

FIRST, LAST = date(1930, 1, 1), date(2099, 12, 31)
SOLAR, LUNAR = CareCalendar.SOLAR, CareCalendar.LUNAR

# The Gregorian-Lunar Calendar Conversion Tables of the Hong Kong Observatory, which are published year by year: days
# that are widely known and were copied by hand. The Spring Festival of a year, as month and day.
SPRING_FESTIVALS = {
    1930: (1, 30),
    1931: (2, 17),
    1949: (1, 29),
    1950: (2, 17),
    1966: (1, 21),
    1976: (1, 31),
    1984: (2, 2),
    1985: (2, 20),
    1990: (1, 27),
    1999: (2, 16),
    2000: (2, 5),
    2001: (1, 24),
    2002: (2, 12),
    2003: (2, 1),
    2004: (1, 22),
    2005: (2, 9),
    2006: (1, 29),
    2007: (2, 18),
    2008: (2, 7),
    2009: (1, 26),
    2010: (2, 14),
    2011: (2, 3),
    2012: (1, 23),
    2013: (2, 10),
    2014: (1, 31),
    2015: (2, 19),
    2016: (2, 8),
    2017: (1, 28),
    2018: (2, 16),
    2019: (2, 5),
    2020: (1, 25),
    2021: (2, 12),
    2022: (2, 1),
    2023: (1, 22),
    2024: (2, 10),
    2025: (1, 29),
    2026: (2, 17),
    2027: (2, 6),
    2028: (1, 26),
    2029: (2, 13),
    2030: (2, 3),
    2031: (1, 23),
    2032: (2, 11),
    2033: (1, 31),
    2034: (2, 19),
    2035: (2, 8),
    2044: (1, 30),
    2050: (1, 23),
    2099: (1, 21),
}
LEAP_MONTHS = {
    **{1995: 8, 1998: 5, 2001: 4, 2004: 2, 2006: 7, 2009: 5, 2012: 4, 2014: 9, 2017: 6, 2020: 4, 2023: 2},
    **{2025: 6, 2028: 5, 2031: 3, 2033: 11, 2036: 6},
}
MID_AUTUMNS = {
    **{2019: (9, 13), 2020: (10, 1), 2021: (9, 21), 2022: (9, 10), 2023: (9, 29), 2024: (9, 17), 2025: (10, 6)},
    **{2026: (9, 25), 2027: (9, 15)},
}
DRAGON_BOATS = {2020: (6, 25), 2021: (6, 14), 2022: (6, 3), 2023: (6, 22), 2024: (6, 10), 2025: (5, 31), 2026: (6, 19)}
DOUBLE_NINTHS = {2020: (10, 25), 2023: (10, 23), 2024: (10, 11), 2025: (10, 29), 2026: (10, 18)}
QINGMINGS = {2019: 5, 2020: 4, 2021: 4, 2022: 5, 2023: 5, 2024: 4, 2025: 4, 2026: 5, 2027: 5, 2028: 4}


def every_day() -> list[date]:
    return [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def test_published_days_of_festivals() -> None:
    for year, (month, day) in SPRING_FESTIVALS.items():
        assert festival_day(Festival.SPRING_FESTIVAL, year) == date(year, month, day)
        # The eve is the day before, be the last month long or short.
        assert festival_day(Festival.NEW_YEARS_EVE, year) == date(year, month, day) - timedelta(days=1)
    for festival, days in (
        (Festival.MID_AUTUMN, MID_AUTUMNS),
        (Festival.DRAGON_BOAT, DRAGON_BOATS),
        (Festival.DOUBLE_NINTH, DOUBLE_NINTHS),
    ):
        for year, (month, day) in days.items():
            assert festival_day(festival, year) == date(year, month, day)
    assert festival_day(Festival.LANTERN, 2026) == date(2026, 3, 3)
    for year, day in QINGMINGS.items():
        assert qingming(year) == date(year, 4, day) and is_silent(date(year, 4, day))


def test_new_moons_near_midnight_are_on_the_published_days() -> None:
    """The three that the Observatory's footnote names as uncertain; of 2057 it has the 28th, where ephemerides by now
    have the new moon seconds after midnight. The other two are a day later in the library that we use.
    """
    for day, month in ((date(2057, 9, 29), 9), (date(2089, 9, 4), 8), (date(2097, 8, 7), 7)):
        assert CareDay(LUNAR, month, 1) in days_kept_on(day)


def test_published_leap_months() -> None:
    found = {year: month for year in range(1995, 2037) if (month := leap_month(year))}
    assert found == LEAP_MONTHS


def test_every_day_is_that_of_another_library() -> None:
    """Given each month of 171 lunar years as tyme4py has it, then each of its days is the same by our calendar."""
    covered: set[date] = set()
    for year in range(1929, 2100):
        for month in LunarYear.from_year(year).get_months():
            first = date_of(month.get_first_julian_day().get_solar_day())
            for number in range(1, month.get_day_count() + 1):
                day = first + timedelta(days=number - 1)
                own = CareDay(LUNAR, month.get_month(), number, month.is_leap())
                assert days_kept_on(day)[own] == year and occurrence(own, year).day == day, (day, own)
                covered.add(day)
    assert set(every_day()) <= covered


def test_qingming_is_that_of_another_library() -> None:
    for year in range(1930, 2100):
        day = date_of(SolarTerm.from_name(year, "清明").get_julian_day().get_solar_day())
        assert qingming(year) == day and is_silent(day)


def date_of(day: SolarDay) -> date:
    return date(day.get_year(), day.get_month(), day.get_day())


def plain_day(day: CareDay, year: int) -> date:
    """When a lunar day is kept, by the other library and the rules as they are said."""
    leap = LunarYear.from_year(year).get_leap_month()
    month = LunarMonth.from_ym(year, -day.month if day.is_leap and leap == day.month else day.month)
    number = min(day.day, month.get_day_count())
    return date_of(month.get_first_julian_day().get_solar_day()) + timedelta(days=number - 1)


def test_every_lunar_day_is_kept_when_the_rules_say_so() -> None:
    """Given the last days and leap months of 170 years, where the rules are about; then as tyme4py has them."""
    for year in range(1930, 2100):
        for month in range(1, 13):
            for number in (1, 15, 29, 30):
                for is_leap in (False, True):
                    day = CareDay(LUNAR, month, number, is_leap)
                    assert occurrence(day, year).day == plain_day(day, year), (year, day)


def test_what_is_kept_on_a_day_is_the_inverse_of_when_a_day_is_kept() -> None:
    kept: dict[date, dict[CareDay, int]] = {day: {} for day in every_day()}
    for day in all_care_days():
        for year in range(1929, 2100):
            one = occurrence(day, year)
            if one.day in kept:
                kept[one.day][day] = year
    for day, found in kept.items():
        assert days_kept_on(day) == found, day


def test_29_february_is_kept_on_the_28th_in_common_years() -> None:
    born = CareDay(SOLAR, 2, 29)
    assert [occurrence(born, year).day for year in (2024, 2025, 2100 - 4)] == [
        date(2024, 2, 29),
        date(2025, 2, 28),
        date(2096, 2, 29),
    ]
    assert CareDay(SOLAR, 2, 29) not in days_kept_on(date(2024, 2, 28))
    assert CareDay(SOLAR, 2, 28) in days_kept_on(date(2025, 2, 28))


def test_the_thirtieth_is_kept_on_the_twenty_ninth_of_a_short_month() -> None:
    # The twelfth month of the lunar year 2025 has 29 days, that of 2023 has 30.
    eve = CareDay(LUNAR, 12, 30)
    assert occurrence(eve, 2025).day == date(2026, 2, 16)
    assert occurrence(eve, 2023).day == date(2024, 2, 9)
    assert {CareDay(LUNAR, 12, 29), eve} <= days_kept_on(date(2026, 2, 16)).keys()


def test_a_day_of_a_leap_month_is_kept_in_the_ordinary_one_where_there_is_no_other() -> None:
    """Given a birthday in the leap sixth month, then it is kept there in 2025, and in the sixth month in 2026."""
    born, ordinary = CareDay(LUNAR, 6, 10, is_leap=True), CareDay(LUNAR, 6, 10)
    assert occurrence(born, 2025).day == date(2025, 8, 3)
    assert occurrence(ordinary, 2025).day == date(2025, 7, 4)
    assert occurrence(born, 2026).day == occurrence(ordinary, 2026).day == date(2026, 7, 23)


def test_a_lunar_day_comes_twice_in_one_year_and_not_at_all_in_another() -> None:
    """Given the lunar years that begin late, then a day of the last months falls twice in some years, never in others.

    It comes once in each year of its own calendar all the same.
    """
    day = CareDay(LUNAR, 12, 1)
    counts = {year: len(occurrences_in(day, year)) for year in range(1930, 2099)}
    assert set(counts.values()) == {0, 1, 2}
    found = [one for year in counts for one in occurrences_in(day, year)]
    assert [one.year for one in found] == list(range(found[0].year, found[0].year + len(found)))


@given(
    day=st.sampled_from(sorted(all_care_days(), key=lambda day: day.code)),
    start=st.dates(min_value=date(1930, 1, 1), max_value=date(2090, 1, 1)),
)
def test_the_next_times_are_once_a_year_and_in_order(day: CareDay, start: date) -> None:
    found = next_occurrences(day, start=start, count=5)
    assert [one.year for one in found] == list(range(found[0].year, found[0].year + 5))
    assert start <= found[0].day <= start + timedelta(days=385)
    assert occurrence(day, found[0].year - 1).day < start
    for one, following in pairwise(found):
        assert 350 <= (following.day - one.day).days <= 414


@pytest.mark.parametrize(
    ("day", "year", "field"),
    [
        (CareDay(SOLAR, 13, 1), None, "month"),
        (CareDay(SOLAR, 2, 30), None, "day"),
        (CareDay(SOLAR, 4, 31), None, "day"),
        (CareDay(LUNAR, 1, 31), None, "day"),
        (CareDay(LUNAR, 1, 0), None, "day"),
        (CareDay(SOLAR, 1, 1, is_leap=True), None, "isLeapMonth"),
        (CareDay(SOLAR, 2, 29), 2023, "year"),
        (CareDay(LUNAR, 6, 1, is_leap=True), 2024, "year"),
        (CareDay(LUNAR, 12, 30), 2025, "year"),
        (CareDay(SOLAR, 1, 1), 1899, "year"),
    ],
)
def test_days_that_there_are_not_are_refused(day: CareDay, year: int | None, field: str) -> None:
    with pytest.raises(CareDayInvalid) as refused:
        check_care_day(day, year)
    assert refused.value.path == (field,)


def test_days_that_there_are_are_taken() -> None:
    for day in all_care_days():
        check_care_day(day, None)
    check_care_day(CareDay(SOLAR, 2, 29), 2024)
    check_care_day(CareDay(LUNAR, 6, 1, is_leap=True), 2025)
    check_care_day(CareDay(LUNAR, 12, 30), 2023)


def test_two_festivals_of_one_day_stand_in_their_order() -> None:
    assert list(festivals_on(date(2020, 10, 1))) == [Festival.MID_AUTUMN, Festival.NATIONAL_DAY]
    assert festivals_on(date(2026, 4, 5)) == {}


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Asia/Shanghai", date(2026, 3, 8), datetime(2026, 3, 8, 1, tzinfo=UTC)),
        # Clocks go forward in the night before.
        ("America/New_York", date(2026, 3, 8), datetime(2026, 3, 8, 13, tzinfo=UTC)),
        ("America/New_York", date(2026, 3, 7), datetime(2026, 3, 7, 14, tzinfo=UTC)),
        ("Pacific/Kiritimati", date(2026, 3, 8), datetime(2026, 3, 7, 19, tzinfo=UTC)),
    ],
)
def test_nine_is_nine_by_the_customers_own_clock(zone: str, day: date, at: datetime) -> None:
    assert greeted_at(day, zone, 9) == at
