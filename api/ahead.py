"""Reading ahead: what is asked of an object is read together with the object, where its id says what to read.

It is a matter of speed alone. What was read ahead is kept by the loader until its field asks for it, which decides
then whether it may be seen; and where nobody reads ahead the field reads for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from api.context import Info
from api.execution import CompiledInfo
from core.failures import look_at_failure


def asks(info: Info, *paths: tuple[str, ...]) -> bool:
    """Whether the field at any of these paths of the schema's names is asked for below the object that the resolver
    brings; so it is where that is not known."""
    return info.asks(paths) if isinstance(info, CompiledInfo) else True


def read_ahead(info: Info, **loads: Callable[..., Awaitable[Any]]) -> None:
    """Begin to load what is asked for by these fields of the object that the resolver is about to bring.

    Each load takes the arguments of its field.
    """
    if not isinstance(info, CompiledInfo):
        return
    for name, arguments in info.asked_below(loads):
        # Arguments that a loader refuses are refused again when the field asks for them.
        with suppress(Exception):
            loading = asyncio.ensure_future(loads[name](**arguments))
            loading.add_done_callback(look_at_failure)
            info.context.ahead.append(loading)
