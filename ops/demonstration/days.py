"""Instants of the demonstration bank, told from the day of its making."""

from datetime import date, timedelta

EARLIEST_DAY = -30_000
LATEST_DAY = 400


class Calendar:
    """Days counted from `today` in Shanghai, as text; made once, because a large bank asks millions of times."""

    def __init__(self, today: date) -> None:
        self.today = today
        self._days = [(today + timedelta(days=day)).isoformat() for day in range(EARLIEST_DAY, LATEST_DAY)]

    def day(self, day: int) -> str:
        return self._days[day - EARLIEST_DAY]

    def at(self, day: int, hour: int, minute: int = 0) -> str:
        """An instant with Shanghai's offset, which has been the same all year since 1991."""
        return f"{self._days[day - EARLIEST_DAY]}T{hour:02d}:{minute:02d}:00+08:00"
