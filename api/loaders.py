"""Data loaders: many fields asking for single things become one round trip for all of them."""

# Annotations of functions within functions would be made anew for each operation.
from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime

from api.batches import by_key, grouped, rows_of
from api.loading import DataLoader, LoaderSet, made_once
from api.loyalty.loaders import CatalogueLoaders
from api.referrals.loaders import ReferralLoaders
from community.access import MemberRole
from community.acts import area_of
from community.comments import comments_of, read_comments
from community.communities import eligible_for, read_communities, tags_of_communities
from community.event_series import occurrences_of, read_series
from community.events import events_of, events_of_one, hosts_of_events, read_events, tags_of_events
from community.feedback import EventRating, feedback_of, ratings_of
from community.posts import edits_of, pinned_posts, posts_of, read_posts
from community.reactions import ReactionKind, reactions_by
from community.registrations import read_registrations, registrations_for
from community.reports import Report, open_reports
from community.rosters import guests_of, members_of
from community.running import events_run_by
from community.seats import Channel, RegistrationStatus
from community.tallies import tallies_of
from community.waitlist_order import positions, registrations_at, waitlists_of
from core.audit import audit_trails
from core.clock import iso
from core.db import Database
from core.paging import Page, Place
from customers.profiles import read_customers
from customers.tags import tags_of_customers
from graph.client import GraphClient, Row
from loyalty.catalogue import Reward
from loyalty.earning_rules import EarningRule, Timeline, timelines_of
from loyalty.lots import LedgerLot
from loyalty.redemption_records import Redemption

NO_EVENTS: Page[Row] = Page(rows=[], cursors=[], has_next=False)


