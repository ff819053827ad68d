"""Authlib's authorization server, between reads of Redis that come before it and writes that come after.

Authlib decides synchronously. So the endpoint loads what the request names (a family), authlib decides and
leaves on the request what is to be written, and the endpoint writes that before it answers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.base import invalid_error_characters
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError

from api.issuer.authlib_bases import AuthorizationServer, OAuth2Payload, OAuth2Request
from api.issuer.clients import Client
from api.issuer.families import Family
from api.issuer.grants import ClientCredentials, Code, CodeChallengeS256, Refresh
from api.issuer.tokens import TokenSigner

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What authlib decided to answer; the body is empty for a redirect."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def error(self) -> str | None:
        return self.body.get("error")


class Parameters(OAuth2Payload):
    """The parameters of one request; a parameter without a value counts as left out (RFC 6749, 3.1)."""

    def __init__(self, pairs: Pairs) -> None:
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            if value:
                self._lists[name].append(value)
        self._data = {name: values[0] for name, values in self._lists.items()}

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class IssuerRequest(OAuth2Request):
    """A request with what was loaded for it and what is to be written for it."""

    def __init__(self, method: str, pairs: Pairs, headers: Mapping[str, str]) -> None:
        # Authlib wants TLS everywhere but on loopback; ours is for development, on whatever address that is.
        super().__init__(method, "https://issuer.invalid", headers=headers)
        self.payload = Parameters(pairs)
        self.family: Family | None = None
        self.started: tuple[str, Family] | None = None
        self.successor: str | None = None

    @property
    def args(self) -> dict[str, str]:
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data

    def refuse_unspeakable(self) -> None:
        """Raise InvalidRequestError for what authlib would quote in an error although RFC 6749 forbids it there."""
        for name in ("response_type", "grant_type", "redirect_uri"):
            if invalid_error_characters(self.form.get(name, "")):
                raise InvalidRequestError(f"The parameter '{name}' holds characters that are not allowed.")

    def refuse_repeated(self) -> None:
        """Raise InvalidRequestError when a parameter comes more than once (RFC 6749, 3.2)."""
        if any(len(values) > 1 for values in self.payload.datalist.values()):
            raise InvalidRequestError("A parameter comes more than once.")


class IssuerServer(AuthorizationServer):
    """The three grants over the registered clients; it reads and writes nothing itself."""

    def __init__(self, clients: Mapping[str, Client], signer: TokenSigner) -> None:
        super().__init__(scopes_supported=sorted({scope for client in clients.values() for scope in client.scopes}))
        self._clients = clients
        self.signer = signer
        self.register_grant(Code, [CodeChallengeS256()])
        self.register_grant(Refresh)
        self.register_grant(ClientCredentials)

    def query_client(self, client_id: str) -> Client | None:
        return self._clients.get(client_id)

    def authenticate_client(self, request: IssuerRequest, methods: list[str], endpoint: str = "token") -> Client:
        try:
            return super().authenticate_client(request, methods, endpoint)
        except ValueError as error:
            # Authlib decodes the Basic credentials without a net.
            raise InvalidClientError(status_code=401, description="The credentials cannot be read.") from error

    def save_token(self, token: dict[str, Any], request: IssuerRequest) -> None:
        """Leave the new refresh token for the endpoint to write; access tokens are kept nowhere."""
        request.successor = token.get("refresh_token")

    def create_oauth2_request(self, request: IssuerRequest) -> IssuerRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Answer:
        return Answer(status, body or {}, dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""
