"""Coroutines that are begun where they are called, so that those which need not wait cost no task and no time limit."""

from collections.abc import Coroutine, Generator
from typing import Any


class Rest:
    """What is left of a coroutine that was begun and waits for a future, or (None) for the next turn of the loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._waits_for is not None:
            # A future that is being handed to a task carries this mark, and only then.
            self._waits_for._asyncio_future_blocking = True
        while True:
            failure: BaseException | None = None
            try:
                yield self._waits_for
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                failure = error
            try:
                self._waits_for = self._coroutine.throw(failure) if failure is not None else self._coroutine.send(None)
            except StopIteration as end:
                return end.value


class Done:
    """What a coroutine that did not wait has come to, to be awaited as the rest of another is."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._value
        yield


def begin(coroutine: Coroutine[Any, Any, Any]) -> Rest | Done:
    """An awaitable of a coroutine that begins now, for who has something else to wait for before; likewise `begun`.

    Where nobody awaits it any more, the coroutine ends.
    """
    found = begun(coroutine)
    return found if isinstance(found, Rest) else Done(found)


def begun(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine comes to where it does not wait, else an awaitable of it.

    It begins in the task of whoever calls this and may go on in another, so it is for those that set no time limit
    before they wait, since such a limit belongs to the task that it was set in.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        return end.value
    if waits_for is not None:
        # It is handed to no task yet, and others may begin to wait for it, too.
        waits_for._asyncio_future_blocking = False
    return Rest(coroutine, waits_for)
