"""Two subjects, a small and a large one, measured in turns, so that what else the machine does meets both alike."""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from rich.console import Console
from rich.table import Table

# What a large subject may cost more than a small one.
MOST = 1.5
# The first turns warm the engine up.
WARMING = 5

Subject = TypeVar("Subject")


async def compare(
    title: str,
    subjects: Mapping[str, Subject],
    acts: Mapping[str, Callable[[Subject], Awaitable[None]]],
    *,
    rounds: int,
) -> bool:
    """Print each act's medians and their ratio; False where the second subject costs too much more than the first."""
    is_flat = True
    table = Table("What", *subjects, "Ratio", title=title, title_justify="left")
    for name, act in acts.items():
        times: list[list[float]] = [[], []]
        for turn in range(rounds + WARMING):
            for subject, spent in zip(subjects.values(), times, strict=True):
                start = time.perf_counter()
                await act(subject)
                if turn >= WARMING:
                    spent.append((time.perf_counter() - start) * 1000)
        small, large = (statistics.median(spent) for spent in times)
        table.add_row(name, f"{small:.1f} ms", f"{large:.1f} ms", f"{large / small:.2f}")
        is_flat = is_flat and large <= MOST * small
    Console().print(table)
    return is_flat
