"""The pages of Kinship: sign-in, its callback, and the GraphQL explorer of development systems.

The pages are a public OpenID Connect client with PKCE: their scripts talk to whichever issuer the settings name.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from api.issuer.clients import CALLBACK_PATH
from api.issuer.personas import PERSONAS, SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET, WEB_CLIENT_ID
from api.pages import Language, assets, page, page_language, policy, render, switch_address
from core.settings import Settings


def routes(settings: Settings) -> list[BaseRoute]:
    """The routes of the pages; the explorer is not among them in production."""
    pages = Pages(settings)
    found: list[BaseRoute] = [
        Route("/sign-in", pages.sign_in),
        Route(CALLBACK_PATH, pages.callback),
        Mount("/static", assets()),
    ]
    if settings.environment != "production":
        found.append(Route("/graphiql", pages.explorer))
    return found


class Pages:
    """Renders the pages; what their scripts need of the settings stands in attributes of the body."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policy = page_policy(settings)

    async def sign_in(self, request: Request) -> Response:
        return self._page(request, "sign-in")

    async def callback(self, request: Request) -> Response:
        return self._page(request, "callback")

    async def explorer(self, request: Request) -> Response:
        return self._page(request, "explorer")

    def _page(self, request: Request, name: str) -> Response:
        language = page_language(request)
        values = {**self._configuration(), "switch": switch_address(request, language)}
        markup = {"personas": persona_options(language) if self._settings.embedded_issuer else ""}
        body = render(name, language, values, markup)
        return page(body, language, self._policy, remember="lang" in request.query_params)

    def _configuration(self) -> dict[str, str]:
        settings = self._settings
        return {
            "issuer": settings.issuer_url.rstrip("/"),
            "audience": settings.oidc_audience,
            "client": WEB_CLIENT_ID,
            "base": settings.base_url,
            "explorer": "" if settings.environment == "production" else "/graphiql",
            **service_client(settings),
        }


def page_policy(settings: Settings) -> str:
    """Scripts and styles of our own only; connections to us and to the origin of the issuer."""
    connect = ["'self'"]
    if not settings.embedded_issuer:
        issuer = urlsplit(settings.issuer_url)
        connect.append(f"{issuer.scheme}://{issuer.netloc}")
    return policy(
        script_src=["'self'"], style_src=["'self'"], img_src=["'self'"], connect_src=connect, form_action=["'none'"]
    )


def service_client(settings: Settings) -> dict[str, str]:
    """The bank's system of the development issuer, as which the explorer can ask too; nothing of any other issuer."""
    if not settings.embedded_issuer:
        return {"service": "", "secret": ""}
    return {"service": SERVICE_CLIENT_ID, "secret": SERVICE_CLIENT_SECRET}


def persona_options(language: Language) -> str:
    """Who can sign in at the development issuer, as options of a select; their names are our own constants."""
    names = {persona.key: persona.name_zh if language == "zh" else persona.name_en for persona in PERSONAS}
    names[SERVICE_CLIENT_ID] = SERVICE_CLIENT_ID
    return "".join(f'<option value="{key}">{name}</option>' for key, name in names.items())
