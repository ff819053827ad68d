"""Anniversaries by the bank's calendar: short years, midnight, and days that were missed."""

from datetime import UTC, date, datetime, timedelta

import pytest

from core.anniversaries import Pass, anniversaries, anniversary_in

SHANGHAI = "Asia/Shanghai"
TODAY = date(2026, 11, 28)


def days(first: date, last: date) -> Pass:
    return Pass("TEST", first, last, "", SHANGHAI)


@pytest.mark.parametrize(
    ("year", "day"), [(2025, date(2025, 2, 28)), (2028, date(2028, 2, 29)), (2100, date(2100, 2, 28))]
)
def test_the_29th_is_kept_on_the_28th_in_common_years(year: int, day: date) -> None:
    assert anniversary_in(date(2024, 2, 29), year) == day
    began = datetime(2024, 2, 29, 4, tzinfo=UTC)
    around = [day + timedelta(days=n) for n in (-1, 0, 1)]
    assert [len(list(anniversaries(began, days(one, one)))) for one in around] == [0, 1, 0]
    assert f"{date(2024, 2, 29):%m-%d}" in days(day, day).month_days


def test_the_28th_is_kept_on_the_28th_in_leap_years_too() -> None:
    began = datetime(2023, 2, 28, 4, tzinfo=UTC)
    found = [list(anniversaries(began, days(day, day))) for day in (date(2028, 2, 28), date(2028, 2, 29))]
    assert [[years for years, _ in one] for one in found] == [[5], []]


@pytest.mark.parametrize(
    ("began", "years"),
    [
        (datetime(2020, 11, 27, 16, tzinfo=UTC), [6]),
        (datetime(2020, 11, 28, 15, 59, 59, 999_999, tzinfo=UTC), [6]),
        (datetime(2020, 11, 27, 15, 59, 59, 999_999, tzinfo=UTC), []),
        (datetime(2020, 11, 28, 16, tzinfo=UTC), []),
        # On the day itself there is nothing to keep yet.
        (datetime(2026, 11, 28, 1, tzinfo=UTC), []),
    ],
)
def test_a_day_is_one_of_shanghai(began: datetime, years: list[int]) -> None:
    found = list(anniversaries(began, days(TODAY, TODAY)))
    assert [number for number, _ in found] == years
    assert all(begins == datetime(2026, 11, 27, 16, tzinfo=UTC) for _, begins in found)
    if years:
        assert began.strftime("%m-%d") in days(TODAY, TODAY).month_days


def test_days_that_were_missed_over_new_year_are_of_both_years() -> None:
    missed = days(date(2026, 12, 30), date(2027, 1, 2))
    found = {
        began: [years for years, _ in anniversaries(datetime(*began, 4, tzinfo=UTC), missed)]
        for began in ((2020, 12, 29), (2020, 12, 30), (2020, 12, 31), (2021, 1, 1), (2021, 1, 2), (2021, 1, 3))
    }
    assert list(found.values()) == [[], [6], [6], [6], [6], []]
