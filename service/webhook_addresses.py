"""Where a webhook may go: to https and public addresses, of which the one that was looked at is the one called.

Whoever could name an address inside of the bank's network would have us knock at it (server-side request forgery).
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from core.errors import BadUserInput
from service.message_outlets import NotTaken, Outlets

LONGEST_URL = 2_000
# Addresses that carry one of the other family inside, by which a private one can be reached.
TRANSLATED = [ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")]

Address = IPv4Address | IPv6Address


class WebhookUrlInvalid(BadUserInput):
    code = "WEBHOOK_URL_INVALID"
    en = "A webhook goes to https and a public address."
    zh = "Webhook 地址须为 https 公网地址。"


def checked_url(text: str, outlets: Outlets) -> str:
    """The URL, if its form allows it to be called; raises WebhookUrlInvalid. Its address is asked for at each call."""
    parts = parts_of(text)
    if parts is None or parts.username is not None or parts.password is not None or parts.fragment:
        raise WebhookUrlInvalid(path=("url",), detail="https://host/path without user or fragment")
    host = parts.hostname or ""
    address = address_in(host)
    is_loopback = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback and outlets.allows_loopback):
        raise WebhookUrlInvalid(path=("url",), detail="https")
    if address is not None and not may_call(address, outlets):
        raise WebhookUrlInvalid(path=("url",), detail="not a public address")
    return text


def parts_of(text: str) -> SplitResult | None:
    if len(text) > LONGEST_URL or not text.isascii() or any(one.isspace() or ord(one) < 32 for one in text):
        return None
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if has_place else None


def address_in(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def may_call(address: Address, outlets: Outlets) -> bool:
    """Whether this address is called by us."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return may_call(address.ipv4_mapped, outlets)
    if address.is_loopback:
        return outlets.allows_loopback or outlets.allows_private
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if isinstance(address, IPv6Address) and any(address in network for network in TRANSLATED):
        return False
    return address.is_global or (outlets.allows_private and address.is_private)


async def address_to_call(host: str, port: int, outlets: Outlets) -> str:
    """The address behind a name, all of which may be called; raises NotTaken.

    The caller connects to this address and asks for no name again: it could mean another one by then.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotTaken("HOST_UNKNOWN") from error
    addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(may_call(address, outlets) for address in addresses):
        raise NotTaken("ADDRESS_REFUSED")
    return str(addresses[0])
