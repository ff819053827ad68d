"""What happens to every operation before it runs, whichever way it came: found, made ready, paid for."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.context import Context
from api.documents import Documents
from api.gate import COME_AGAIN_SECONDS, Overloaded
from api.server import Operation
from api.trusted import DocumentIdWrong, DocumentNotFound, DocumentNotTrusted, TrustedDocuments
from core.budget import WINDOW_SECONDS, Budget, Left, RateLimited
from core.errors import KinshipError, Unauthenticated, Unavailable

# Operations that never run, because they are not valid, cost something as well: making them ready is work.
LEAST_COST = 1

STATUSES: Mapping[type[KinshipError], int] = {
    Unauthenticated: 401,
    DocumentNotTrusted: 403,
    DocumentNotFound: 400,
    DocumentIdWrong: 400,
    RateLimited: 429,
    Unavailable: 503,
}


@dataclass(frozen=True, slots=True)
class Admission:
    """What admits operations; one per process."""

    documents: Documents
    trusted: TrustedDocuments
    budget: Budget

    async def admit(self, operation: Operation, context: Context, client: str) -> None:
        """Put what is to run into the context, and its cost; `client` is the address of who has not signed in.

        Raises DocumentNotFound, DocumentNotTrusted, DocumentIdWrong or RateLimited.
        """
        text = await self.trusted.text(operation.query, operation.document_id, context.bearer)
        context.document = self.documents.ready(text)
        context.cost = context.document.cost(operation.name, operation.variables or {})
        who = f"subject:{context.bearer.subject}" if context.bearer else f"address:{client}"
        context.left = await self.budget.spend(who, max(context.cost, LEAST_COST))

    def headers(self, left: Left | None) -> dict[str, str]:
        """What is left, as the draft "RateLimit header fields for HTTP" (version 10) has it."""
        found = {"RateLimit-Policy": f'"cost";q={self.budget.most};w={int(WINDOW_SECONDS)}'}
        if left is not None:
            found["RateLimit"] = rate_limit(left)
        return found


def rate_limit(left: Left) -> str:
    return f'"cost";r={left.units};t={left.seconds}'


def status_for(error: KinshipError) -> int:
    """The HTTP status of an error of the request as a whole."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 400)


def headers_for(error: KinshipError) -> dict[str, str]:
    """When to come again, for who is told to come later."""
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.seconds), "RateLimit": rate_limit(Left(0, error.seconds))}
    if isinstance(error, Overloaded):
        return {"Retry-After": str(COME_AGAIN_SECONDS)}
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return {}
