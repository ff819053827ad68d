"""`python -m ops.demonstration`: write the demonstration bank as JSON Lines for the import."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.progress import Progress

from core.clock import utc_now
from ops.demonstration.bank import FEWEST_CUSTOMERS, SEED, Bank

ROWS_PER_STEP = 1_000


def today() -> date:
    """The present day in Shanghai."""
    return utc_now().astimezone(ZoneInfo("Asia/Shanghai")).date()


def main(
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)],
    customers: Annotated[int, typer.Option(help="How many customers.", min=FEWEST_CUSTOMERS)] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed and day give the same bytes.", min=0)] = SEED,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Told from this day; today.")] = None,
) -> None:
    """Write a made-up bank of any size as rows for `python -m customers.imports`."""
    bank = Bank(customers, day.date() if day else today(), seed)
    rows = 0
    with Progress(console=Console(stderr=True), transient=True) as progress, out.open("wb") as file:
        task = progress.add_task(out.name, total=None)
        for rows, row in enumerate(bank.rows(), start=1):
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            if rows % ROWS_PER_STEP == 0:
                progress.advance(task, ROWS_PER_STEP)
    Console(stderr=True).print(f"{out}: {rows} rows")


if __name__ == "__main__":
    typer.run(main)
