"""Who gets a freed place: the rule against a model that knows nothing of the implementation."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from community.promotion import LOOK_AHEAD, MOST_OVERTAKES, Choice, Party, choose_promotions

parties = st.lists(st.tuples(st.integers(1, 4), st.integers(0, MOST_OVERTAKES)), max_size=12)


def queue_of(given: list[tuple[int, int]]) -> list[Party]:
    return [Party(str(index), seats, overtaken) for index, (seats, overtaken) in enumerate(given)]


def names(choice: Choice) -> list[str]:
    return [party.customer_id for party in choice.promoted]


def test_the_rule_in_plain_cases() -> None:
    """Given lists of sizes, then who is first and fits is next, and nobody is overtaken a fourth time."""
    assert names(choose_promotions(2, 9, queue_of([(1, 0), (1, 0), (1, 0)]))) == ["0", "1"]
    assert names(choose_promotions(2, 9, queue_of([(3, 0), (1, 0), (2, 0)]))) == ["1"]
    assert names(choose_promotions(2, 9, queue_of([(3, 3), (1, 0)]))) == []
    assert names(choose_promotions(4, 9, queue_of([(5, 1), (1, 0), (1, 0), (1, 0)]))) == ["1", "2"]
    assert names(choose_promotions(3, 9, queue_of([(3, 3), (1, 0)]))) == ["0"]
    assert names(choose_promotions(1, 2, queue_of([(3, 0), (1, 0)]))) == ["1"]
    assert choose_promotions(1, 2, queue_of([(3, 0), (1, 0)])).overtaken == {}
    assert names(choose_promotions(None, None, queue_of([(3, 0), (1, 0)]))) == ["0", "1"]
    assert names(choose_promotions(0, 9, queue_of([(1, 0)]))) == []
    assert names(choose_promotions(-2, 9, queue_of([(1, 0)]))) == []


def test_only_so_many_are_looked_past() -> None:
    """Given a hundred pairs and one free seat, then a single behind the hundredth is not looked for."""
    pairs = [(2, 0)] * LOOK_AHEAD
    assert names(choose_promotions(1, 9, queue_of([*pairs[1:], (1, 0)]))) == [str(LOOK_AHEAD - 1)]
    assert names(choose_promotions(1, 9, queue_of([*pairs, (1, 0)]))) == []


@given(free=st.integers(-1, 12), capacity=st.integers(1, 12), waiting=parties)
def test_a_decision_keeps_the_promise(free: int, capacity: int, waiting: list[tuple[int, int]]) -> None:
    queue = queue_of(waiting)
    choice = choose_promotions(free, capacity, queue)
    chosen = names(choice)
    assert sum(party.seats for party in choice.promoted) <= max(free, 0)
    assert chosen == sorted(chosen, key=int)
    left = free - sum(party.seats for party in choice.promoted)
    rest = [party for party in queue if party.customer_id not in chosen]
    after = [
        Party(one.customer_id, one.seats, one.overtaken + choice.overtaken.get(one.customer_id, 0)) for one in rest
    ]
    for before, one in zip(rest, after, strict=True):
        overtakers = [name for name in chosen if int(name) > int(one.customer_id)]
        if before.seats <= capacity and before.overtaken < MOST_OVERTAKES:
            assert one.overtaken <= MOST_OVERTAKES
        if before.overtaken >= MOST_OVERTAKES and before.seats <= capacity:
            assert not overtakers
    # No seat idles while somebody fits, unless it is kept for one who was overtaken often enough.
    for one in after:
        if one.seats <= left:
            kept_for = [
                other
                for other in after
                if int(other.customer_id) < int(one.customer_id)
                and other.overtaken >= MOST_OVERTAKES
                and left < other.seats <= capacity
            ]
            assert kept_for
    assert choose_promotions(left, capacity, after).promoted == []


@dataclass
class Guest:
    """One party of the model: where it stands and what it has seen."""

    number: int
    seats: int
    overtaken_by: int = 0


@settings(max_examples=200)
@given(
    capacity=st.integers(3, 8),
    moves=st.lists(
        st.one_of(st.tuples(st.just("come"), st.integers(1, 3)), st.tuples(st.just("go"), st.integers(0, 9)))
    ),
)
def test_over_any_history_nobody_is_overtaken_a_fourth_time_or_starves(
    capacity: int, moves: list[tuple[str, int]]
) -> None:
    """Given arrivals and departures, when all seats are given back in the end, then everybody has had their turn."""
    seated: list[Guest] = []
    waiting: list[Guest] = []
    served: list[int] = []

    def promote() -> None:
        free = capacity - sum(guest.seats for guest in seated)
        queue = [Party(str(guest.number), guest.seats, guest.overtaken_by) for guest in waiting]
        for party in choose_promotions(free, capacity, queue).promoted:
            (guest,) = [one for one in waiting if str(one.number) == party.customer_id]
            for other in waiting[: waiting.index(guest)]:
                assert other.seats > guest.seats
                other.overtaken_by += 1
                assert other.overtaken_by <= MOST_OVERTAKES
            waiting.remove(guest)
            seated.append(guest)
            served.append(guest.number)
        assert sum(guest.seats for guest in seated) <= capacity

    for number, (move, value) in enumerate(moves):
        if move == "come":
            waiting.append(Guest(number, value))
        elif seated:
            seated.pop(value % len(seated))
        promote()
    come = [number for number, (move, _) in enumerate(moves) if move == "come"]
    while seated:
        seated.pop(0)
        promote()
    assert sorted(served) == come
