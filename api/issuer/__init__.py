"""The development issuer: a small OpenID Connect provider over the personas of the demonstration bank."""

from authlib.oauth2.rfc6749 import OAuth2Error
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from api.issuer.authorization import AuthorizationEndpoint
from api.issuer.clients import clients_of
from api.issuer.discovery import discovery_document
from api.issuer.families import Families
from api.issuer.forms import error_answer, json_answer
from api.issuer.keys import KeyStore
from api.issuer.server import IssuerServer
from api.issuer.token import RevocationEndpoint, TokenEndpoint
from api.issuer.tokens import TokenSigner
from api.pages import assets
from core.settings import Settings, SettingsError

__all__ = ["create_issuer"]


def create_issuer(settings: Settings, redis: Redis) -> Starlette:
    """The application to mount at /issuer; makes its key at the first start. Raises SettingsError in production."""
    if settings.environment == "production":
        raise SettingsError("OIDC_ISSUER: the embedded development issuer does not run in production")
    keys = KeyStore(settings.data_dir / "issuer")
    server = IssuerServer(clients_of(settings), TokenSigner(settings, keys))
    families = Families(redis)

    async def discovery(_: Request) -> Response:
        return json_answer(discovery_document(settings), headers={"Cache-Control": "no-cache"})

    async def jwks(_: Request) -> Response:
        return json_answer(keys.current().public(), headers={"Cache-Control": "no-cache"})

    routes = [
        Route("/.well-known/openid-configuration", discovery),
        Route("/jwks", jwks),
        Route("/authorize", AuthorizationEndpoint(server, families).answer, methods=["GET", "POST"]),
        Route("/token", TokenEndpoint(server, families).answer, methods=["POST"]),
        Route("/revoke", RevocationEndpoint(server, families).answer, methods=["POST"]),
        Mount("/static", assets()),
    ]
    return Starlette(routes=routes, exception_handlers={OAuth2Error: refused, RedisError: unavailable})


async def refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, OAuth2Error):
        raise error
    return error_answer(error)


async def unavailable(_: Request, error: Exception) -> Response:
    """Without Redis no code can be kept or used; the client may ask again."""
    return json_answer({"error": "temporarily_unavailable"}, 503, {"Retry-After": "1"})
