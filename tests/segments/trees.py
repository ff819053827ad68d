"""Trees of conditions for hypothesis: valid ones over the tests' words, and such that are a little off."""

from typing import Any

from hypothesis import strategies as st

from tests.segments.people import BORN, KINDS, NUMBERS, OLD_NAME, TAGS, TRAITS, WORDS

keys = st.sampled_from([*TAGS, OLD_NAME])
confidences = st.sampled_from([0, 0.5, 0.75, 1, 1.0])
tags = keys | st.fixed_dictionaries({"key": keys}, optional={"min_confidence": confidences})
tier_names = st.sampled_from(["MASS", "POTENTIAL", "VIP"])
tiers = st.one_of(
    st.fixed_dictionaries({"at_least": tier_names}, optional={"on_watch": st.booleans()}),
    st.fixed_dictionaries({"in": st.lists(tier_names, min_size=1, max_size=3)}, optional={"on_watch": st.booleans()}),
    st.fixed_dictionaries({"on_watch": st.booleans()}),
)
numbers = st.sampled_from(NUMBERS)
days = st.sampled_from(BORN).map(str)
ages = st.sampled_from([0, 1, 17, 18, 19, 20, 50, 128, 150])


def asked_of(kind: str) -> dict[str, st.SearchStrategy[Any]]:
    if kind == "TEXT":
        words = st.sampled_from(WORDS)
        return {"eq": words, "ne": words, "in": st.lists(words, min_size=1, max_size=3)}
    if kind == "BOOLEAN":
        return {"eq": st.booleans(), "ne": st.booleans()}
    if kind == "DATE":
        return {"before": days, "after": days, "age_at_least": ages, "age_at_most": ages}
    plain = dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte"), numbers)
    return {**plain, "in": st.lists(numbers, min_size=1, max_size=3)}


def traits_of(name: str) -> st.SearchStrategy[Any]:
    named = {"name": st.just(name)}
    true = st.just(True)
    asked = st.fixed_dictionaries(named, optional={**asked_of(TRAITS[name][0]), "fresh": true, "known": true})
    return st.one_of(st.fixed_dictionaries({**named, "known": st.booleans()}), asked.filter(lambda leaf: len(leaf) > 1))


traits = st.one_of(*(traits_of(name) for name in TRAITS))
counts = st.integers(0, 5)
events: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS), "within_days": st.sampled_from([1, 2, 90, 3650])},
    optional={"at_least": counts, "at_most": counts},
)
leaves = st.one_of(
    st.fixed_dictionaries({"tag": tags}),
    st.fixed_dictionaries({"tier": tiers}),
    st.fixed_dictionaries({"trait": traits}),
    st.fixed_dictionaries({"event": events.filter(lambda leaf: leaf.get("at_least", 0) <= leaf.get("at_most", 9))}),
)


def nodes(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(below, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"all": parts}),
        st.fixed_dictionaries({"any": parts}),
        st.fixed_dictionaries({"not": below}),
    )


def depth_of(tree: Any) -> int:
    ((word, below),) = tree.items()
    if word == "not":
        return 1 + depth_of(below)
    return 1 + max(map(depth_of, below)) if word in ("all", "any") else 1


trees = st.recursive(leaves, nodes, max_leaves=8).filter(lambda tree: depth_of(tree) <= 8)

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1.0, 1.5, 3651, 2**63, -(2**63), 1e300]),
    st.sampled_from(["", "x", "a\0b", "2026-02-30", "2026-1-1", "x" * 201, "kind", "EVENT"]),
    st.sampled_from([[], [1], ["MASS", 2], {}, {"all": []}, {"tag": "test-home"}]),
)


@st.composite
def nearly(draw: st.DrawFn) -> Any:
    """A valid tree in which one value, name or field is something else."""
    tree = draw(trees)
    holder, place = draw(st.sampled_from(list(places(tree))))
    way = draw(st.sampled_from(["value", "drop", "add"]))
    if way == "value":
        holder[place] = draw(odd)
    elif way == "drop":
        del holder[place]
    elif isinstance(holder, dict):
        names = ["known", "fresh", "at_least", "on_watch", "min_confidence", "gte", "tag", "other"]
        holder[draw(st.sampled_from(names))] = draw(odd)
    return tree


def places(tree: Any) -> Any:
    """Where anything stands in the tree: the object or list, and the name or number in it."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for place, below in list(items):
        yield tree, place
        yield from places(below)
