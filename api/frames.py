"""What graphql-core does before an operation runs, done once for all who run it."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from graphql import (
    GraphQLError,
    GraphQLID,
    GraphQLNonNull,
    GraphQLString,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.executor import Executor
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from strawberry.execution.is_awaitable import optimized_is_awaitable

ExecutorT = TypeVar("ExecutorT", bound=Executor[Any])


class Frame(Generic[ExecutorT]):
    """What is the same of an operation for whoever runs it, of the first executor that graphql-core has built for it.

    Its variables are looked at here where each is text, as ids are, and by graphql-core where one is anything else.
    """

    def __init__(self, built: ExecutorT) -> None:
        self._kind = built.__class__
        self._fixed = (built.schema, built.fragment_definitions, built.fragments)
        self._operation = built.operation
        signatures = [get_variable_signature(built.schema, one) for one in built.operation.variable_definitions or ()]
        self._texts = [cast(GraphQLVariableSignature, one) for one in signatures if is_text(one)]
        self._is_known = len(self._texts) == len(signatures)

    def executor(self, variables: Mapping[str, Any], context: Any) -> ExecutorT | None:
        """An executor for these variables; None where graphql-core is to look at them."""
        if not self._is_known:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature in self._texts:
            value = variables.get(signature.name)
            if value.__class__ is not str:
                return None
            sources[signature.name] = VariableValueSource(signature, value)
            coerced[signature.name] = value
        return self._kind(
            *self._fixed,
            None,
            context,
            self._operation,
            VariableValues(sources, coerced),
            default_field_resolver,
            cast(Any, default_type_resolver),
            default_field_resolver,
            is_awaitable=cast(Any, optimized_is_awaitable),
        )


def is_text(signature: GraphQLVariableSignature | GraphQLError) -> bool:
    """Whether a variable is text, which is given as it is."""
    if isinstance(signature, GraphQLError):
        return False
    kind = signature.type.of_type if isinstance(signature.type, GraphQLNonNull) else signature.type
    return kind is GraphQLID or kind is GraphQLString
