"""Signed webhooks, as Standard Webhooks writes them: an id that stays, a timestamp, and an HMAC-SHA256 over all three.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import ssl
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from core.clock import iso
from service.message_outlets import LONGEST_SECONDS, Letter, NotTaken, Outlets
from service.message_policy import MessageChannel
from service.webhook_addresses import WebhookUrlInvalid, address_to_call, checked_url
from service.webhook_endpoints import Target

# The receiver does not want any of it any more.
GONE = 410
# By which of a customer's contacts a channel reaches them.
CONTACT = {MessageChannel.SMS: "phone"}


def body_of(letter: Letter) -> bytes:
    """What is sent; the same bytes each time, because they are signed."""
    data: dict[str, Any] = {
        "id": letter.id,
        "channel": letter.channel,
        "category": letter.category,
        "customer_id": letter.customer_id,
        "language": letter.language,
        "subject": letter.subject,
        "body": letter.body,
    }
    if (contact := CONTACT.get(letter.channel)) is not None:
        data[contact] = letter.to
    return orjson.dumps({"type": "message.send", "timestamp": iso(letter.at), "data": data})


def signed_headers(id: str, body: bytes, secrets: Sequence[bytes], *, now: datetime) -> dict[str, str]:
    """The three headers; while two secrets count there are two signatures, of which the receiver needs one."""
    stamp = str(int(now.timestamp()))
    signed = b".".join((id.encode(), stamp.encode(), body))
    signatures = [base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


@lru_cache(maxsize=4)
def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates are believed: those of the bank's own authority, or those that the world believes."""
    return httpx.create_ssl_context(trust_env=False) if ca_file is None else ssl.create_default_context(cafile=ca_file)


async def send_webhook(letter: Letter, target: Target, outlets: Outlets, *, now: datetime) -> None:
    """Hand a letter to its gateway, which has it when it answers 2xx; raises NotTaken."""
    try:
        url = httpx.URL(checked_url(target.url, outlets))
    except (WebhookUrlInvalid, httpx.InvalidURL) as error:
        raise NotTaken("ADDRESS_REFUSED") from error
    body = body_of(letter)
    parts = urlsplit(target.url)
    address = await address_to_call(url.host, url.port or (443 if url.scheme == "https" else 80), outlets)
    headers = {
        "content-type": "application/json",
        "user-agent": "Kinship-Webhooks/1",
        "host": parts.netloc,
        **signed_headers(letter.id, body, target.secrets, now=now),
    }
    # The address that was looked at is called, and its certificate is held against the name.
    extensions = {"sni_hostname": url.host} if url.scheme == "https" else {}
    try:
        async with (
            httpx.AsyncClient(
                timeout=LONGEST_SECONDS,
                verify=trusting(outlets.ca_file),
                trust_env=False,
                follow_redirects=False,
            ) as client,
            client.stream(
                "POST", url.copy_with(host=address), content=body, headers=headers, extensions=extensions
            ) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException as error:
        raise NotTaken("TIMEOUT") from error
    except (httpx.HTTPError, OSError) as error:
        raise NotTaken("UNREACHABLE") from error
    if not 200 <= status < 300:
        raise NotTaken(f"HTTP_{status}", is_final=status == GONE)
