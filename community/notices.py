"""Notices that the community room owes to customers; the service room stores them."""

from graph.owed import Effect

# Rooms do not import each other: this is the topic that service.notifications settles, and a test holds them equal.
NOTICE_OWED = "notice.owed"


def notice(kind: str, customer_id: str, cause: str, **ids: str) -> Effect:
    """One notice of a kind to a customer, once for what causes it; `ids` name what it is about."""
    payload = {"customer_id": customer_id, "kind": kind, "data": ids}
    return Effect(NOTICE_OWED, f"{kind}:{cause}:{customer_id}", payload)
