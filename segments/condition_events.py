"""Which events a condition asks for, so that who waits for it to come true knows at which facts to look."""

from collections.abc import Iterator

from segments.conditions import AllOf, AnyOf, Condition, HadEvents


def events_that_make_true(condition: Condition) -> Iterator[HadEvents]:
    """The events of which one more can make the condition true: those asked for, and not the absence of some."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from events_that_make_true(part)
        case HadEvents():
            if condition.at_least > 0:
                yield condition
        case _:
            return
