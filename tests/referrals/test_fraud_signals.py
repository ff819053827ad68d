"""Signals: what few share weighs, what many share does not, and homes and households explain what they share."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log2

import pytest

from core.identifiers import IdentifierKind
from referrals.fraud_signals import (
    KINDS,
    Assessment,
    FraudPolicy,
    Identifier,
    Neighbourhood,
    Signal,
    SignalName,
    Tie,
    assess,
    email_signal,
    email_stem,
    linked_groups,
    weight_of,
)
from referrals.fraud_velocity import identifier_velocity, referrer_velocity

POLICY = FraudPolicy()
DEVICE, CARD, ADDRESS = IdentifierKind.DEVICE, IdentifierKind.CARD, IdentifierKind.ADDRESS
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def around(*ties: tuple[str, str], **users: str) -> Neighbourhood:
    """Identifiers named such as `device1` with their users, one letter each; `device1_500` is used by so many."""
    identifiers: dict[str, Identifier] = {}
    uses: dict[str, set[str]] = {}
    for name, found in users.items():
        plain, _, degree = name.partition("_")
        kind = IdentifierKind(plain.rstrip("0123456789").upper())
        identifiers[name] = Identifier(name, kind, int(degree or len(found)))
        for user in found:
            uses.setdefault(user, set()).add(name)
    return Neighbourhood(identifiers, uses, [Tie(*tie, NOON) for tie in ties])


def score(neighbourhood: Neighbourhood, members: str = "ab", **households: str) -> Assessment:
    return assess(neighbourhood, members, households=households, policy=POLICY)


@pytest.mark.parametrize("kind", list(IdentifierKind))
def test_the_weight_falls_with_the_degree_and_is_nothing_where_many_share(kind: IdentifierKind) -> None:
    weights = [weight_of(Identifier("k", kind, degree), POLICY) for degree in range(1, 501)]
    most = KINDS[kind].most
    assert weights[0] == 0
    assert weights[1] == KINDS[kind].base
    assert all(before > after for before, after in pairwise(weights[1:most]))
    assert not any(weights[most:])


def test_a_tower_block_is_no_evidence() -> None:
    found = score(around(address_500="ab"))
    assert (found.score, found.signals) == (0, ())


def test_two_who_share_are_scored_by_the_noisy_or_of_what_they_share() -> None:
    found = score(around(device1="ab", card1="ab", device_900="ab"))
    assert found.score == pytest.approx(1 - (1 - 0.4) * (1 - 0.6))
    assert [(signal.name, signal.weight) for signal in found.signals] == [("SHARED_CARD", 0.6), ("SHARED_DEVICE", 0.4)]
    steps = [(s.relationship, s.customer_id, s.identifier_kind, s.degree) for s in found.signals[1].path]
    assert steps == [(None, "a", None, None), ("USES", None, "DEVICE", 2), ("USES", "b", None, None)]
    assert found.signals[1].path[1].reference == "device1"
    assert [Signal.read(signal.stored()) for signal in found.signals] == list(found.signals)


def test_of_n_who_share_one_device_the_doubt_is_that_of_so_many_links_less_one() -> None:
    members = "abcdefgh"
    found = score(around(device1=members), members)
    assert found.score == pytest.approx(1 - (1 - 0.4 / log2(8)) ** 7)
    assert found.score > POLICY.threshold


def test_what_is_shared_at_one_small_address_counts_half() -> None:
    home = score(around(device1="ab", address1="ab"))
    block = score(around(device1="ab", address_7="ab"))
    assert home.score == pytest.approx(1 - (1 - 0.2) * (1 - 0.15))
    assert block.score == pytest.approx(1 - (1 - 0.4) * (1 - 0.15 / log2(7)))


def test_a_stranger_at_the_device_is_not_explained_by_the_home() -> None:
    """Given two at home and a stranger who use one device; then it counts in full for all three."""
    found = score(around(device1="abc", address1="ab"), "abc")
    assert next(signal for signal in found.signals if signal.name == "SHARED_DEVICE").weight == pytest.approx(
        0.4 / log2(3)
    )


def test_within_a_household_nothing_is_evidence_and_the_exemption_is_shown() -> None:
    found = score(around(device1="ab", card1="ab"), a="h", b="h")
    assert found.score == 0
    assert [(signal.name, signal.exempted) for signal in found.signals] == [
        ("SHARED_CARD", True),
        ("SHARED_DEVICE", True),
    ]
    other = score(around(device1="ab"), a="h", b="i")
    assert (other.score, other.signals[0].exempted) == (pytest.approx(0.4), False)


def test_other_signals_add_to_the_score_unless_they_are_exempted() -> None:
    others = [Signal("SIMILAR_EMAIL", 0.3), Signal("REFERRER_VELOCITY", 0.0, exempted=True)]
    found = assess(around(device1="ab"), "ab", households={}, others=others, policy=POLICY)
    assert found.score == pytest.approx(1 - 0.6 * 0.7)
    assert len(found.signals) == 3


def test_referees_of_one_referrer_are_linked_though_the_referrer_shares_nothing() -> None:
    """Given a device of three referees and a stranger; then the three are one group without referrer and stranger."""
    found = linked_groups(around(("r", "a"), ("r", "b"), ("r", "c"), ("x", "s"), device1="abcs"), POLICY)
    assert found == [{"a", "b", "c"}]


def test_links_reach_two_referrals_up_and_no_further() -> None:
    chain = (("a", "b"), ("b", "c"), ("c", "d"))
    assert linked_groups(around(*chain, device1="ac"), POLICY) == [{"a", "c"}]
    assert linked_groups(around(*chain, device1="ad"), POLICY) == []
    assert linked_groups(around(*chain, device1="ac", card1="cd"), POLICY) == [{"a", "c", "d"}]


def test_what_weighs_little_links_nobody() -> None:
    tie = ("a", "b")
    assert linked_groups(around(tie, address_4="ab", device_40="ab"), POLICY) == []
    assert linked_groups(around(tie, address_2="ab"), POLICY) == [{"a", "b"}]


@pytest.mark.parametrize(
    ("one", "other", "weight"),
    [
        ("li.hongmei+1@gmail.com", "lihongmei77@qq.com", 0.3),
        ("zhangweimin1@163.com", "zhangweimim2@163.com", 0.27),
        ("zhangweimin@163.com", "chenyulan@163.com", None),
        ("li1@163.com", "li2@163.com", None),
        ("10086123@qq.com", "10086124@qq.com", None),
        (None, "lihongmei@qq.com", None),
    ],
)
def test_e_mail_addresses_are_compared_by_their_letters(one: str | None, other: str, weight: float | None) -> None:
    found = email_signal(("a", one), ("b", other), exempted=False, policy=POLICY)
    assert (found.weight if found else None) == (pytest.approx(weight, abs=0.005) if weight else None)
    if found:
        assert [step.customer_id for step in found.path] == ["a", "b"]
        exempted = email_signal(("a", one), ("b", other), exempted=True, policy=POLICY)
        assert exempted is not None
        assert (exempted.weight, exempted.exempted) == (0, True)


def test_a_stem_has_no_tag_dots_or_digits() -> None:
    assert email_stem("Li.Hong-mei.88+promo@gmail.com") == "lihongmei"


def brought(count: int, apart: timedelta) -> list[Tie]:
    return [Tie("r", f"c{number}", NOON - number * apart) for number in range(count)]


def test_a_burst_by_one_referrer_is_a_signal_with_those_who_came() -> None:
    assert referrer_velocity("r", brought(5, timedelta(minutes=1)), at=NOON, policy=POLICY) is None
    assert referrer_velocity("r", brought(60, timedelta(hours=2)), at=NOON, policy=POLICY) is None
    hourly = referrer_velocity("r", brought(10, timedelta(minutes=1)), at=NOON, policy=POLICY)
    daily = referrer_velocity("r", brought(40, timedelta(minutes=30)), at=NOON, policy=POLICY)
    assert hourly is not None
    assert daily is not None
    assert (hourly.name, hourly.weight) == (SignalName.REFERRER_VELOCITY, 0.25)
    assert daily.weight == 0.25
    assert [step.customer_id for step in hourly.path] == ["r", *(f"c{number}" for number in range(10))]


def test_many_who_come_on_one_device_within_a_day_are_a_signal() -> None:
    found = around(*(("r", one) for one in "abcdef"), device1="abcdef", address_500="abcdef")
    (signal,) = identifier_velocity(found, "a", at=NOON, households={}, policy=POLICY)
    assert (signal.name, signal.weight) == (SignalName.DEVICE_VELOCITY, pytest.approx(0.3))
    late = NOON + timedelta(days=2)
    assert identifier_velocity(found, "a", at=late, households={}, policy=POLICY) == []
    household = dict.fromkeys("abcdef", "h")
    assert identifier_velocity(found, "a", at=NOON, households=household, policy=POLICY) == []
