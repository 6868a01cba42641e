"""Whether a request comes from this machine itself, as far as can be told."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""What proxies add. A proxy on this machine speaks for others."""


def is_loopback(client: tuple[str, int] | None, headers: Headers) -> bool:
    """False unless the peer is this machine (None: a Unix socket), speaks for itself and means this machine.

    The names in `Host` and `Origin` are looked at because a browser here can be led to this port by any page: by a
    name that points to 127.0.0.1, or by a form. A proxy that adds no header of its own cannot be told from a client.
    """
    if any(name in headers for name in FORWARDED):
        return False
    if client is None:
        return "origin" not in headers
    if not _is_here(client[0]):
        return False
    return all(_is_here(_host(value)) for value in (f"//{headers.get('host', '')}", *headers.getlist("origin")))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
