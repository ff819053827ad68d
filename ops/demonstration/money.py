"""What the demonstration bank's systems tell of its customers' money: months of balances, potentials, a few risks."""

from collections.abc import Iterator, Sequence

import numpy as np

from core.days import months_before, start_of_month
from ops.demonstration.days import Calendar
from ops.demonstration.rows import Row, customer_key

CURRENCY = "CNY"
MONTHS = 3
# So many have balances; of the others the bank knows no more than that they are customers.
SHARE = 0.4
# The averages of the referrer in yuan, the oldest month first: in the last one most of it has gone elsewhere.
OF_REFERRER = (655_000, 671_500, 684_000, 690_200, 312_000)


def money_rows(first: int, size: int, calendar: Calendar, rng: np.random.Generator) -> Iterator[Row]:
    """The balances and traits of a neighbourhood; the referrer, who is number 0, has a longer history."""
    told = (rng.random(size) < SHARE).tolist()
    sums = (rng.lognormal(10.6, 1.7, size)).tolist()
    drifts = rng.uniform(0.85, 1.15, (size, MONTHS)).tolist()
    potentials = rng.integers(0, 101, size).tolist()
    risky = (rng.random(size) < 0.01).tolist()
    observed = calendar.at(-1, 7)
    for place in range(size):
        customer = customer_key(first + place)
        if first + place == 0:
            yield from balance_rows(customer, OF_REFERRER, calendar)
        elif told[place]:
            yield from balance_rows(customer, [sums[place] * drift for drift in drifts[place]], calendar)
        if told[place] and place % 3 == 0:
            yield trait_row(customer, "potential", potentials[place], observed)
        if risky[place] and first + place > 1:
            yield trait_row(customer, "risk_level", "HIGH", observed)


def balance_rows(customer: str, averages: Sequence[float], calendar: Calendar) -> Iterator[Row]:
    """A row a month up to the last that is over; the bank earns about four in a thousand of it in a year."""
    this = start_of_month(calendar.today)
    for back, average in enumerate(reversed(averages), start=1):
        month = months_before(this, back)
        yield {
            "kind": "monthly_balance",
            "customer": customer,
            "month": month.isoformat()[:7],
            "average": f"{average:.2f}",
            "contribution": f"{average * 0.004 / 12:.2f}",
            "currency": CURRENCY,
            "observed_at": f"{months_before(month, -1).isoformat()}T00:30:00+08:00",
        }


def trait_row(customer: str, name: str, value: str | int, observed_at: str) -> Row:
    return {"kind": "trait", "customer": customer, "name": name, "value": value, "observed_at": observed_at}
