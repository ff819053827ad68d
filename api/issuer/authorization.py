"""The authorization endpoint: a page on which one picks who to be, then a redirect with a code."""

import html
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.issuer.clients import Client
from api.issuer.families import Families
from api.issuer.personas import PERSONA_BY_KEY, PERSONAS, Persona
from api.issuer.server import Answer, IssuerRequest, IssuerServer
from api.pages import SECURITY_HEADERS, Language, page, page_language, policy, render, switch_address

# OpenID Connect names the language parameter of this endpoint itself.
LANGUAGE_PARAMETER = "ui_locales"


class LoginRequired(OAuth2Error):
    """The client wants no page to be shown, and there is no session that would do without (OIDC Core, 3.1.2.6)."""

    error = "login_required"


class AuthorizationEndpoint:
    """GET shows the personas, POST picks one; both validate the whole request."""

    def __init__(self, server: IssuerServer, families: Families) -> None:
        self._server = server
        self._families = families

    async def answer(self, request: Request) -> Response:
        ask = IssuerRequest("GET", request.query_params.multi_items(), request.headers)
        try:
            ask.refuse_unspeakable()
            grant = self._server.get_consent_grant(ask)
            if "prompt" in ask.form and "none" in ask.form["prompt"].split():
                raise LoginRequired(redirect_uri=grant.redirect_uri, state=ask.form.get("state"))
        except OAuth2Error as error:
            return error_page(request, error)
        persona = await picked(request)
        if persona is None:
            return persona_page(request, ask)
        answer: Answer = self._server.create_authorization_response(ask, persona, grant)
        if ask.started is not None:
            await self._families.start(*ask.started)
        return redirect(answer.headers["Location"])


async def picked(request: Request) -> Persona | None:
    """The persona of the form that was sent; None for a GET, and for nobody we know."""
    if request.method != "POST":
        return None
    async with request.form(max_files=0, max_fields=10) as form:
        return PERSONA_BY_KEY.get(str(form.get("persona", "")))


def redirect(location: str) -> Response:
    """303, so that the browser turns the POST into a GET."""
    headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", "Content-Security-Policy": policy()}
    return RedirectResponse(location, status_code=303, headers=headers)


def error_page(request: Request, error: OAuth2Error) -> Response:
    """Tell the client by redirect where its address has been checked, else only the person before the screen."""
    if error.redirect_uri:
        return redirect(error()[2][0][1])
    language = page_language(request, LANGUAGE_PARAMETER)
    values = {"error": str(error.error), "description": error.get_error_description() or ""}
    csp = policy(style_src=["'self'"])
    return page(render("issuer-error", language, values), language, csp, status=400)


def persona_page(request: Request, ask: IssuerRequest) -> Response:
    """The page; browsers hold redirects after a form to `form-action` as well, so the client's origin is in it."""
    language = page_language(request, LANGUAGE_PARAMETER)
    target = urlsplit(ask.form["redirect_uri"])
    csp = policy(style_src=["'self'"], form_action=["'self'", f"{target.scheme}://{target.netloc}"])
    hint = ask.form.get("persona") or ask.form.get("login_hint")
    client: Client = ask.client
    values = {
        "client": client.client_id,
        "query": f"?{request.url.query}",
        "switch": switch_address(request, language, LANGUAGE_PARAMETER),
    }
    markup = {"personas": "\n".join(persona_button(persona, language, hint) for persona in PERSONAS)}
    return page(render("personas", language, values, markup), language, csp)


def persona_button(persona: Persona, language: Language, hint: str | None) -> str:
    chinese = language == "zh"
    name, other = (persona.name_zh, persona.name_en) if chinese else (persona.name_en, persona.name_zh)
    description = persona.description_zh if chinese else persona.description_en
    chosen = " autofocus data-chosen" if persona.key == hint else ""
    roles = ", ".join(sorted(persona.roles))
    return (
        f'<li><button class="persona" name="persona" value="{html.escape(persona.key)}"{chosen}>'
        f'<strong>{html.escape(name)} <span class="other">{html.escape(other)}</span></strong>'
        f"<span>{html.escape(description)}</span><code>{html.escape(roles)}</code></button></li>"
    )
