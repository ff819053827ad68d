"""Notices that the community room owes to customers; the service room stores them."""

from core.notices import NOTICE_OWED, NoticeKind
from graph.owed import Effect


def notice(kind: NoticeKind, customer_id: str, cause: str, **ids: str) -> Effect:
    """One notice of a kind to a customer, once for what causes it; `ids` name what it is about."""
    payload = {"customer_id": customer_id, "kind": kind, "data": ids}
    return Effect(NOTICE_OWED, f"{kind}:{cause}:{customer_id}", payload)
