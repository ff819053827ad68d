"""Who asks: what a verified access token says of its bearer, in the domain's own words."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Roles that a token can carry; managing a community is a relationship in the graph instead."""

    CUSTOMER = "customer"
    RELATIONSHIP_MANAGER = "relationship_manager"
    COMPLAINTS_OFFICER = "complaints_officer"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"


class Scope(StrEnum):
    """Scopes of service clients; each allows one kind of write."""

    FACTS_WRITE = "facts:write"
    IMPORTS_WRITE = "imports:write"
    REDEMPTIONS_WRITE = "redemptions:write"


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a verified token; `customer_id` is filled in once the subject is known to us."""

    subject: str
    roles: frozenset[Role]
    scopes: frozenset[str]
    expires_at: int
    customer_id: str | None = None

    def as_customer(self, customer_id: str | None) -> "Principal":
        """The same bearer, known to us as this customer or as none."""
        return Principal(self.subject, self.roles, self.scopes, self.expires_at, customer_id)

    def has(self, *roles: Role) -> bool:
        """Whether the bearer carries at least one of the roles."""
        return not self.roles.isdisjoint(roles)

    @property
    def is_administrator(self) -> bool:
        return Role.ADMINISTRATOR in self.roles
