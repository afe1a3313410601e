"""Where calls may go [I/O]: a name is resolved once, its addresses are judged, and only those are connected to.

Refused is everything that is not a public address: loopback, private networks, link-local with the clouds' metadata
service, and what hides one of them (IPv4 in IPv6, NAT64). A host that the routes allow by name may be anywhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.errors import TouchlineError

#: Prefixes under which an IPv4 address stands in an IPv6 one: NAT64, its local form, 6to4.
_HIDING = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(TouchlineError):
    """A call would go where it must not; the text says why and how to allow it."""


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address.is_site_local or address.teredo is not None or any(address in hiding for hiding in _HIDING):
            return False
    return address.is_global and not address.is_multicast


def judged(host: str, addresses: Sequence[str], allowed: Collection[str]) -> Sequence[str]:
    """The addresses when all of them may be called; raises Refused. One bad address among good ones is a trap."""
    if host.lower().rstrip(".").strip("[]") in allowed:
        return addresses
    bad = [address for address in addresses if not is_public(address)]
    if bad or not addresses:
        shown = bad[0] if bad else "no address"
        raise Refused(f"{host} is {shown}, which is not public: name the host in allowed_hosts if this is wanted")
    return addresses


async def lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system finds them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Guard(AbstractResolver):
    """A resolver for aiohttp that hands out judged addresses only: the connection goes to exactly these."""

    def __init__(self, allowed: Collection[str], resolve: Resolve = lookup) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The judged addresses of a host. Raises Refused, OSError."""
        return judged(host, await self._resolve(host, port), self._allowed)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> list[ResolveResult]:
        """What aiohttp asks; raises Refused through it."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""
