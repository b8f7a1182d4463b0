"""Posting to webhooks, and only to addresses of the public network unless the operator allows more."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from resit.ports import PostFailed

SECONDS = 10.0
"""For everything together: the name, the connection, the answer."""


class HttpNotifier:
    """See ``resit.ports.Notifier``.

    A host's name is looked up once, and the connection goes to the very address that was checked, so that a name whose
    address changes in between leads nowhere else. Redirects are not followed, answers are not read.
    """

    def __init__(self, *, allow_private: bool = False, trust: ssl.SSLContext | bool = True) -> None:
        self._allow_private = allow_private
        # No connection is kept: it was made for one host's name, and another host may share the address.
        limits = httpx.Limits(max_keepalive_connections=0)
        # trust_env off: a proxy would look the name up by itself.
        self._client = httpx.AsyncClient(
            timeout=SECONDS, trust_env=False, follow_redirects=False, limits=limits, verify=trust
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post and tell the status. Raises :class:`PostFailed`."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._post(url, body, headers)
        except TimeoutError:
            raise PostFailed(f"no answer within {SECONDS:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise PostFailed(f"it can't be reached ({type(error).__name__})") from error

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = await self._address(host, port)
        target = httpx.URL(url).copy_with(host=address)
        named = f"[{host}]" if ":" in host else host
        own = {"host": named if parts.port is None else f"{named}:{port}", **headers}
        request = self._client.build_request(
            "POST", target, content=body, headers=own, extensions={"sni_hostname": host}
        )
        answer = await self._client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code

    async def _address(self, host: str, port: int) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise PostFailed("its host has no address")
        if not self._allow_private and not all(public(address) for address in addresses):
            raise PostFailed(
                "its host is not in the public network: resit serve --allow-private-webhooks allows such addresses"
            )
        return addresses[0]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def public(address: str) -> bool:
    """True for an address of the public network: not loopback, private, link-local, multicast or reserved.

    An IPv6 address that stands for an IPv4 address is what that is.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved
