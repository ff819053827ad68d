"""Executing an operation by its compiled selections, and by graphql-core wherever they do not know how.

The executor is graphql-core's own. Three steps of it are replaced: how the fields of an object are executed, how an
async resolver of ours is called, and how a list of objects is walked. Errors, their paths and their order stay
graphql-core's: it does anew whatever fails as data, and it is told what resolvers raise.
"""

from collections.abc import Awaitable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from enum import Enum
from types import CoroutineType
from typing import Any, cast

import strawberry
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    get_argument_values,
)
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from graphql.pyutils.gather_with_cancel import gather_with_cancel
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext
from strawberry.types.arguments import convert_arguments

from api.documents import Document
from api.frames import Frame
from api.selections import Compiler, Details, Field, Kind, Selection
from core.begun import begun
from core.loops import running_loop

Answer = dict[str, Any]
# So many variants of a document, by what its fields are included by, are kept compiled.
MOST_VARIANTS = 16
# What has run so often is compiled once more, in the way that takes longer to make and less to run.
HOT_RUNS = 5
# Arguments of these classes cannot be changed by who is given them, so they are read once for an operation.
FIXED = (str, int, float, date, Enum, type(None))


class Plan:
    """One operation compiled, for all who include the same fields."""

    def __init__(
        self, executor: "CompiledExecutor", root: GraphQLObjectType, included_by: Sequence[str], *, is_hot: bool
    ) -> None:
        sources, coerced = executor.variable_values
        variables = VariableValues(only(sources, included_by), only(coerced, included_by))
        self.runs = 0
        self.is_hot = is_hot
        self.compiler = Compiler(executor.schema, executor.operation, executor.fragments, variables, is_hot=is_hot)
        self.root = self.compiler.root(root)
        # What resolvers have asked of what is asked for below them.
        self.asked: dict[tuple[Field, tuple[tuple[str, ...], ...]], bool] = {}
        # Arguments that no variable is in, as graphql-core has them and as resolvers are given them.
        self.fixed: dict[Field, tuple[dict[str, Any], dict[str, Any] | None]] = {}


