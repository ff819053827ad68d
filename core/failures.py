"""Failures of what runs beside whoever asked for it."""

import asyncio
from typing import Any


def look_at_failure(found: asyncio.Future[Any]) -> None:
    """Take note of a failure, so that asyncio does not log it as one that nobody has seen.

    For what is awaited by whoever wants it: they are told, and where nobody wants it any more there is nobody to tell.
    """
    if not found.cancelled():
        found.exception()
