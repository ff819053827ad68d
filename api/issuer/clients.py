"""The registered clients: our own pages (public) and the bank's system (confidential)."""

import re
import secrets
from dataclasses import dataclass

from api.issuer.authlib_bases import ClientMixin
from api.issuer.personas import SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET, SERVICE_SCOPES, WEB_CLIENT_ID, WEB_SCOPES
from core.settings import Settings

CALLBACK_PATH = "/sign-in/callback"
# A native tool listens on a port that it learns only when it runs (RFC 8252, section 7.3).
LOOPBACK_REDIRECT = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost):[0-9]{1,5}/callback")


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """A registered client; without a secret it is a public one."""

    client_id: str
    grant_types: frozenset[str]
    scopes: tuple[str, ...]
    default_scope: str
    redirect_uri: str | None = None
    secret: str | None = None

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """None: every request must say where it wants the answer."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scope to grant; None when anything is asked for that the client may not have."""
        wanted = (scope or self.default_scope).split()
        return " ".join(dict.fromkeys(wanted)) if set(wanted) <= set(self.scopes) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        if self.redirect_uri is None:
            return False
        return redirect_uri == self.redirect_uri or LOOPBACK_REDIRECT.fullmatch(redirect_uri) is not None

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret is not None and secrets.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        if self.secret is None:
            return method == "none"
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


def clients_of(settings: Settings) -> dict[str, Client]:
    """The clients by id; our pages' redirect target follows the address at which browsers reach us."""
    web = Client(
        client_id=WEB_CLIENT_ID,
        grant_types=frozenset({"authorization_code", "refresh_token"}),
        scopes=WEB_SCOPES,
        default_scope="openid profile",
        redirect_uri=settings.base_url + CALLBACK_PATH,
    )
    service = Client(
        client_id=SERVICE_CLIENT_ID,
        grant_types=frozenset({"client_credentials"}),
        scopes=SERVICE_SCOPES,
        default_scope=" ".join(SERVICE_SCOPES),
        secret=SERVICE_CLIENT_SECRET,
    )
    return {client.client_id: client for client in (web, service)}
