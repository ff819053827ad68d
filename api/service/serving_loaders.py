"""Data loaders of tasks, follow-ups and plans: the rows of a page need few questions for all of them."""

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database, rows_by_id
from service.action_plan_records import ActionPlan, ActionPlanStep, ActionPlanTemplate
from service.action_plans import steps_by_plan
from service.follow_ups import FollowUp, follow_ups_of
from service.tasks import Task, tasks_about


class ServingLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @made_once
    def follow_ups(self) -> DataLoader[str, list[FollowUp]]:
        async def load(ids: list[str]) -> list[list[FollowUp]]:
            async with self._database.read() as session:
                found = await follow_ups_of(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def steps(self) -> DataLoader[str, ActionPlanStep | None]:
        async def load(ids: list[str]) -> list[ActionPlanStep | None]:
            async with self._database.read() as session:
                found = await rows_by_id(session, ActionPlanStep, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def steps_of_plan(self) -> DataLoader[str, list[ActionPlanStep]]:
        async def load(ids: list[str]) -> list[list[ActionPlanStep]]:
            async with self._database.read() as session:
                found = await steps_by_plan(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def plans(self) -> DataLoader[str, ActionPlan | None]:
        async def load(ids: list[str]) -> list[ActionPlan | None]:
            async with self._database.read() as session:
                found = await rows_by_id(session, ActionPlan, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def templates(self) -> DataLoader[str, ActionPlanTemplate | None]:
        async def load(ids: list[str]) -> list[ActionPlanTemplate | None]:
            async with self._database.read() as session:
                found = await rows_by_id(session, ActionPlanTemplate, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def tasks_about(self) -> DataLoader[str, Task | None]:
        """The tasks of steps, by the steps' ids."""

        async def load(ids: list[str]) -> list[Task | None]:
            async with self._database.read() as session:
                found = await tasks_about(session, ids)
            return [found.get(key) for key in ids]

        return DataLoader(load_fn=load)
