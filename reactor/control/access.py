"""Who may ask what: pure rules on a request's headers.

Three dangers on a loopback port. A web page in the operator's browser that posts to it (CSRF): refused by its
Origin, and by the content type that no form can send. A domain that is made to point at 127.0.0.1 (DNS
rebinding): refused by its Host. Another user of the machine: kept out by the token, or by a Unix socket's mode.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Asked by orchestrators that send no header. Without the token they say yes or no, and nothing more."""

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Refused(msgspec.Struct, frozen=True):
    """Why a request is not answered."""

    status: int
    text: str


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one server.

    Attributes:
        token: what steering needs, where there is one.
        by_socket: a Unix socket: no browser gets there.
        any_host: reachable from elsewhere; the token guards it, so the Host header need not.
    """

    token: str | None
    by_socket: bool = False
    any_host: bool = False

    def has_token(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a request shows the token, or none is needed.

        A browser cannot send a bearer token with a page: for reading, it may be the password of a Basic login.
        """
        if self.token is None:
            return True
        scheme, _, value = headers.get("Authorization", "").partition(" ")
        shown = value.strip()
        if scheme.lower() == "basic" and method in {"GET", "HEAD"}:
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.encode(), self.token.encode())

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refused | None:
        """Why a request is refused; None if it is not."""
        host = headers.get("Host", "")
        if not self.by_socket and not self._is_known_host(host):
            return Refused(403, "unknown Host: ask by 127.0.0.1 or localhost")
        origin = headers.get("Origin")
        if origin is not None and urlsplit_host(origin) != host.lower():
            return Refused(403, "requests from other sites are refused")
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return Refused(403, "requests from other sites are refused")
        if path not in OPEN_PATHS and not self.has_token(method, headers):
            return Refused(401, "a token is needed: send Authorization: Bearer TOKEN")
        if method == "POST" and not is_json(headers.get("Content-Type", "")):
            return Refused(415, "send JSON: Content-Type: application/json")
        return None

    def _is_known_host(self, host: str) -> bool:
        name = host_name(host)
        if name in LOCAL_NAMES:
            return True
        if not self.any_host:
            return is_address(name) and ip_address(name).is_loopback
        return bool(name)


def host_name(host: str) -> str:
    """A Host header without its port, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def urlsplit_host(origin: str) -> str:
    """An Origin's host and port."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to a host."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def is_json(content_type: str) -> bool:
    """Whether a body says that it is JSON."""
    return content_type.partition(";")[0].strip().lower() == "application/json"
