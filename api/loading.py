"""Data loaders: what fields ask for one by one within a turn of the loop is loaded together, and kept.

They do as strawberry's do, at a third of the price: a page of fifty is one waking and not a hundred.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from core.batches import in_batches
from core.loops import running_loop

K = TypeVar("K")
V = TypeVar("V")


class DataLoader(Generic[K, V]):
    """Loads values by their keys for one operation; `load_fn` gives them in the order of its keys, each as a value or
    as the exception to be raised. It is asked for no more than so many at a time, where that is said."""

    def __init__(self, load_fn: Callable[[list[K]], Awaitable[Sequence[V]]], max_batch_size: int | None = None) -> None:
        self._load_fn = load_fn
        self._most = max_batch_size
        self._found: dict[K, asyncio.Future[V]] = {}
        self._primed: dict[K, V] = {}
        self._next: dict[K, asyncio.Future[V]] = {}
        # The loop keeps no more than a weak reference to a task.
        self._going: set[asyncio.Task[None]] = set()

    def load(self, key: K) -> asyncio.Future[V]:
        """The value of a key; whoever else asks for it is given the same future."""
        found = self._found.get(key)
        if found is not None and not found.cancelled():
            return found
        loop = running_loop()
        future: asyncio.Future[V] = loop.create_future()
        self._found[key] = future
        if key in self._primed:
            future.set_result(self._primed[key])
            return future
        if not self._next:
            loop.call_soon(self._dispatch)
        self._next[key] = future
        return future

    def load_many(self, keys: Iterable[K]) -> Coroutine[Any, Any, list[V]]:
        """The values of these keys in their order; they are being loaded from this call on."""
        return all_of([self.load(key) for key in keys])

    def prime(self, key: K, value: V) -> None:
        """Keep a value that was read otherwise; what was asked for before comes as it was asked for."""
        self._primed.setdefault(key, value)

    def prime_many(self, values: Mapping[K, V]) -> None:
        self._primed = {**values, **self._primed}

    def _dispatch(self) -> None:
        asked, self._next = self._next, {}
        keys = list(asked)
        for part in in_batches(keys, self._most or len(keys)):
            batch = {key: asked[key] for key in part}
            task = running_loop().create_task(self._load(batch))
            self._going.add(task)
            task.add_done_callback(self._going.discard)
            watch(list(batch.values()), task)

    async def _load(self, batch: Mapping[K, asyncio.Future[V]]) -> None:
        try:
            wanted = {key: future for key, future in batch.items() if not future.done()}
            values = await self._load_fn(list(wanted)) if wanted else ()
            for future, value in zip(wanted.values(), values, strict=True):
                if not future.done():
                    tell(future, value)
        except BaseException as error:
            for future in batch.values():
                if not future.done():
                    tell(future, error)
            if not isinstance(error, Exception):
                raise


class made_once(cached_property[V]):
    """`functools.cached_property` without the lock that it takes on Python 3.11, and on no later one: what it is of
    belongs to one operation, which runs in one thread."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = vars(instance)[self.attrname] = self.func(instance)
        return value


class LoaderSet:
    """Loaders that are made at their first use; what some of them do asks others of the set."""

    def let_go(self) -> None:
        """Forget them, once nobody asks any more: they and the set hold each other, and all that they have found with
        them, so that only the collector of garbage would free them. That takes it longer than loading took them."""
        own = vars(self)
        for name, value in list(own.items()):
            if isinstance(value, DataLoader):
                del own[name]
            elif isinstance(value, LoaderSet):
                value.let_go()
            elif isinstance(value, dict):
                # The loaders of pages, one for each combination of arguments.
                cast("dict[Any, Any]", value).clear()


def tell(future: asyncio.Future[Any], value: Any) -> None:
    if isinstance(value, asyncio.CancelledError):
        future.cancel()
    elif isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)


def watch(futures: Sequence[asyncio.Future[Any]], task: asyncio.Task[None]) -> None:
    """Stop the task once nobody waits for any of these; one of them is looked at after the other."""

    def look_further(ended: asyncio.Future[Any]) -> None:
        if ended.cancelled() and not task.done():
            watch([future for future in futures if future is not ended], task)

    waiting = next((future for future in futures if not future.cancelled()), None)
    if waiting is None:
        task.cancel()
    else:
        waiting.add_done_callback(look_further)


async def all_of(futures: Sequence[asyncio.Future[V]]) -> list[V]:
    """What these come to; where whoever waits is stopped, or one fails, nobody waits for the others any more."""
    try:
        return [await future for future in futures]
    except BaseException:
        for future in futures:
            # Also so that asyncio does not say of a failure that nobody has seen it.
            if not future.cancel() and not future.cancelled():
                future.exception()
        raise
