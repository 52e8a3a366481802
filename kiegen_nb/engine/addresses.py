"""Which addresses a result may come from: the public network, never a machine beside the user's own."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE = "the result's address leads into a private network; results do not come from there"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CONNECTED = "connection.connect_tcp.complete"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public network; one that carries an IPv4 address counts as that."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        carried = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            carried = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        if carried is not None:
            return is_public(str(carried))
        if parsed.is_site_local or parsed.teredo is not None:
            return False
    return parsed.is_global and not parsed.is_multicast


async def require_public(host: str, port: int) -> None:
    """Look a host up and refuse one that has any private address.

    Raises:
        MediaError: with `PRIVATE`, or because it is no host name at all.
        OSError: if it is not found.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except UnicodeError:
        raise MediaError("the result's address cannot be read") from None
    if not all(is_public(str(entry[4][0])) for entry in found):
        raise MediaError(PRIVATE)


async def refuse_private_peer(event: str, info: Mapping[str, Any]) -> None:
    """Close a connection whose other end is private, before anything is sent; a ``trace`` hook of httpx.

    A name may lead elsewhere at the second look-up than at the first, which `require_public` did.

    Raises:
        MediaError: with `PRIVATE`.
    """
    if event != _CONNECTED:
        return
    stream = info["return_value"]
    if not is_public(stream.get_extra_info("server_addr")[0]):
        await stream.aclose()
        raise MediaError(PRIVATE)
