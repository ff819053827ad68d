"""Data loaders of service breaks and surveys: the rows of a page need few questions for all of them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database, Session, rows_by_id
from core.facts import Fact
from core.ids import derived_id
from core.tasks import TaskKind, task_key
from customers.personal import keys_by_owner
from service.break_rules import ServiceBreakRule, ServiceBreakRuleVersion, rules_by_id, versions_of
from service.breaks import evidence_by_break
from service.survey_rows import Survey, surveys_by_id
from service.tasks import Task

V = TypeVar("V")
Read = Callable[[Session, Collection[str]], Any]


class PromiseLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def rules(self) -> DataLoader[str, ServiceBreakRule | None]:
        return self._by_id(rules_by_id)

    @made_once
    def versions(self) -> DataLoader[str, list[ServiceBreakRuleVersion]]:
        """All versions of rules, the newest first."""

        async def load(ids: list[str]) -> list[list[ServiceBreakRuleVersion]]:
            async with self._database.read() as session:
                rows = await versions_of(session, ids)
            return [[row for row in rows if row.rule_id == key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def evidence(self) -> DataLoader[str, list[Fact] | None]:
        """The facts that prove breaks; who may see them has asked before."""
        return self._by_id(evidence_by_break)

    @made_once
    def owners(self) -> DataLoader[str, str | None]:
        """Who is to repair breaks: to whom their tasks were given."""

        async def load(ids: list[str]) -> list[str | None]:
            tasks = [derived_id("task", task_key(TaskKind.RECOVERY, key)) for key in ids]
            async with self._database.read() as session:
                found = await rows_by_id(session, Task, tasks)
            return [row.assignee if (row := found.get(key)) else None for key in tasks]

        return DataLoader(load_fn=load)

    @made_once
    def surveys(self) -> DataLoader[str, Survey | None]:
        return self._by_id(surveys_by_id)

    @made_once
    def data_keys(self) -> DataLoader[str, tuple[str, bytes] | None]:
        """By what the words about customers open, and whose key that is; who may read them has asked before."""
        return self._by_id(keys_by_owner)

    def _by_id(self, read: Callable[[Session, Collection[str]], Any]) -> DataLoader[str, Any]:
        async def load(ids: list[str]) -> list[Any]:
            async with self._database.read() as session:
                found: Mapping[str, Any] = await read(session, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)
