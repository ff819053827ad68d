"""The pages of Kinship, through HTTP; what their scripts do is the browser's."""

import re
from collections.abc import AsyncGenerator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from api import signin
from api.issuer.personas import PERSONA_BY_KEY, SERVICE_CLIENT_ID, SERVICE_CLIENT_SECRET
from api.pages import STATIC, TEMPLATES, texts
from core.settings import Settings

pytestmark = pytest.mark.anyio

PAGES = ["/sign-in", "/sign-in/callback", "/graphiql"]
ISSUER = "https://login.bank.example/realms/main"


def settings_of(folder: Path, **more: Any) -> Settings:
    values = {"environment": "test", "data_dir": folder, **more}
    return Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue] - pydantic-settings takes it


def client_of(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Starlette(routes=signin.routes(settings)))
    return httpx.AsyncClient(transport=transport, base_url="http://kinship.test")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with client_of(settings_of(tmp_path)) as client:
        yield client


class Reader(HTMLParser):
    """Collects the elements of a page; `seen` has each tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.seen if tag in tags]


def sources(policy: str, directive: str) -> list[str]:
    """What one directive of a Content-Security-Policy allows."""
    found = {part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()}
    return found.get(directive, [])


@pytest.mark.parametrize("path", PAGES)
async def test_pages_run_no_script_but_our_own(http: httpx.AsyncClient, path: str) -> None:
    """Given a page, when its policy and its markup are read, then only files of ours can run."""
    answer = await http.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert sources(policy, "default-src") == ["'none'"]
    assert sources(policy, "script-src") == ["'self'"]
    assert sources(policy, "style-src") == ["'self'"]
    assert sources(policy, "connect-src") == ["'self'"]
    assert sources(policy, "frame-ancestors") == ["'none'"]
    assert sources(policy, "base-uri") == ["'none'"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.findall(r"<script(?![^>]*\bsrc=)", answer.text)
    reader = Reader(answer.text)
    assert not [
        name for _, attributes in reader.seen for name in attributes if name.startswith("on") or name == "style"
    ]
    assert not reader.all("style")


@pytest.mark.parametrize("path", PAGES)
async def test_everything_a_page_loads_is_there(http: httpx.AsyncClient, path: str) -> None:
    """Given a page, when its scripts, what they import and its styles are fetched, then each is there, from us."""
    reader = Reader((await http.get(path)).text)
    wanted = [str(found["src"]) for found in reader.all("script")]
    wanted += [str(found["href"]) for found in reader.all("link")]
    seen: set[str] = set()
    while wanted:
        address = wanted.pop()
        assert address.startswith("/static/")
        answer = await http.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css")
        imported = {f"/static/{name}" for name in re.findall(r'from "\./([\w.-]+)"', answer.text)}
        wanted += list(imported - seen)
        seen |= imported


@pytest.mark.parametrize("path", PAGES)
async def test_scripts_find_the_elements_they_name(http: httpx.AsyncClient, path: str) -> None:
    """Given a page and its own script, when the script names an element, then the page has it."""
    text = (await http.get(path)).text
    ids = [found["id"] for _, found in Reader(text).seen if "id" in found]
    assert len(ids) == len(set(ids))
    scripts = re.findall(r'src="/static/([\w-]+\.js)"', text)
    scripts += ["schema.js"] if "explorer.js" in scripts else []
    for script in scripts:
        named = re.findall(r'\belement\("([\w-]+)"\)', (STATIC / script).read_text())
        assert set(named) <= set(ids), script


@pytest.mark.parametrize("path", PAGES)
async def test_pages_speak_the_browser_s_language(http: httpx.AsyncClient, path: str) -> None:
    """Given a preferred language, when a page is shown, then it is in it; a switch is remembered."""
    english = await http.get(path, headers={"Accept-Language": "en-GB,en;q=0.9"})
    chinese = await http.get(path, headers={"Accept-Language": "zh-CN"})
    assert '<html lang="en">' in english.text
    assert '<html lang="zh-CN">' in chinese.text
    assert chinese.text != english.text
    assert (await http.get(path + "?lang=en", headers={"Accept-Language": "zh"})).text.count('<html lang="en">') == 1
    assert '<html lang="en">' in (await http.get(path, headers={"Accept-Language": "zh"})).text
    assert '<html lang="zh-CN">' in (await http.get(path + "?lang=zh")).text


async def test_the_language_switch_keeps_the_referral(http: httpx.AsyncClient) -> None:
    """Given a visitor from a link, when the language is switched, then code and click are still in the address."""
    reader = Reader((await http.get("/sign-in?code=ABCD&click=0190&lang=zh")).text)
    (switch,) = [found["href"] for found in reader.all("a") if "hreflang" in found]
    assert switch == "?code=ABCD&click=0190&lang=en"


async def test_the_query_cannot_write_into_the_page(http: httpx.AsyncClient) -> None:
    """Given hostile values in the query, when a page is shown, then none of them becomes markup."""
    hostile = '"><script>alert(1)</script>'
    for path in PAGES:
        answer = await http.get(path, params={"code": hostile, "click": hostile, hostile: "1", "lang": hostile})
        assert answer.status_code == 200
        assert "alert(1)</script>" not in answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_every_control_has_a_name(http: httpx.AsyncClient, path: str) -> None:
    """Given a page, when its inputs are read, then each has a label of its own or stands in one."""
    text = (await http.get(path)).text
    reader = Reader(text)
    labelled = {found.get("for") for found in reader.all("label")}
    for found in reader.all("input", "textarea", "select"):
        inside = re.search(rf'<label[^>]*>(?:(?!</label>).)*id="{found["id"]}"', text, re.DOTALL)
        assert found["id"] in labelled or inside, found
    assert len(reader.all("h1")) >= 1
    assert len(reader.all("main")) == 1


async def test_the_explorer_offers_the_personas_of_the_embedded_issuer(http: httpx.AsyncClient) -> None:
    """Given the embedded issuer, when the explorer is shown, then every persona can be chosen."""
    text = (await http.get("/graphiql")).text
    assert all(f'<option value="{key}">' in text for key in [*PERSONA_BY_KEY, SERVICE_CLIENT_ID])


async def test_the_bank_s_issuer_may_be_reached_and_has_no_personas(tmp_path: Path) -> None:
    """Given the bank's own issuer, when a page is shown, then scripts may connect to its origin and nowhere else."""
    async with client_of(settings_of(tmp_path, oidc_issuer=ISSUER)) as http:
        answer = await http.get("/graphiql")
    allowed = sources(answer.headers["content-security-policy"], "connect-src")
    assert allowed == ["'self'", "https://login.bank.example"]
    assert f'data-issuer="{ISSUER}"' in answer.text
    assert "lin-yue" not in answer.text
    assert SERVICE_CLIENT_ID not in answer.text
    assert SERVICE_CLIENT_SECRET not in answer.text


