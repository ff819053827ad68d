"""Signals of fraud: pure scoring of what the accounts around a referral share, each with its path in the graph.

- An identifier used by d customers weighs base / log2(d): as in Adamic and Adar, "Friends and neighbors on the Web"
  (Social Networks 25, 2003), what is common to few says more. Used by more than `most` it weighs nothing.
- What two who live at one small address share counts for less, because the home explains it already ("explaining
  away": Pearl, Probabilistic Reasoning in Intelligent Systems, 1988), and within a declared household for nothing.
- Evidence is combined by noisy-or (Pearl 1988): e(v) = 1 - prod(1 - w) over what a member v shares with others, and
  for a group of n such members S = 1 - prod(1 - e(v)) ** ((n - 1) / n), which for two is the noisy-or of what they
  share; n - 1 because so many links make a group of n. The score is 1 - (1 - S) * prod(1 - w) over all other signals.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from enum import StrEnum
from math import log2, prod
from typing import Any

from core.identifiers import IdentifierKind


class SignalName(StrEnum):
    """What speaks against a referral."""

    SHARED_DEVICE = "SHARED_DEVICE"
    SHARED_CARD = "SHARED_CARD"
    SHARED_ADDRESS = "SHARED_ADDRESS"
    SIMILAR_EMAIL = "SIMILAR_EMAIL"
    REFERRER_VELOCITY = "REFERRER_VELOCITY"
    DEVICE_VELOCITY = "DEVICE_VELOCITY"
    CARD_VELOCITY = "CARD_VELOCITY"
    ADDRESS_VELOCITY = "ADDRESS_VELOCITY"


@dataclass(frozen=True, slots=True)
class KindPolicy:
    """An identifier's weight when two share it, its most users, and its most referees within a day."""

    base: float
    most: int
    daily: int
    velocity: float


KINDS: Mapping[IdentifierKind, KindPolicy] = {
    IdentifierKind.DEVICE: KindPolicy(base=0.4, most=40, daily=3, velocity=0.6),
    IdentifierKind.CARD: KindPolicy(base=0.6, most=20, daily=3, velocity=0.6),
    IdentifierKind.ADDRESS: KindPolicy(base=0.15, most=20, daily=5, velocity=0.4),
}


@dataclass(frozen=True, slots=True)
class FraudPolicy:
    """All defaults: from `threshold` on a reward waits for a reviewer."""

    threshold: float = 0.5
    kinds: Mapping[IdentifierKind, KindPolicy] = field(default_factory=lambda: KINDS)
    # Identifiers that weigh less tie nobody into a group; they only add to what is known of one.
    link: float = 0.08
    home_size: int = 6
    at_home: float = 0.5
    email: float = 0.3
    email_alike: float = 0.8
    referrer_velocity: float = 0.5
    hourly_referrals: int = 5
    daily_referrals: int = 20
    ring_size: int = 3


@dataclass(frozen=True, slots=True)
class Identifier:
    """A device, card or address; `degree` is how many use it, counted no further than just above what matters."""

    key: str
    kind: IdentifierKind
    degree: int

    @property
    def reference(self) -> str:
        """What a reviewer may see of it: enough to tell two apart."""
        return self.key[:8]