class Loaders(LoaderSet):
    """The loaders of one operation, each made at its first use."""

    def __init__(
        self, database: Database, graph: GraphClient, viewer_id: Callable[[], Awaitable[str | None]], now: datetime
    ) -> None:
        self._database = database
        self._graph = graph
        self._viewer_id = viewer_id
        self._now = now
        self._paged: dict[Hashable, DataLoader[str, Page[Row]]] = {}
        self._event_pages: dict[Hashable, DataLoader[str, Page[Row | None]]] = {}

    @made_once
    def customers(self) -> DataLoader[str, Row | None]:
        return by_key(lambda ids: read_customers(self._graph, ids))

    @made_once
    def communities(self) -> DataLoader[str, Row | None]:
        """Communities that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_communities(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    @made_once
    def events(self) -> DataLoader[str, Row | None]:
        """Events that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_events(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    @made_once
    def viewer_registrations(self) -> DataLoader[str, Row | None]:
        """The viewer's own registrations by event."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            viewer_id = await self._viewer_id()
            return await registrations_for(self._graph, viewer_id, ids) if viewer_id else {}

        return by_key(load)

    @made_once
    def registrations(self) -> DataLoader[str, Row | None]:
        """Registrations by their keys, `event:customer`."""

        async def load(keys: Sequence[str]) -> Mapping[str, Row]:
            pairs = [key.split(":") for key in keys]
            return await read_registrations(self._graph, [(event_id, customer_id) for event_id, customer_id in pairs])

        return by_key(load)

    @made_once
    def waitlist_positions(self) -> DataLoader[str, int | None]:
        """Positions by places in waiting lists."""
        return by_key(lambda queues: positions(self._graph, queues))

    @made_once
    def events_run(self) -> DataLoader[str, bool | None]:
        """Whether the viewer runs each event."""

        async def load(ids: Sequence[str]) -> Mapping[str, bool]:
            viewer_id = await self._viewer_id()
            return await events_run_by(self._graph, viewer_id, ids) if viewer_id else {}

        return by_key(load)

    def waitlists(self, channel: Channel, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of waiting lists by event; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await waitlists_of(self._graph, ids, channel, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("waitlists", channel, first, after), DataLoader(load_fn=load))

    def event_registrations(
        self, statuses: frozenset[RegistrationStatus] | None, first: int | None, after: Place
    ) -> DataLoader[str, Page[Row]]:
        """Pages of registrations by event; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await registrations_at(self._graph, ids, statuses, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("registrations", statuses, first, after), DataLoader(load_fn=load))

    def members(
        self, first: int | None, after: Place, roles: tuple[MemberRole, ...] = ()
    ) -> DataLoader[str, Page[Row]]:
        """Pages of members by community; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            # Without it members would be asked for at once, and communities, which wait for it, apart from them.
            await self._viewer_id()
            pages = await members_of(
                self._graph, ids, lambda: self.communities.load_many(ids), first=first, after=after, roles=roles
            )
            return [pages[key] for key in ids]

        return self._paged.setdefault(("members", first, after, roles), DataLoader(load_fn=load))

    def guests(self, role: MemberRole, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of those who ask to join, are invited or banned, by community."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            rows = [row for row in await self.communities.load_many(ids) if row]
            pages = await guests_of(self._graph, rows, role, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault((role, first, after), DataLoader(load_fn=load))

    def audit_trails(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of acts by community."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            async with self._database.read() as session:
                pages = await audit_trails(session, [area_of(key) for key in ids], first=first, after=after)
            return [pages[area_of(key)] for key in ids]

        return self._paged.setdefault(("audit", first, after), DataLoader(load_fn=load))

    @made_once
    def viewer_eligibility(self) -> DataLoader[str, bool]:
        """Whether the viewer meets the conditions of a community."""

        async def load(ids: list[str]) -> list[bool]:
            viewer_id = await self._viewer_id()
            found = await eligible_for(self._graph, viewer_id, ids, now=self._now) if viewer_id else set[str]()
            return [key in found for key in ids]

        return DataLoader(load_fn=load)

    def community_events(self, first: int | None, after: str | None, past: bool) -> DataLoader[str, Page[Row | None]]:
        """Pages of events by community, None for what has gone from view since it was listed; one loader for each
        combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row | None]]:
            ends_from = None if past else self._now
            if len(ids) == 1:
                viewer_id = await self._viewer_id()
                page = await events_of_one(
                    self._graph, ids[0], viewer_id=viewer_id, ends_from=ends_from, first=first, after=after
                )
                self.events.prime_many({row["id"]: row for row in page.rows})
                return [Page([*page.rows], page.cursors, page.has_next)]
            rows = [row for row in await self.communities.load_many(ids) if row]
            pages = await events_of(self._graph, rows, ends_from=ends_from, first=first, after=after)
            shown = [row["id"] for page in pages.values() for row in page.rows]
            found = dict(zip(shown, await self.events.load_many(shown), strict=True))
            # What is read ahead may be of a community that is out of sight.
            listed = [pages.get(key, NO_EVENTS) for key in ids]
            return [Page([found[row["id"]] for row in page.rows], page.cursors, page.has_next) for page in listed]

        return self._event_pages.setdefault((first, after, past), DataLoader(load_fn=load))

    @made_once
    def posts(self) -> DataLoader[str, Row | None]:
        """Posts that the viewer may read."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_posts(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    @made_once
    def comments(self) -> DataLoader[str, Row | None]:
        """Comments that the viewer may read."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_comments(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    def posts_of(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of posts by community; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await posts_of(self._graph, ids, viewer_id=await self._viewer_id(), first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("posts", first, after), DataLoader(load_fn=load))

    def comments_of(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of comments by post; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await comments_of(self._graph, ids, viewer_id=await self._viewer_id(), first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("comments", first, after), DataLoader(load_fn=load))

    def edits_of(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of earlier versions by post; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            pages = await edits_of(self._graph, ids, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("edits", first, after), DataLoader(load_fn=load))

    @made_once
    def pinned_posts(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await pinned_posts(self._graph, ids, viewer_id=await self._viewer_id())

        return grouped(load, "community_id")

    @made_once
    def tallies(self) -> DataLoader[str, dict[str, int]]:
        """Counts of reactions and comments by what they belong to."""

        async def load(ids: list[str]) -> list[dict[str, int]]:
            found = await tallies_of(self._graph, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def viewer_reactions(self) -> DataLoader[str, list[ReactionKind]]:
        """The viewer's own reactions by post or comment."""

        async def load(ids: list[str]) -> list[list[ReactionKind]]:
            viewer_id = await self._viewer_id()
            found = await reactions_by(self._graph, viewer_id, ids) if viewer_id else {}
            return [found.get(key, []) for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def open_reports(self) -> DataLoader[str, list[Report]]:
        async def load(ids: list[str]) -> list[list[Report]]:
            async with self._database.read() as session:
                found = await open_reports(session, ids)
            return [found[key] for key in ids]

        return DataLoader(load_fn=load)

    @made_once
    def event_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_events(self._graph, ids)

        return grouped(load, "event_id")

    @made_once
    def event_hosts(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await hosts_of_events(self._graph, ids)

        return grouped(load, "event_id")

    @made_once
    def event_series(self) -> DataLoader[str, Row | None]:
        """Series that the viewer may see."""

        async def load(ids: Sequence[str]) -> Mapping[str, Row]:
            return await read_series(self._graph, ids, viewer_id=await self._viewer_id())

        return by_key(load)

    def occurrences(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of occurrences by series; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            viewer_id = await self._viewer_id()
            pages = await occurrences_of(self._graph, ids, viewer_id=viewer_id, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("occurrences", first, after), DataLoader(load_fn=load))

    @made_once
    def event_ratings(self) -> DataLoader[str, EventRating | None]:
        async def load(ids: Sequence[str]) -> Mapping[str, EventRating]:
            async with self._database.read() as session:
                return await ratings_of(session, ids)

        return by_key(load)

    def event_feedback(self, first: int | None, after: Place) -> DataLoader[str, Page[Row]]:
        """Pages of feedback by event, for its managers; one loader for each combination of arguments."""

        async def load(ids: list[str]) -> list[Page[Row]]:
            async with self._database.read() as session:
                pages = await feedback_of(session, ids, first=first, after=after)
            return [pages[key] for key in ids]

        return self._paged.setdefault(("feedback", first, after), DataLoader(load_fn=load))

    @made_once
    def community_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_communities(self._graph, ids)

        return grouped(load, "community_id")

    @made_once
    def customer_tags(self) -> DataLoader[str, list[Row]]:
        async def load(ids: Sequence[str]) -> list[Row]:
            return await tags_of_customers(self._graph, ids, now=iso(self._now))

        return grouped(load, "customer_id")

    @made_once
    def rewards(self) -> DataLoader[str, Reward | None]:
        return by_key(rows_of(self._database, Reward))

    @made_once
    def catalogue(self) -> CatalogueLoaders:
        """What the catalogue says of rewards, and of the viewer."""
        return CatalogueLoaders(self._database, self._graph, self._viewer_id, self._now, self.rewards)

    @made_once
    def earning_rules(self) -> DataLoader[str, EarningRule | None]:
        return by_key(rows_of(self._database, EarningRule))

    @made_once
    def earning_timelines(self) -> DataLoader[str, Timeline | None]:
        """Which version of earning rules counts when, with the one that counts now."""

        async def load(ids: Sequence[str]) -> Mapping[str, Timeline]:
            async with self._database.read() as session:
                return await timelines_of(session, ids, at=self._now)

        return by_key(load)

    @made_once
    def lots(self) -> DataLoader[str, LedgerLot | None]:
        return by_key(rows_of(self._database, LedgerLot))

    @made_once
    def redemptions(self) -> DataLoader[str, Redemption | None]:
        return by_key(rows_of(self._database, Redemption))

    @made_once
    def referring(self) -> ReferralLoaders:
        """What there is of programmes, referrals and fraud."""
        return ReferralLoaders(self._database)