async def test_production_has_no_explorer(tmp_path: Path) -> None:
    """Given production, when the explorer is asked for, then it is not there and no page points to it."""
    settings = settings_of(tmp_path, environment="production", oidc_issuer=ISSUER)
    async with client_of(settings) as http:
        assert (await http.get("/graphiql")).status_code == 404
        page = await http.get("/sign-in")
    assert page.status_code == 200
    assert 'data-explorer=""' in page.text


async def test_static_files_are_only_ours(http: httpx.AsyncClient) -> None:
    """Given paths that lead out of the folder, when fetched, then there is nothing."""
    for path in (
        "/static/../signin.py",
        "/static/%2e%2e/signin.py",
        "/static/..%2fsignin.py",
        "/static/",
        "/static/x.js",
    ):
        assert (await http.get(path)).status_code == 404


def test_every_text_exists_in_both_languages_and_is_used() -> None:
    """Given the texts, when the templates are read, then each text is used, and each language has its own."""
    used = {name for path in TEMPLATES.glob("*.html") for name in re.findall(r"\$\{(\w+)\}", path.read_text())}
    chinese, english = texts("zh"), texts("en")
    assert set(chinese) <= used
    assert all(chinese.values())
    assert all(english.values())
    script = (STATIC / "texts.js").read_text()
    assert len(re.findall(r"\bzh:", script)) == len(re.findall(r"\ben:", script))
    calls = "".join(path.read_text() for path in STATIC.glob("*.js"))
    assert set(re.findall(r'\btext\("(\w+)"', calls)) <= set(re.findall(r"^  (\w+): \{", script, re.MULTILINE))
