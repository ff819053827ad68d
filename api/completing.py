"""Functions that make the answer of a value from what is below it, and the same as generated Python.

Each raises for whatever is unusual. A function may know how it is written as an expression; what is made of such is one
function of Python, which walks through nothing and calls hardly anything.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

Complete = Callable[[Any], Any]

LISTS = frozenset[type]({list, tuple})
# The attributes of a function that hold how it is written.
WRITTEN, BODY = "written", "body"
# What is longer is called, so that no function grows with all that is below it.
LONGEST_WITHIN = 4_000


class NotCompiled(Exception):
    """What only graphql-core knows what to do with: whoever catches this lets it begin anew."""


def raising(_: Any) -> Any:
    """In the place of what is not data."""
    raise NotCompiled


class Writing:
    """A function of Python that is being written: the values that it knows by names, and names of its own."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self._fresh = 0

    def bound(self, value: Any) -> str:
        """The name by which it knows a value."""
        name = f"k{len(self.known)}"
        self.known[name] = value
        return name

    def fresh(self) -> str:
        self._fresh += 1
        return f"v{self._fresh}"


# Writes the expression that completes what another expression gives, which it names once.
Written = Callable[[Writing, str], str]


def written_as(complete: Complete, written: Written) -> Complete:
    """The function, which is written so from now on."""
    setattr(complete, WRITTEN, written)
    return complete


def completed(writing: Writing, complete: Complete, value: str) -> str:
    """The expression that completes what an expression gives."""
    written: Written | None = getattr(complete, WRITTEN, None)
    return written(writing, value) if written is not None else f"{writing.bound(complete)}({value})"


def where_usual(
    writing: Writing,
    value: str,
    classes: frozenset[type],
    given: Callable[[str], str],
    otherwise: Complete,
) -> str:
    """What is `given` of a value, by its name, where it is of these classes; else what the function makes of it."""
    name = writing.fresh()
    is_usual = f"is {writing.bound(next(iter(classes)))}" if len(classes) == 1 else f"in {writing.bound(classes)}"
    return f"({given(name)} if ({name} := {value}).__class__ {is_usual} else {writing.bound(otherwise)}({name}))"


def as_it_is(*classes: type) -> Callable[[Complete], Complete]:
    """Mark a function that gives values of these classes as they are."""

    def mark(complete: Complete) -> Complete:
        of = frozenset(classes)
        return written_as(complete, lambda writing, value: where_usual(writing, value, of, str, complete))

    return mark


def nullable(present: Complete) -> Complete:
    """The same for a value that may be null."""

    def complete(value: Any) -> Any:
        return None if value is None else present(value)

    def written(writing: Writing, value: str) -> str:
        name = writing.fresh()
        return f"(None if ({name} := {value}) is None else {completed(writing, present, name)})"

    return written_as(complete, written)


def listed(item: Complete) -> Complete:
    def complete(value: Any) -> list[Any]:
        if value.__class__ in LISTS:
            return [item(one) for one in value]
        raise NotCompiled

    def written(writing: Writing, value: str) -> str:
        one = writing.fresh()
        each = completed(writing, item, one)
        return where_usual(writing, value, LISTS, lambda name: f"[{each} for {one} in {name}]", raising)

    return written_as(complete, written)


def of_classes(classes: frozenset[type], data: Complete) -> Complete:
    """What `data` makes of objects of these classes."""

    def complete(value: Any) -> dict[str, Any]:
        if value.__class__ in classes:
            return data(value)
        raise NotCompiled

    body: Written | None = getattr(data, BODY, None)
    if body is None:
        return complete

    def written(writing: Writing, value: str) -> str:
        return where_usual(writing, value, classes, lambda name: body(writing, name), raising)

    return written_as(complete, written)


class Parts:
    """What a function of an object reads: attributes by their names, and methods."""

    def __init__(self) -> None:
        self.attributes: list[tuple[str, str, Complete]] = []
        self.methods: list[tuple[str, Callable[[Any], Any], Complete]] = []

    def add(self, name: str, source: str | Callable[[Any], Any], done: Complete) -> None:
        if isinstance(source, str):
            self.attributes.append((name, source, done))
        else:
            self.methods.append((name, source, done))


def data_of(template: dict[str, Any], parts: Parts) -> Complete:
    """The function of an object that fills in the template; the places of what is resolved stay empty."""
    names = [attribute for _, attribute, _ in parts.attributes]
    if not names:
        read: Callable[[Any], tuple[Any, ...]] = lambda _: ()  # noqa: E731 - named beside its two siblings
    elif len(names) == 1:
        only = attrgetter(names[0])
        read = lambda source: (only(source),)  # noqa: E731
    else:
        read = attrgetter(*names)
    places = [(name, done) for name, _, done in parts.attributes]
    methods = parts.methods

    def data(source: Any) -> dict[str, Any]:
        found = template.copy()
        for (name, done), value in zip(places, read(source), strict=True):
            found[name] = done(value)
        for name, method, done in methods:
            found[name] = done(method(source))
        return found

    return data


def generated(template: dict[str, Any], parts: Parts) -> Complete:
    """The same function as Python of its own: it takes a fourth of the time to run, and as long as a hundred runs to
    make, so it is made when it is first called."""
    # The document's parser lets no others through, and what is run as Python is looked at by whoever runs it.
    if not all(name.isidentifier() for name in (*template, *(attribute for _, attribute, _ in parts.attributes))):
        return data_of(template, parts)
    sources: dict[str, tuple[str | Callable[[Any], Any], Complete]] = {}
    sources |= {name: (attribute, done) for name, attribute, done in parts.attributes}
    sources |= {name: (method, done) for name, method, done in parts.methods}

    def body(writing: Writing, source: str) -> str:
        written: list[str] = []
        for name, constant in template.items():
            if name not in sources:
                written.append(f"{name!r}: {writing.bound(constant)}")
                continue
            read, done = sources[name]
            value = f"{source}.{read}" if isinstance(read, str) else f"{writing.bound(read)}({source})"
            written.append(f"{name!r}: {completed(writing, done, value)}")
        return f"{{{', '.join(written)}}}"

    made: list[Complete] = []

    def make() -> Complete:
        writing = Writing()
        text = f"def data(source):\n    return {body(writing, 'source')}"
        exec(text, writing.known)  # noqa: S102
        made.append(writing.known["data"])
        return made[0]

    def data(source: Any) -> dict[str, Any]:
        return (made[0] if made else make())(source)

    if len(body(Writing(), "source")) <= LONGEST_WITHIN:
        setattr(data, BODY, body)
    return data
