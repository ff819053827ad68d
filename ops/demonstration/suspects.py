"""Devices of the demonstration bank: one that referees of a customer share with the referrer, so that a case waits."""

from collections import defaultdict
from collections.abc import Iterator

from ops.demonstration.days import Calendar
from ops.demonstration.forest import NOBODY, Forest
from ops.demonstration.rows import Row, customer_key

# So many referees come by the referrer's own device; others of the bank use devices of their own, untold.
SHARING = 4


def shared_device_rows(forest: Forest, since: list[int], calendar: Calendar, *, spared: set[int]) -> Iterator[Row]:
    """Sightings of the referrer with most referees, and of the latest of these, on one device.

    Nobody of the `spared` is among them. A neighbourhood in which nobody refers so many has none.
    """
    referees: dict[int, list[int]] = defaultdict(list)
    for place, above in enumerate(forest.referrers):
        number = forest.first + place
        if above != NOBODY and not {above, number} & spared:
            referees[above].append(number)
    busiest = max(referees, key=lambda number: (len(referees[number]), -number), default=NOBODY)
    if busiest == NOBODY or len(referees[busiest]) < SHARING:
        return
    for number in (busiest, *referees[busiest][-SHARING:]):
        yield {
            "kind": "identifier",
            "customer": customer_key(number),
            "identifier_kind": "DEVICE",
            "value": f"demonstration-device-{customer_key(busiest)}",
            "seen_at": calendar.at(since[number - forest.first], 13),
        }
