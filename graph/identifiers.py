"""Who uses which identifier, as plain arrays: 13 bytes for each use, in the order of customers."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.client import GraphClient
from graph.export import pages_of_ranges

USES = """
MATCH (c:Customer)
WHERE c.id >= $first AND c.id <= $last
WITH c.id AS id, [(c)-[:USES]->(i:Identifier) | [i.key, i.kind]] AS uses
RETURN collect([id, uses]) AS rows
"""


@dataclass(frozen=True, slots=True)
class Uses:
    """One entry for each use: the customer's place, the first 64 bits of the identifier's key, the kind's place."""

    customers: NDArray[np.int32]
    keys: NDArray[np.uint64]
    kinds: NDArray[np.int8]


async def export_uses(graph: GraphClient, customers: Sequence[str], kinds: Sequence[str]) -> Uses:
    """All uses by these customers, who must be in order of id; those of newer customers are left out."""
    places = {customer: number for number, customer in enumerate(customers)}
    numbers = {kind: number for number, kind in enumerate(kinds)}
    users, keys, found = array("i"), array("Q"), array("b")
    async for page in pages_of_ranges(graph, USES, customers):
        for customer, uses in page:
            place = places.get(customer)
            if place is not None:
                for key, kind in uses:
                    users.append(place)
                    keys.append(int(key[:16], 16))
                    found.append(numbers[kind])
    return Uses(
        np.frombuffer(users, dtype=np.int32), np.frombuffer(keys, dtype=np.uint64), np.frombuffer(found, dtype=np.int8)
    )