@dataclass(frozen=True, slots=True)
class Tie:
    """One customer referred another; the instant is not read for rings."""

    referrer_id: str
    referee_id: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A part of the graph: identifiers by key, their keys by customer, and who referred whom."""

    identifiers: Mapping[str, Identifier]
    uses: Mapping[str, Collection[str]]
    ties: Sequence[Tie] = ()


@dataclass(frozen=True, slots=True)
class PathStep:
    """One node of a path and the relationship that leads to it; after an identifier come all who use it."""

    relationship: str | None = None
    customer_id: str | None = None
    identifier_kind: str | None = None
    degree: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A named signal with its weight (0 to 1); one that is exempted by a household counts for nothing."""

    name: str
    weight: float
    exempted: bool = False
    path: tuple[PathStep, ...] = ()

    def stored(self) -> dict[str, Any]:
        return {**asdict(self), "path": [asdict(step) for step in self.path]}

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Signal":
        path = tuple(PathStep(**step) for step in data["path"])
        return cls(data["name"], data["weight"], data["exempted"], path)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The score (0 to 1) of some customers, and what it is made of, the heaviest first."""

    score: float
    signals: tuple[Signal, ...]


# Of many who share something so many are shown.
LONGEST_PATH = 12


def weight_of(identifier: Identifier, policy: FraudPolicy) -> float:
    """What it says that two customers share this identifier: 0 where everybody or nobody else uses it."""
    kind = policy.kinds[identifier.kind]
    return kind.base / log2(identifier.degree) if 2 <= identifier.degree <= kind.most else 0.0


def shared(around: Neighbourhood, members: Iterable[str]) -> dict[str, list[str]]:
    """The members by each identifier that at least two of them use."""
    users: dict[str, list[str]] = defaultdict(list)
    for member in sorted(members):
        for key in around.uses.get(member, ()):
            users[key].append(member)
    return {key: found for key, found in sorted(users.items()) if len(found) > 1}


def assess(
    around: Neighbourhood,
    members: Collection[str],
    *,
    households: Mapping[str, str],
    others: Sequence[Signal] = (),
    policy: FraudPolicy,
) -> Assessment:
    """Score these customers by what they share, and by the `others`: signals of another kind."""
    users = shared(around, members)
    homes = homes_of(around, users, policy)
    evidence: dict[str, list[float]] = defaultdict(list)
    signals = list(others)
    for key, found in users.items():
        identifier = around.identifiers[key]
        full = weight_of(identifier, policy)
        if not full:
            continue
        weights = [0.0]
        for member in found:
            strangers = [one for one in found if one != member and not is_one_household(one, member, households)]
            if strangers:
                explained = identifier.kind != IdentifierKind.ADDRESS and all(
                    homes.get(member, set()) & homes.get(one, set()) for one in strangers
                )
                weights.append(full * policy.at_home if explained else full)
                evidence[member].append(weights[-1])
        heaviest = max(weights)
        name = f"SHARED_{identifier.kind}"
        signals.append(Signal(name, heaviest, exempted=not heaviest, path=path_through(identifier, found)))
    doubts = [prod(1 - weight for weight in found) for found in evidence.values()]
    doubt = prod(doubts) ** ((len(doubts) - 1) / len(doubts)) if doubts else 1.0
    doubt *= prod(1 - signal.weight for signal in others if not signal.exempted)
    return Assessment(1 - doubt, tuple(sorted(signals, key=lambda one: (-one.weight, one.name))))


def homes_of(around: Neighbourhood, users: Mapping[str, Sequence[str]], policy: FraudPolicy) -> dict[str, set[str]]:
    """The addresses, by customer, at which no more people live than in one home."""
    homes: dict[str, set[str]] = defaultdict(set)
    for key, found in users.items():
        identifier = around.identifiers[key]
        if identifier.kind == IdentifierKind.ADDRESS and identifier.degree <= policy.home_size:
            for member in found:
                homes[member].add(key)
    return homes


def is_one_household(one: str, other: str, households: Mapping[str, str]) -> bool:
    return one in households and households[one] == households.get(other)


def path_through(identifier: Identifier, users: Sequence[str]) -> tuple[PathStep, ...]:
    """Customer, identifier, and everybody else among these who uses it."""
    node = PathStep("USES", None, identifier.kind, identifier.degree, identifier.reference)
    rest = (PathStep("USES", customer_id=user) for user in users[1:LONGEST_PATH])
    return (PathStep(customer_id=users[0]), node, *rest)


def ancestors(ties: Iterable[Tie]) -> dict[str, set[str]]:
    """Each customer with those by whom they came, and by whom these came."""
    above: dict[str, set[str]] = defaultdict(set)
    for tie in ties:
        above[tie.referee_id].add(tie.referrer_id)
    near: dict[str, set[str]] = {}
    for person in {*above, *(tie.referrer_id for tie in ties)}:
        parents = above.get(person, set())
        near[person] = {person, *parents, *(one for parent in parents for one in above.get(parent, set()))}
    return near


def linked_groups(around: Neighbourhood, policy: FraudPolicy) -> list[set[str]]:
    """Connected groups: two are linked who share what weighs enough and have a referrer in common, or are one's own.

    Common is an ancestor at most two referrals above either, each being their own.
    """
    near = ancestors(around.ties)
    group = {person: {person} for person in near}
    places: dict[tuple[str, str], str] = {}
    for person, above in near.items():
        for key in around.uses.get(person, ()):
            if weight_of(around.identifiers[key], policy) < policy.link:
                continue
            for ancestor in above:
                other = places.setdefault((key, ancestor), person)
                join(group, person, other)
    distinct = {id(found): found for found in group.values() if len(found) > 1}
    return sorted(distinct.values(), key=min)


def join(group: dict[str, set[str]], one: str, other: str) -> None:
    """Make one group of two, the smaller added to the larger."""
    large, small = sorted((group[one], group[other]), key=len, reverse=True)
    if large is not small:
        large |= small
        for member in small:
            group[member] = large


def email_stem(email: str | None) -> str | None:
    """The letters of the local part, without tag, dots and digits; None where there are too few to say anything."""
    local = (email or "").split("@", 1)[0].split("+", 1)[0]
    letters = "".join(char for char in local.lower() if char.isalpha())
    return letters if len(letters) >= 5 else None


def email_signal(
    referrer: tuple[str, str | None], referee: tuple[str, str | None], *, exempted: bool, policy: FraudPolicy
) -> Signal | None:
    """Whether two addresses, each after its customer's id, are alike: by Ratcliff and Obershelp's ratio of stems."""
    one, other = email_stem(referrer[1]), email_stem(referee[1])
    if one is None or other is None:
        return None
    alike = SequenceMatcher(None, one, other, autojunk=False).ratio()
    if alike < policy.email_alike:
        return None
    path = (PathStep(customer_id=referrer[0]), PathStep("REFERRED", customer_id=referee[0]))
    return Signal(SignalName.SIMILAR_EMAIL, 0.0 if exempted else policy.email * alike, exempted, path)
