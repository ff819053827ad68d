"""What follows from a rating or a class that changed: who holds what does not fit any more gets a task, once."""

from datetime import datetime

from core.db import Session
from core.outbox import owe
from customers.holders import HOLDINGS_ENDED, hold_present, holders_of, products_held
from graph.client import GraphClient
from service.assessments import RISK_CLASS_CHANGED, hold_guard
from service.products import PRODUCT_RATING_CHANGED, Product
from service.suitability_findings import Held, end_sold, review_holdings
from worker.settlement import ManyHandler, Payloads

# So many holders are looked at in one transaction, of all the products together; the next page is an effect of its own.
HOLDERS = 500
# And at least so many of each, whatever number of products is rated at once.
LEAST = 20


async def on_ratings_changed(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Look at the next page of who holds each product; a rating that was replaced leaves it to the new one."""
    limit = max(min(LEAST, HOLDERS), HOLDERS // len(payloads))
    held: list[Held] = []
    for payload in payloads:
        product_id, version, after = payload["product_id"], payload["version"], payload["after"]
        product = await session.get(Product, product_id, populate_existing=True)
        if product is None or product.version != version:
            continue
        ids = await holders_of(session, product.code, after=after, limit=limit)
        held += [Held(one, product.code) for one in await hold_present(session, ids)]
        if len(ids) == limit:
            rest = {**payload, "after": ids[-1]}
            key = f"{product_id}:{version}>{ids[-1]}"
            await owe(session, topic=PRODUCT_RATING_CHANGED, key=key, payload=rest, now=now)
    await review_holdings(session, held, now=now)


async def on_classes_changed(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """Look at all that customers hold who were assessed."""
    ids = await hold_present(session, sorted({one["customer_id"] for one in payloads}))
    held = [Held(customer_id, product) for customer_id, product in await products_held(session, ids)]
    await review_holdings(session, held, now=now)


async def on_holdings_ended(session: Session, _: GraphClient, payloads: Payloads, now: datetime) -> None:
    """End the reviews of what is not held any more."""
    ids = sorted({one for payload in payloads for one in payload["customer_ids"]})
    await hold_guard(session, *await hold_present(session, ids), now=now)
    held = [Held(customer_id, product) for customer_id, product in await products_held(session, ids)]
    await end_sold(session, ids, held, now=now)


SUITABILITY: dict[str, ManyHandler] = {
    PRODUCT_RATING_CHANGED: on_ratings_changed,
    RISK_CLASS_CHANGED: on_classes_changed,
    HOLDINGS_ENDED: on_holdings_ended,
}
