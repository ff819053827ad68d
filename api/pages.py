"""HTML pages: templates with texts in both languages, under a policy that allows no inline script."""

import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any, Literal
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.language import language_of

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

Language = Literal["zh", "en"]
LANGUAGE_COOKIE = "kinship-language"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Addresses of these pages carry codes; no other site learns them.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def policy(**sources: Sequence[str]) -> str:
    """A Content-Security-Policy that allows nothing but these sources, named as in `script_src=["'self'"]`."""
    allowed = {"default_src": ["'none'"], "base_uri": ["'none'"], "form_action": ["'none'"], **sources}
    allowed["frame_ancestors"] = ["'none'"]
    return "; ".join(f"{name.replace('_', '-')} {' '.join(values)}" for name, values in allowed.items())


def page_language(request: Request, parameter: str = "lang") -> Language:
    """What the visitor switched to, now (by the query) or before (by a cookie); else what the browser prefers."""
    for chosen in (*request.query_params.get(parameter, "").split(), request.cookies.get(LANGUAGE_COOKIE)):
        if chosen in ("zh", "en"):
            return chosen
    return language_of(request.headers)


def switch_address(request: Request, language: Language, parameter: str = "lang") -> str:
    """The query of the same page in the other language."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != parameter]
    return "?" + urlencode([*kept, (parameter, "en" if language == "zh" else "zh")])


def render(name: str, language: Language, values: Mapping[str, str], markup: Mapping[str, str] | None = None) -> str:
    """Fill a template; values are escaped, markup is not."""
    filled = {key: html.escape(text) for key, text in {**texts(language), **values}.items()}
    return template(name).substitute({**filled, **(markup or {})})


def page(body: str, language: Language, csp: str, status: int = 200, *, remember: bool = False) -> Response:
    """The answer with a page; `remember` keeps the language for the next one."""
    headers = {**SECURITY_HEADERS, "Content-Security-Policy": csp, "Cache-Control": "no-store"}
    headers |= {"Content-Language": language, "Vary": "Accept-Language, Cookie"}
    answer = Response(body, status_code=status, media_type="text/html", headers=headers)
    if remember:
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=31_536_000, httponly=True, samesite="lax")
    return answer


@lru_cache
def template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.html").read_text(encoding="utf-8"))


@lru_cache
def texts(language: Language) -> dict[str, str]:
    """All texts of the templates in one language."""
    found: dict[str, list[str]] = orjson.loads((TEMPLATES / "texts.json").read_bytes())
    return {key: pair[0 if language == "zh" else 1] for key, pair in found.items()}


class Assets(StaticFiles):
    """Scripts and styles; browsers ask each time whether theirs is still the newest."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update({**SECURITY_HEADERS, "Content-Security-Policy": policy(), "Cache-Control": "no-cache"})
        return answer


def assets(**options: Any) -> Assets:
    return Assets(directory=STATIC, **options)