def only(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


class CompiledInfo(strawberry.Info[Any, None]):
    """What a resolver is told; what hardly any of them asks for is made when it is asked for."""

    # All of them ask for it, and a row may do so several times.
    context: Any = None

    def __init__(self, executor: "CompiledExecutor", field: Field, parent: GraphQLObjectType, path: Path) -> None:
        self.context = executor.context_value
        self._executor = executor
        self._asked = field
        self._parent = parent
        self._place = path
        self._field = cast(Any, field.resolver)

    def __getattr__(self, name: str) -> Any:
        if name != "_raw_info":
            raise AttributeError(name)
        self._raw_info: GraphQLResolveInfo[Any] = self._executor.info_of(self._asked, self._parent, self._place)
        return self._raw_info

    def asked_below(self, names: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those of these fields that are asked for of the one object that this resolver brings, with their arguments.

        It is for reading ahead, so a field whose arguments are wrong is left out: it says so when it is resolved.
        """
        item = self._asked.item
        if item is None:
            return
        for field in cast(Plan, self._executor.plan).compiler.below(item, self._asked.details).fields:
            name = python_name(field)
            if name is None or name not in names:
                continue
            with suppress(Exception):
                yield name, self._executor.arguments_of(field, self)

    def asks(self, paths: tuple[tuple[str, ...], ...]) -> bool:
        """Whether the field at any of these paths of the schema's names is asked for below what it brings."""
        plan, item = cast(Plan, self._executor.plan), self._asked.item
        key = (self._asked, paths)
        found = plan.asked.get(key)
        if found is None:
            below = self._asked.details
            found = item is None or any(plan.compiler.asks(item, below, path) for path in paths)
            plan.asked[key] = found
        return found


def python_name(field: Field) -> str | None:
    return field.resolver.python_name if field.resolver is not None else None


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with a plan; without one it does everything as it always does."""

    plan: Plan | None = None
    ours: strawberry.Schema

    def prepare(self, schema: strawberry.Schema, document: Document) -> None:
        """Take the document's plan for these variables, or make it."""
        self.ours = schema
        self._given: dict[Field, tuple[dict[str, Any], dict[str, Any] | None]] = {}
        values = self.variable_values.coerced
        operation = self.operation
        key = (operation.name.value if operation.name else "", *(values.get(name) for name in document.included_by))
        self.plan = known = document.plans.get(key)
        root = self.schema.get_root_type(operation.operation)
        if known is not None:
            known.runs += 1
        is_hot = known is not None and known.runs == HOT_RUNS and not known.is_hot
        if root is None or (known is not None and not is_hot):
            return
        try:
            self.plan = Plan(self, root, document.included_by, is_hot=is_hot)
        except GraphQLError:
            # A selection that cannot be collected: graphql-core says so in its own place.
            return
        # One that is compiled again takes no more room.
        if known is None and len(document.plans) >= MOST_VARIANTS:
            document.plans.clear()
        document.plans[key] = self.plan

    async def answered(self) -> ExecutionResult:
        """The answer of a query that has a plan; as `execute_operation`, which collects its fields each time."""
        try:
            found: Any = self.execute_selection(cast(Plan, self.plan).root, self.root_value, None)
            data = await found if optimized_is_awaitable(found) else found
        except GraphQLError as error:
            self.collected_errors.add(error, None)
            data = None
        return cast(ExecutionResult, self.build_response(data))

    def info_of(self, field: Field, parent: GraphQLObjectType, path: Path) -> GraphQLResolveInfo[Any]:
        return self.build_resolve_info(field.definition, field.nodes, parent, path)

    def execute_root_grouped_field_set(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,
        position_context: Any,
    ) -> Any:
        """Execute the root's fields as the plan has them, one after the other in a mutation."""
        if self.plan is None:
            return super().execute_root_grouped_field_set(
                root_type, root_value, grouped_field_set, serially, position_context
            )
        if serially:
            return self.execute_fields_serially(root_type, root_value, None, dict(self.plan.root.grouped), None)
        return self.execute_selection(self.plan.root, root_value, None)

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Details,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Execute what is asked of an object."""
        if self.plan is None:
            return super().collect_and_execute_subfields(
                return_type, field_details_list, path, result, position_context
            )
        return self.execute_selection(self.plan.compiler.below(return_type, field_details_list), result, path)

    def execute_selection(self, selection: Selection, source: Any, path: Path | None) -> Any:
        """The answer of an object, or an awaitable of it; as graphql-core's `execute_fields`."""
        try:
            answer: Answer = selection.data(source)
        except Exception:  # noqa: BLE001 - nothing has been resolved yet: done anew, it fails in graphql-core's words
            return self.execute_fields(selection.type, source, path, cast(Any, selection.grouped), None)
        waiting: list[str] = []
        try:
            for field in selection.fields:
                at = Path(path, field.name, selection.type.name)
                found = answer[field.name] = self._execute(field, selection.type, source, at)
                if optimized_is_awaitable(found):
                    waiting.append(field.name)
        except Exception:
            if waiting:
                self.settle_in_background([answer[name] for name in waiting])
            raise
        return awaited(answer, waiting) if waiting else answer

    def _execute(self, field: Field, parent: GraphQLObjectType, source: Any, path: Path) -> Any:
        """The answer of a field that is no data."""
        if field.resolver is not None:
            return self._resolve(field, parent, source, path)
        if field.attribute is not None and field.item is not None:
            # Only an object of our own is looked at: what else might happen is for graphql-core to find.
            value = vars(source).get(field.attribute) if hasattr(source, "__dict__") else None
            if self._is_walkable(field, value):
                try:
                    found = self._walk(field, path, value)
                except Exception as error:  # noqa: BLE001 - it becomes an error of the answer
                    self.handle_field_error(error, field.type, field.details, path)
                    return None
                is_awaitable = optimized_is_awaitable(found)
                return self._guarded(found, field.type, field.details, path) if is_awaitable else found
        return self.execute_field(parent, source, field.details, path, None)

    def _resolve(self, field: Field, parent: GraphQLObjectType, source: Any, path: Path) -> Any:
        """Call a resolver of ours, as `execute_field` would through what strawberry puts around it."""
        try:
            given, converted = self._arguments(field)
        except Exception as error:  # noqa: BLE001 - it becomes an error of the answer
            self.handle_field_error(error, field.type, field.details, path)
            return None
        answering = self._resolved(field, parent, source, path, given, converted)
        # What is below may set a time limit, and then it is begun in its own task.
        return begun(answering) if field.only_loads and field.done is not None else answering

    def _arguments(self, field: Field) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The field's arguments, as graphql-core has them and, once that is known, as the resolver is given them."""
        found = self._given.get(field) or cast(Plan, self.plan).fixed.get(field)
        if found is not None:
            return found
        node, definition = field.nodes[0], field.definition
        if not definition.args and not node.arguments:
            return cast(Plan, self.plan).fixed.setdefault(field, ({}, {}))
        within = field.details[0].fragment_variable_values
        given = get_argument_values(definition, node, self.variable_values, within, self.hide_suggestions)
        return given, None

    def arguments_of(self, field: Field, info: CompiledInfo) -> dict[str, Any]:
        """The field's arguments as its resolver is given them; raises where they are wrong."""
        given, converted = self._arguments(field)
        return self._converted(field, given, info) if converted is None else converted

    def _converted(self, field: Field, given: dict[str, Any], info: CompiledInfo) -> dict[str, Any]:
        if field.plain is not None:
            converted = {field.plain[name]: value for name, value in given.items()}
        else:
            resolver = cast(Any, field.resolver)
            converted = convert_arguments(
                given,
                resolver.arguments,
                scalar_registry=self.ours.schema_converter.scalar_registry,
                config=self.ours.config,
                info=info,
            )
        if all(isinstance(value, FIXED) for value in converted.values()):
            kept = cast(Plan, self.plan).fixed if field.is_fixed else self._given
            kept[field] = (given, converted)
        return converted

    async def _resolved(
        self,
        field: Field,
        parent: GraphQLObjectType,
        source: Any,
        path: Path,
        given: dict[str, Any],
        converted: dict[str, Any] | None,
    ) -> Any:
        """The answer of what the resolver brings; as `complete_awaitable_value`."""
        info = CompiledInfo(self, field, parent, path)
        resolver = cast(Any, field.resolver).base_resolver
        try:
            arguments = self._converted(field, given, info) if converted is None else converted
            told = resolver.info_parameter
            value = await (
                resolver.wrapped_func(source, **arguments)
                if told is None
                else resolver.wrapped_func(source, **arguments, **{told.name: info})
            )
            found = self._complete(field, parent, path, value)
            return await found if optimized_is_awaitable(found) else found
        except Exception as error:  # noqa: BLE001 - it becomes an error of the answer
            self.handle_field_error(error, field.type, field.details, path)
            return None

    def _complete(self, field: Field, parent: GraphQLObjectType, path: Path, value: Any) -> Any:
        if field.done is not None:
            try:
                return field.done(value)
            except Exception:  # noqa: BLE001 - done anew below, it fails in graphql-core's words
                return self.complete_value(
                    field.type, field.details, self.info_of(field, parent, path), path, value, None
                )
        if field.whole is not None:
            # What is not at hand, or is unusual, is walked through as if this had not been tried.
            with suppress(Exception):
                return field.whole(value)
        if self._is_walkable(field, value):
            return self._walk(field, path, value)
        return self.complete_value(field.type, field.details, self.info_of(field, parent, path), path, value, None)

    def _is_walkable(self, field: Field, value: Any) -> bool:
        """Whether a value is an object, or a list of objects, of the classes that are known for the field."""
        kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        if isinstance(kind, GraphQLList):
            return value.__class__ is list and all(one.__class__ in field.classes for one in value)
        return value.__class__ in field.classes

    def _walk(self, field: Field, path: Path, value: Any) -> Any:
        """The answer of such a value."""
        plan, item = cast(Plan, self.plan), cast(GraphQLObjectType, field.item)
        if value.__class__ is not list:
            return self.execute_selection(plan.compiler.below(item, field.details), value, path)
        kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        item_type: Kind = kind.of_type
        answers: list[Any] = []
        waiting: list[int] = []
        try:
            for index, one in enumerate(value):
                at = Path(path, index, None)
                found = self._walked_item(field, item, item_type, one, at)
                if optimized_is_awaitable(found):
                    found = self._guarded(found, item_type, field.details, at)
                    waiting.append(index)
                answers.append(found)
        except Exception:
            if waiting:
                self.settle_in_background([answers[index] for index in waiting])
            raise
        return awaited(answers, waiting) if waiting else answers

    def _walked_item(self, field: Field, item: GraphQLObjectType, item_type: Kind, value: Any, path: Path) -> Any:
        try:
            return self.execute_selection(cast(Plan, self.plan).compiler.below(item, field.details), value, path)
        except Exception as error:  # noqa: BLE001 - it becomes an error of the answer
            self.handle_field_error(error, item_type, field.details, path)
            return None

    async def _guarded(self, found: Awaitable[Any], kind: Kind, details: Details, path: Path) -> Any:
        """What is awaited, or null and an error in the answer where it fails and null may be."""
        try:
            return await found
        except Exception as error:  # noqa: BLE001 - it becomes an error of the answer
            self.handle_field_error(error, kind, details, path)
            return None


async def awaited(answer: Any, waiting: Sequence[Any]) -> Any:
    """The answer with what it waits for in its places: all at once, and the first that fails ends the others."""
    if len(waiting) == 1:
        place = waiting[0]
        answer[place] = await answer[place]
        return answer
    loop = running_loop()
    # As tasks: of what is none, graphql-core finds out in several steps what it is, and asks for the loop each time.
    found = await gather_with_cancel(*(loop.create_task(coroutine_of(answer[place])) for place in waiting))
    for place, value in zip(waiting, found, strict=True):
        answer[place] = value
    return answer


def coroutine_of(one: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    """What a task takes; of a coroutine, itself, which a task that is stopped before its start ends."""
    return cast("Coroutine[Any, Any, Any]", one) if one.__class__ is CoroutineType else gone_on_with(one)


async def gone_on_with(one: Awaitable[Any]) -> Any:
    return await one


class Schema(strawberry.Schema):
    """Our schema, which runs documents that were made ready by their compiled selections."""

    @property
    def core(self) -> GraphQLSchema:
        """The schema as graphql-core has it, which documents are validated against."""
        return self._schema

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: `api.errors.present` logs what nobody expected, and refusals are no errors of ours."""

    def _executor(
        self, document: Document, variables: Mapping[str, Any], name: str | None, context: Any
    ) -> CompiledExecutor | list[GraphQLError]:
        """What executes the operation, or what is wrong with its variables."""
        frame: Frame[CompiledExecutor] | None = document.frames.get(name)
        known = frame.executor(variables, context) if frame is not None else None
        if known is not None:
            return known
        built: Any = CompiledExecutor.build(
            self._schema,
            cast(Any, document.node),
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=name,
            is_awaitable=cast(Any, optimized_is_awaitable),
        )
        if frame is None and isinstance(built, CompiledExecutor):
            document.frames[name] = Frame(built)
        return built

    async def run(
        self, document: Document, variables: Mapping[str, Any] | None, name: str | None, context: Any
    ) -> ExecutionResult:
        """Run a query or a mutation of a document without problems; the answer is that of `execute`."""
        ours = self._executor(document, variables or {}, name, context)
        if isinstance(ours, list):
            return ExecutionResult(None, ours)
        try:
            ours.prepare(self, document)
            if ours.plan is not None and ours.operation.operation is OperationType.QUERY:
                return await ours.answered()
            found: Any = ours.execute_operation()
            return await found if optimized_is_awaitable(found) else found
        except GraphQLError as error:
            return ExecutionResult(None, [error])
        except Exception as error:  # noqa: BLE001 - strawberry answers so too; `api.errors` masks and logs it
            return ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
        finally:
            # They hold each other, and only the collector of garbage would free them.
            del ours.async_helpers
