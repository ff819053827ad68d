"""Data loaders: many fields asking for single things become one round trip for all of them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from community.communities import read_communities, tags_of_communities
from community.event_series import occurrences_of, read_series
from community.events import events_of, hosts_of_events, read_events, tags_of_events
from community.feedback import EventRating, feedback_of, ratings_of
from community.memberships import members_of
from community.registrations import registrations_for
from core.clock import iso
from core.db import Database, Record, rows_by_id
from core.paging import Page
from customers.profiles import read_customers
from customers.tags import tags_of_customers
from graph.client import GraphClient, Row
from loyalty.catalogue import Reward
from loyalty.redemption import Redemption
from referrals.programs import ReferralProgram
from referrals.rewards import ReferralReward, rewards_of_referrals

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R", bound=Record)


class Loaders:
    """The loaders of one operation, each made at its first use."""

    def __init__(
        self, database: Database, graph: GraphClient, viewer_id: Callable[[], Awaitable[str | None]], now: datetime
    ) -> None:
        self._database = database
        self._graph = graph
        self._viewer_id = viewer_id
        self._now = now
        self._paged: dict[Hashable, DataLoader[str, Page[Row]]] = {}

    @cached_property
    def customers(self) -> DataLoader[str, Row | None]:
        return by_key(lambda ids: read_customers(self._graph, ids))

    @cached_property
    def communities(self) -> DataLoader[str, Row | None]:
        """Communities that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_communities(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    @cached_property
    def events(self) -> DataLoader[str, Row | None]:
        """Events that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_events(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    @cached_property
    def viewer_registrations(self) -> DataLoader[str, Row | None]:
        """The viewer's own registrations by event."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            viewer_id = await self._viewer_id()
            return await registrations_for(self._graph, viewer_id, ids) if viewer_id else {}

        return by_key(load)

    def members(self, first: int | None, after: str | None) -> DataLoader[str, Page[Row]]:
        """Pages of members by community; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await members_of(self._graph, ids, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("members", first, after), DataLoader(load_fn=load))

    def community_events(self, first: int | None, after: str | None, past: bool) -> DataLoader[str, Page[Row]]:
        """Pages of events by community; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            ends_from = None if past else self._now
            viewer_id = await self._viewer_id()
            pages = await events_of(
                self._graph, ids, viewer_id=viewer_id, ends_from=ends_from, first=first, after=after
            )
            return [pages[key] for key in ids]

        return self._paged.setdefault(("events", first, after, past), DataLoader(load_fn=load))

    @cached_property
    def event_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_events(self._graph, ids)

        return grouped(load, "event_id")

    @cached_property
    def event_hosts(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await hosts_of_events(self._graph, ids)

        return grouped(load, "event_id")

    @cached_property
    def event_series(self) -> DataLoader[str, Row | None]:
        """Series that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_series(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    def occurrences(self, first: int | None, after: str | None) -> DataLoader[str, Page[Row]]:
        """Pages of occurrences by series; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            viewer_id = await self._viewer_id()
            pages = await occurrences_of(self._graph, ids, viewer_id=viewer_id, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("occurrences", first, after), DataLoader(load_fn=load))

    @cached_property
    def event_ratings(self) -> DataLoader[str, EventRating | None]:
        async def load(ids: Sequence[str]) -> Mapping[str, EventRating]:
            async with self._database.read() as session:
                return await ratings_of(session, ids)

        return by_key(load)

    def event_feedback(self, first: int | None, after: str | None) -> DataLoader[str, Page[Row]]:
        """Pages of feedback by event, for its managers; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            async with self._database.read() as session:
                pages = await feedback_of(session, ids, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("feedback", first, after), DataLoader(load_fn=load))

    @cached_property
    def community_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_communities(self._graph, ids)

        return grouped(load, "community_id")

    @cached_property
    def customer_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_customers(self._graph, ids, now=iso(self._now))

        return grouped(load, "customer_id")

    @cached_property
    def rewards(self) -> DataLoader[str, Reward | None]:
        return by_key(self._rows(Reward))

    @cached_property
    def redemptions(self) -> DataLoader[str, Redemption | None]:
        return by_key(self._rows(Redemption))

    @cached_property
    def programs(self) -> DataLoader[str, ReferralProgram | None]:
        return by_key(self._rows(ReferralProgram))

    @cached_property
    def referral_rewards(self) -> DataLoader[str, list[ReferralReward]]:
        async def load(ids: list[str]) -> list[list[ReferralReward]]:
            async with self._database.read() as session:
                rows = await rewards_of_referrals(session, ids)
            groups: dict[str, list[ReferralReward]] = defaultdict(list)
            for row in rows:
                groups[row.referral_id].append(row)
            return [groups[key] for key in ids]

        return DataLoader(load_fn=load)

    def _rows(self, model: type[R]) -> Callable[[Sequence[str]], Awaitable[Mapping[str, R]]]:
        async def load(ids: Sequence[str]) -> Mapping[str, R]:
            async with self._database.read() as session:
                return await rows_by_id(session, model, ids)

        return load


def by_key(load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    """A loader over a function that returns what it found by key."""

    async def load_all(keys: list[K]) -> list[V | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load_all)


def grouped(load: Callable[[Sequence[str]], Awaitable[list[Row]]], key: str) -> DataLoader[str, list[Row]]:
    """A loader over a function that returns rows of several keys in one list."""

    async def load_all(keys: list[str]) -> list[list[Row]]:
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in await load(keys):
            groups[row[key]].append(row)
        return [groups[name] for name in keys]

    return DataLoader(load_fn=load_all)
