"""The token endpoint, and the one by which a client gives a refresh token back (RFC 7009)."""

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError
from starlette.requests import Request
from starlette.responses import Response

from api.issuer.families import Families, Kind
from api.issuer.forms import error_answer, json_answer, read_form
from api.issuer.grants import AUTHENTICATION
from api.issuer.server import Answer, IssuerRequest, IssuerServer

# The parameter that carries a family's secret, and what kind of secret it is, by grant type.
SECRETS: dict[str, tuple[str, Kind]] = {
    "authorization_code": ("code", "code"),
    "refresh_token": ("refresh_token", "refresh"),
}


class TokenEndpoint:
    """Loads the family that the request names, lets authlib decide, then uses up the secret in one atomic step."""

    def __init__(self, server: IssuerServer, families: Families) -> None:
        self._server = server
        self._families = families

    async def answer(self, request: Request) -> Response:
        ask = await read_form(request)
        parameter, kind = SECRETS.get(ask.form.get("grant_type", ""), ("", "refresh"))
        secret = ask.form.get(parameter, "")
        if secret:
            ask.family = await self._families.find(kind, secret)
        decided: Answer = self._server.create_token_response(ask)
        if not await self._settle(ask, decided, kind, secret):
            return error_answer(InvalidGrantError())
        return json_answer(decided.body, decided.status, decided.headers)

    async def _settle(self, ask: IssuerRequest, decided: Answer, kind: Kind, secret: str) -> bool:
        """Write what was decided; False when another request used the secret in the meantime."""
        if ask.successor is not None:
            return await self._families.advance(kind, secret, ask.successor)
        if ask.family is not None and kind == "code" and decided.error == "invalid_grant":
            # Somebody has the code and not the verifier or the address that belong to it: nobody shall use it.
            await self._families.end(secret)
        return True


class RevocationEndpoint:
    """Ends the sign-in of a refresh token; access tokens live on until they expire, minutes later."""

    def __init__(self, server: IssuerServer, families: Families) -> None:
        self._server = server
        self._families = families

    async def answer(self, request: Request) -> Response:
        ask = await read_form(request)
        client = self._server.authenticate_client(ask, AUTHENTICATION, "revocation")
        token = ask.form.get("token")
        if token is None:
            raise InvalidRequestError("Missing 'token' in request.")
        family = await self._families.find("refresh", token)
        if family is not None and family.check_client(client):
            await self._families.end(token)
        # A token that is not known is as good as revoked (RFC 7009, section 2.2).
        return json_answer({})
