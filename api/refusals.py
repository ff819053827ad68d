"""Refusals as data: what a person can mend is a member of the mutation's union, with a stable code."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import strawberry
from strawberry.types import get_object_definition

from api.context import Info
from core.errors import Refusal as DomainRefusal

P = ParamSpec("P")
T = TypeVar("T")


@strawberry.type(description="Why nothing was done. `code` is stable, `message` is for people.")
class Refusal:
    code: str = strawberry.field(description="Stable code; docs/errors.md lists them all.")
    message: str = strawberry.field(description="What to show, in the language of the request.")
    path: list[str] = strawberry.field(description="The field of the input that is to blame; empty where none is.")


def result_union(success: type) -> Any:
    """The union that a mutation answers with, named after its success and described by it."""
    name = success.__name__.removesuffix("Success")
    done: str = get_object_definition(success, strict=True).description or ""
    return strawberry.union(f"{name}Result", description=f"{done} Otherwise a refusal says why not.")


def refusals(resolver: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T | Refusal]]:
    """Answer the domain's refusals as values; everything else goes the way of exceptions."""

    @functools.wraps(resolver)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> T | Refusal:
        info: Any = kwargs["info"]
        # Nobody does anything unknown to us, and nobody unknown learns whether their input was good.
        info.context.signed_in()
        # Each act has an instant of its own, by which its effects are told apart, and sees what the one before it did.
        info.context.renew()
        try:
            return await resolver(*args, **kwargs)
        except DomainRefusal as refusal:
            return of(refusal, info)

    return answered


def of(refusal: DomainRefusal, info: Info) -> Refusal:
    path = ["input", *refusal.path] if refusal.path else []
    return Refusal(code=refusal.code, message=refusal.words(info.context.language), path=path)
