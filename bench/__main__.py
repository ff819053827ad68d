"""`python -m bench`: what needs no data from outside, at a modest size; ratios within one run tell more than seconds.

With `ENGINES=all` on Neo4j and PostgreSQL too.
"""

import asyncio
import os

from rich.console import Console

from bench.recommendations_job import PROGRAM_ID, TODAY, load, measure_job, measure_reads
from bench.redemptions import measure_redemptions
from bench.registrations import measure_registrations
from bench.stores import Stores, embedded_stores, real_stores
from ops.demonstration.bank import Bank

CUSTOMERS = 500


def measure(stores: Stores) -> None:
    """All measurements on one pair of engines."""
    Console().rule(stores.name)
    load(Bank(CUSTOMERS, TODAY, program=PROGRAM_ID).rows(), stores)
    measure_job(stores)
    asyncio.run(measure_reads(stores))
    asyncio.run(measure_registrations(stores))
    asyncio.run(measure_redemptions(stores))


def main() -> None:
    pairs = (embedded_stores, real_stores) if "all" in os.environ.get("ENGINES", "") else (embedded_stores,)
    for pair in pairs:
        with pair() as stores:
            measure(stores)


if __name__ == "__main__":
    main()
