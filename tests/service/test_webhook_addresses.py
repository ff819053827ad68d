"""Where webhooks may go: https and public addresses, whatever the name is made to mean."""

import base64
import ssl
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from core.db import Database
from core.ids import new_id
from core.sealing import KeyRing
from core.settings import DEVELOPMENT_KEY, Settings, SettingsError
from service.message_outlets import Letter, NotTaken, Outlets
from service.message_policy import MessageChannel
from service.webhook_addresses import WebhookUrlInvalid, address_to_call, checked_url, may_call
from service.webhook_endpoints import (
    Target,
    WebhookChannelInvalid,
    WebhookEndpointExists,
    create_webhook_endpoint,
    rewrap_secrets,
    rotate_webhook_secret,
    target_of,
)
from service.webhooks import send_webhook, signed_headers
from tests.conftest import Addresses
from tests.service.gateways import certificate_for, gateway
from tests.worker.messages import LOCAL, NOON, put_endpoint

PRODUCTION, INSIDE = Outlets(), Outlets(allows_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.bank.example/in",
        "ftp://gateway.bank.example/in",
        "https://user:word@gateway.bank.example/",
        "https://gateway.bank.example/#part",
        "https:///in",
        "https://gateway.bank.example:0/",
        "https://gateway.bank.example:99999/",
        "https://gate way.example/",
        "https://gateway.example/\r\nHost: other",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://[64:ff9b::a00:1]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://127.0.0.1/",
        "http://localhost:8080/",
        "https://例え.jp/",
        "https://bank.example/" + "a" * 2_000,
    ],
)
def test_what_is_not_https_to_a_public_address_is_refused(url: str) -> None:
    with pytest.raises(WebhookUrlInvalid):
        checked_url(url, PRODUCTION)


def test_loopback_is_for_development_and_private_addresses_are_a_setting() -> None:
    for url in ("http://localhost:8080/in", "http://127.0.0.1:9/", "http://[::1]:9/", "https://gateway.example/in?a=1"):
        assert checked_url(url, LOCAL) == url
    for outlets in (LOCAL, PRODUCTION):
        with pytest.raises(WebhookUrlInvalid):
            checked_url("https://10.1.2.3/", outlets)
    assert checked_url("https://10.1.2.3/", INSIDE) == "https://10.1.2.3/"
    with pytest.raises(WebhookUrlInvalid):
        checked_url("http://10.1.2.3/", INSIDE)
    assert may_call(ip_address("8.8.8.8"), PRODUCTION)
    assert not may_call(ip_address("169.254.169.254"), INSIDE)


@pytest.mark.anyio
async def test_a_name_is_what_it_means_when_it_is_called() -> None:
    """Given a name that means loopback, then in production nothing is called; unknown, neither."""
    with pytest.raises(NotTaken) as refused:
        await address_to_call("localhost", 443, PRODUCTION)
    assert refused.value.failure == "ADDRESS_REFUSED"
    assert ip_address(await address_to_call("localhost", 443, LOCAL)).is_loopback
    with pytest.raises(NotTaken) as refused:
        await address_to_call("nowhere.invalid", 443, PRODUCTION)
    assert refused.value.failure == "HOST_UNKNOWN"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Given the example of the specification's reference library, then the signature is the one it gives."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = NOON.fromtimestamp(1614265330, tz=NOON.tzinfo)
    found = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [secret], now=at)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert found["webhook-timestamp"] == "1614265330"


@pytest.mark.anyio
async def test_a_channel_has_one_endpoint(database: Database) -> None:
    await put_endpoint(database, MessageChannel.SMS, "https://gateway.example/in")
    with pytest.raises(WebhookEndpointExists):
        async with database.write() as session:
            await create_webhook_endpoint(
                session, MessageChannel.SMS, f"https://{new_id()}.example/", outlets=LOCAL, actor="he", now=NOON
            )
    with pytest.raises(WebhookChannelInvalid):
        async with database.write() as session:
            await create_webhook_endpoint(
                session, MessageChannel.EMAIL, "https://gateway.example/", outlets=LOCAL, actor="he", now=NOON
            )


def test_production_hands_over_e_mail_encrypted() -> None:
    def made(**more: Any) -> Settings:
        secrets = {name: "s" * 20 for name in ("identity_hash_key", "checkin_key", "statement_key")}
        keys = "1:" + "QUFB" * 10 + "QUE="
        given: dict[str, Any] = {"personal_data_keys": keys, "oidc_issuer": "https://issuer.example", **secrets, **more}
        return Settings(_env_file=None, environment="production", **given)  # pyright: ignore[reportCallIssue]

    with pytest.raises(SettingsError, match="SMTP_STARTTLS"):
        made(smtp_host="mail.example", smtp_starttls=False).refuse_unsafe_production()
    made(smtp_host="mail.example").refuse_unsafe_production()
    made().refuse_unsafe_production()
    assert Outlets.of(made()) == Outlets()
    outlets = Outlets.of(made(smtp_host="mail.example", smtp_from="Bank <a@bank.example>"))
    assert outlets.mail is not None
    assert (outlets.mail.port, outlets.mail.starttls, outlets.allows_loopback) == (587, True, False)


@pytest.mark.anyio
async def test_the_certificate_is_held_against_the_name_and_the_address_is_the_one_looked_at(tmp_path: Path) -> None:
    """Given a gateway whose certificate is for its name, then it is called by it, and by no other name."""
    certificate = certificate_for("localhost", tmp_path)
    outlets = replace(LOCAL, ca_file=certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    letter = Letter("1", MessageChannel.WECHAT, "CARE", "c", "zh", None, "S", "B", NOON)
    async with gateway(tls=context) as there:
        good = Target(f"https://localhost:{there.port}/in", (b"k",))
        await send_webhook(letter, good, outlets, now=NOON)
        assert there.calls[0].headers["host"] == f"localhost:{there.port}"
        for target, trust in (
            (Target(f"https://127.0.0.1:{there.port}/in", (b"k",)), outlets),
            (good, LOCAL),
        ):
            with pytest.raises(NotTaken) as refused:
                await send_webhook(letter, target, trust, now=NOON)
            assert refused.value.failure == "UNREACHABLE"
        assert len(there.calls) == 1


@pytest.mark.anyio
async def test_secrets_are_wrapped_anew_and_stay_the_same(stores: Addresses) -> None:
    """Given secrets under an old key, when they are wrapped by a new one, then that one alone opens the same."""
    old = KeyRing.parse(f"1:{DEVELOPMENT_KEY}")
    new = KeyRing(2, {2: b"n" * 32, **old.keys})
    database = Database(stores.database_url, keys=old)
    try:
        endpoint, _ = await put_endpoint(database, MessageChannel.WECHAT, "https://gateway.example/in")
        async with database.write() as session:
            await rotate_webhook_secret(session, endpoint, actor="he", now=NOON)
            before = await target_of(session, MessageChannel.WECHAT, now=NOON)
        database.keys = new
        async with database.write() as session:
            assert await rewrap_secrets(session) >= 1
            assert await rewrap_secrets(session) == 0
        database.keys = KeyRing(2, {2: b"n" * 32})
        async with database.write() as session:
            assert await target_of(session, MessageChannel.WECHAT, now=NOON) == before
        # What other tests find is as it was.
        database.keys = KeyRing(1, {1: old.keys[1], 2: b"n" * 32})
        async with database.write() as session:
            await rewrap_secrets(session)
    finally:
        await database.close()
