"""How many wrong codes somebody may try: at links by their address, in claims by who they are."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import Request

from core.rate import Limit

# A code is one of 22 milliards; whoever tries so many an hour finds one of a million codes in two months.
LINK_GUESSES = Limit("link", most=60, seconds=600)
CLAIM_GUESSES = Limit("claim", most=10, seconds=3600)

# Of an IPv6 address the network, all of whose addresses are usually one client's.
HOST_BITS = 64


def address_of(request: Request) -> str:
    """For whom to count a guess at a link: the client's address, or its /64 network with IPv6.

    Behind a proxy that is the proxy's address, and all clients share a limit, unless uvicorn is told which proxy to
    trust (FORWARDED_ALLOW_IPS). Headers are not read here: whoever guesses writes them.
    """
    host = request.client.host if request.client else ""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address) >> HOST_BITS << HOST_BITS))
