"""Data loaders of the catalogue: many rewards asked about at once become one question for all of them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime

from api.loading import DataLoader, LoaderSet, made_once
from core.db import Database
from graph.client import GraphClient
from graph.eligibility import Held, held_by
from loyalty.catalogue import Reward, RewardPrice, tags_of_rewards
from loyalty.catalogue_changes import price_history
from loyalty.coupons import coupon_stocks
from loyalty.holdings import holdings
from loyalty.offers import Usage, usages_of


class CatalogueLoaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(
        self,
        database: Database,
        graph: GraphClient,
        viewer_id: Callable[[], Awaitable[str | None]],
        now: datetime,
        rewards: DataLoader[str, Reward | None],
    ) -> None:
        self._database = database
        self._graph = graph
        self._viewer_id = viewer_id
        self._now = now
        self._rewards = rewards

    @made_once
    def tags(self) -> DataLoader[str, set[str]]:
        """The tags that rewards ask for."""

        async def load(ids: list[str]) -> list[set[str]]:
            async with self._database.read() as session:
                found = await tags_of_rewards(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def prices(self) -> DataLoader[str, list[RewardPrice]]:
        """The prices of rewards, the latest first, with those that are planned."""

        async def load(ids: list[str]) -> list[list[RewardPrice]]:
            groups: dict[str, list[RewardPrice]] = defaultdict(list)
            async with self._database.read() as session:
                for row in await price_history(session, ids):
                    groups[row.reward_id].append(row)
            return [groups[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def codes_left(self) -> DataLoader[str, int]:
        """How many codes are left of each pool, counted up to MOST_COUNTED."""

        async def load(ids: list[str]) -> list[int]:
            async with self._database.read() as session:
                found = await coupon_stocks(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def has_codes(self) -> DataLoader[str, bool]:
        """Whether a code is left of each pool."""

        async def load(ids: list[str]) -> list[bool]:
            async with self._database.read() as session:
                found = await coupon_stocks(session, ids, most=1)
            return [found[key] > 0 for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def viewer_usage(self) -> DataLoader[str, Usage]:
        """What the viewer has redeemed of each reward."""

        async def load(ids: list[str]) -> list[Usage]:
            viewer_id = await self._viewer_id()
            rewards = [row for row in await self._rewards.load_many(ids) if row]
            async with self._database.read() as session:
                found = await usages_of(session, viewer_id, rewards, now=self._now) if viewer_id else {}
            return [found.get(key, Usage()) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def held(self) -> DataLoader[str, Held]:
        """What conditions ask of customers; asked of the viewer alone, so of one in each operation."""

        async def load(ids: list[str]) -> list[Held]:
            return [await held_by(self._graph, key, now=self._now) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def available_points(self) -> DataLoader[str, int]:
        """What customers can spend; asked of the viewer alone, likewise."""

        async def load(ids: list[str]) -> list[int]:
            async with self._database.read() as session:
                return [(await holdings(session, key, now=self._now)).available for key in ids]

        return DataLoader(load_fn=load)
