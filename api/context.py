"""What one request carries through the resolvers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from strawberry import Info as StrawberryInfo

from api.customers.insight_loaders import InsightLoaders
from api.customers.profile_loaders import ProfileLoaders
from api.documents import NO_DOCUMENT, Document
from api.loaders import Loaders
from api.loading import DataLoader, LoaderSet, made_once
from api.service.complaint_loaders import ComplaintLoaders
from api.service.message_loaders import MessageLoaders
from api.service.product_loaders import ProductLoaders
from api.service.promise_loaders import PromiseLoaders
from api.service.serving_loaders import ServingLoaders
from community.live import Look
from community.recommendation_exposures import Exposures
from community.recommendation_policies import RecommendationPolicy, policies_by_id
from core.budget import Left
from core.clock import utc_now
from core.coalescing import Coalesced
from core.db import Database
from core.errors import Forbidden, Refusal, Unauthenticated
from core.failures import look_at_failure
from core.history import Heard
from core.live import Listener
from core.principal import Principal
from core.rate import Guesses
from core.settings import Settings
from graph.client import GraphClient, Row
from segments.membership import is_in_segment, segments_with
from service.entitlements import entitlements_of

Language = Literal["zh", "en"]

MESSAGES_AT_ONCE = 32


class NotSignedUp(Refusal):
    code = "NOT_SIGNED_UP"
    en = "You have no customer profile yet. Please sign up first."
    zh = "您还没有客户档案，请先注册。"


@dataclass(frozen=True, slots=True)
class Edge:
    """What lives as long as the process: the stores and the way to the queue."""

    settings: Settings
    database: Database
    graph: GraphClient
    enqueue: Callable[[str, str], Awaitable[None]]
    ring: Callable[[str, dict[str, Any]], Awaitable[None]]
    listen: Callable[[str, str | None], AbstractAsyncContextManager[Listener]]
    guesses: Guesses
    exposures: Exposures
    # Our ids of customers by the subjects of tokens.
    identities: Coalesced[str, str]
    # What subscribers are told, and whether they may be told it.
    readers: Coalesced[Look, bool]
    event_seats: Coalesced[Look, Row]
    # Who takes turns at making messages for subscribers: one event may be thousands of messages, and those must neither
    # wait too long for the stores' connections nor take all of them from the requests.
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MESSAGES_AT_ONCE))


@dataclass
class Context:
    """One operation's context; the bearer's profile is looked up at its first use."""

    edge: Edge
    bearer: Principal | None
    language: Language
    now: datetime
    request_id: str
    operation_name: str | None = None
    streams: bool = False
    # Of a subscription: after what its client goes on by a header, and what the message that is made now can be gone
    # on after.
    resume_after: str | None = None
    cursor: str | None = None
    # What is run, made ready, and what it costs at most.
    document: Document = NO_DOCUMENT
    cost: int = 0
    left: Left | None = None
    # What was begun to be read before its field asked for it.
    ahead: list[asyncio.Future[Any]] = field(default_factory=list[asyncio.Future[Any]], init=False)
    _has_turn: bool = field(default=False, init=False)
    # Whether who asks was looked up for all fields there are: nothing changes it while a query runs.
    _is_met: bool = field(default=False, init=False)
    _identified: Principal | None = field(default=None, init=False)
    _identifying: asyncio.Future[str | None] | None = field(default=None, init=False)

    @property
    def database(self) -> Database:
        return self.edge.database

    @property
    def graph(self) -> GraphClient:
        return self.edge.graph

    def text(self, row: Any, name: str) -> str:
        """The words of a row in the language of this request."""
        key = f"{name}_{self.language}"
        return row[key] if isinstance(row, dict) else getattr(row, key)

    def signed_in(self) -> Principal:
        """Who asks, as the token says; it costs nothing. Raises Unauthenticated."""
        if self.bearer is None:
            raise Unauthenticated
        return self.bearer

    def going_on(self, after: str | None) -> str | None:
        """After which message a subscription goes on: a client that opens the same stream again says it by a header,
        which is newer than what its document says."""
        return self.resume_after or after

    def known(self) -> Principal:
        """Who asks, as far as was looked by now; raises Unauthenticated."""
        return self._identified or self.signed_in()

    async def principal(self) -> Principal:
        """Who asks, with the customer id where there is a profile; raises Unauthenticated."""
        bearer = self.signed_in()
        # Somebody without a profile may sign up in one field and act in the next.
        if self._identified is not None and (self._is_met or self._identified.customer_id is not None):
            return self._identified
        # Fields beside each other ask at once: one look is for all of them.
        looking = self._identifying
        if looking is None or (looking.done() and not self._is_met):
            looking = self._identifying = self.edge.identities.ask(bearer.subject)
            looking.add_done_callback(look_at_failure)
            self.document.ask_who.add((self.operation_name, bearer.roles))
        # Shielded, because one field that is cancelled must not take the others along.
        customer_id = looking.result() if looking.done() else await asyncio.shield(looking)
        known = self._identified
        if known is None or known.customer_id != customer_id:
            known = self._identified = bearer.as_customer(customer_id)
        return known

    async def meet(self) -> None:
        """Look up who asks before the fields of a query do, where they have done so before for others in these roles.

        Then none of them waits for it, and they read together from the first. Where it fails, each that asks is told.
        """
        if self.bearer is not None and (self.operation_name, self.bearer.roles) in self.document.ask_who:
            self._is_met = True
            with suppress(Exception):
                await self.principal()

    async def end_reading_ahead(self) -> None:
        """Wait for what was read ahead and nobody has asked for, so that nothing of an operation outlives it."""
        if under_way := [one for one in self.ahead if not one.done()]:
            await asyncio.wait(under_way)

    def stop_reading_ahead(self) -> None:
        """Stop it, where nobody waits for the operation any more."""
        for one in self.ahead:
            one.cancel()

    async def viewer_id(self) -> str | None:
        """The asking customer's id; None for somebody without a profile."""
        return (await self.principal()).customer_id

    async def customer_id(self) -> str:
        """The asking customer's id; raises NotSignedUp for somebody without a profile."""
        customer_id = await self.viewer_id()
        if customer_id is None:
            raise NotSignedUp
        return customer_id

    async def in_segment(self, segment_id: str, customer_id: str) -> bool:
        """Whether a customer is in a segment now."""
        async with self.database.read() as session:
            return await is_in_segment(session, segment_id, customer_id, now=self.now)

    async def early_by(self, customer_id: str) -> timedelta:
        """By how much sooner than everybody a customer may register for an event, by the tier of now."""
        async with self.database.read() as session:
            return (await entitlements_of(session, [customer_id], now=self.now))[customer_id].early

    def administrator(self) -> Principal:
        """The asking administrator; raises Forbidden for anybody else."""
        principal = self.signed_in()
        if not principal.is_administrator:
            raise Forbidden
        return principal

    async def changed(self, *channels: str, **message: Any) -> None:
        """Hint at what a change in the graph owes, and tell live listeners on these channels."""
        # A job of its own for each request: one that is running already may have looked too early.
        await self.edge.enqueue("relay", self.request_id)
        for channel in channels:
            await self.edge.ring(channel, message)

    async def begin_message(self) -> None:
        """Wait for the turn to make a subscription's next message, and begin it; `end_turn` when it is made."""
        if not self._has_turn:
            await self.edge.turns.acquire()
            self._has_turn = True
        self.renew()

    def end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self.edge.turns.release()

    async def hear(self, listener: Listener) -> list[Heard]:
        """What a listener takes; nobody keeps their turn while they wait for it."""
        self.end_turn()
        return await listener.take()

    async def rest(self, seconds: float) -> None:
        """Wait a little between messages, likewise."""
        self.end_turn()
        await asyncio.sleep(seconds)

    def renew(self) -> None:
        """Begin the next act of a document or message of a subscription: what was read before is stale by now."""
        self.now = utc_now()
        self.let_go()

    def let_go(self) -> None:
        """Forget what was read for an act that is over (see `LoaderSet.let_go`)."""
        own = vars(self)
        for name in READ:
            found = own.pop(name, None)
            if isinstance(found, LoaderSet):
                found.let_go()

    @made_once
    def viewer_segments(self) -> DataLoader[str, bool]:
        """Whether the viewer is in segments, by their local ids."""

        async def load(ids: list[str]) -> list[bool]:
            viewer_id = await self.viewer_id()
            async with self.database.read() as session:
                found = await segments_with(session, ids, viewer_id, now=self.now) if viewer_id else frozenset[str]()
            return [one in found for one in ids]

        return DataLoader(load_fn=load)

    @made_once
    def recommendation_policies(self) -> DataLoader[str, RecommendationPolicy]:
        """Versions of how lists are made, by their local ids, of which none is ever deleted."""

        async def load(ids: list[str]) -> list[RecommendationPolicy]:
            async with self.database.read() as session:
                found = await policies_by_id(session, ids)
            return [found[one] for one in ids]

        return DataLoader(load_fn=load)

    @made_once
    def loaders(self) -> Loaders:
        """Batching loaders that live for one operation, so that what they keep is never stale."""
        return Loaders(self.database, self.graph, self.viewer_id, self.now)

    @made_once
    def private(self) -> ProfileLoaders:
        """Likewise of what is private of customers."""
        return ProfileLoaders(self.database, self.graph, self.principal, self.now)

    @made_once
    def insight(self) -> InsightLoaders:
        """Likewise of alerts, needs and their policies."""
        return InsightLoaders(self.database, self.graph)

    @made_once
    def complaints(self) -> ComplaintLoaders:
        """Likewise of complaints."""
        return ComplaintLoaders(self.database)

    @made_once
    def serving(self) -> ServingLoaders:
        """Likewise of tasks, follow-ups and plans."""
        return ServingLoaders(self.database)

    @made_once
    def messaging(self) -> MessageLoaders:
        """Likewise of messages and articles."""
        return MessageLoaders(self.database)

    @made_once
    def offers(self) -> ProductLoaders:
        """Likewise of products."""
        return ProductLoaders(self.database)

    @made_once
    def promises(self) -> PromiseLoaders:
        """Likewise of service breaks and surveys."""
        return PromiseLoaders(self.database)


# What is made at its first use, and holds what was read for one act.
READ = tuple(name for name, value in vars(Context).items() if isinstance(value, made_once))

Info = StrawberryInfo[Context, None]
