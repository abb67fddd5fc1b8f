"""Where a socket goes, and what may be said about it: a host and a cause, never a path or a query."""

import asyncio
import os
import re
import socket
import ssl
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from reactor.binance.redaction import line, redact
from reactor.errors import ConnectFailed
from reactor.shell.transport.seam import TEXT_SHOWN_CHARS_MAX

_PORTS: Final = {"ws": 80, "wss": 443}
_PROXY_SCHEMES: Final = frozenset({"http", "socks5"})
_TARGET: Final = re.compile(r"[!-~]*\Z")


class Address(msgspec.Struct, frozen=True):
    """A WebSocket URL, taken apart.

    Attributes:
        host: name or IP address, in lower case and without brackets.
        port: always set.
        is_tls: `wss://`.
        url: the whole, for the library only. It may hold a listen key: never shown.
    """

    host: str
    port: int
    is_tls: bool
    url: str

    @property
    def shown(self) -> str:
        """What a message may say."""
        return _host_port(self.host, self.port)


def read_address(url: str) -> Address:
    """Takes a `ws://` or `wss://` URL apart.

    Raises:
        ConnectFailed: it is none.
    """
    split = _split(url)
    if (
        split is None
        or split.scheme not in _PORTS
        or not split.hostname
        or split.fragment
        or "@" in split.netloc
        or not _TARGET.match(url)
    ):
        raise ConnectFailed("cannot connect: the address is no ws:// or wss:// URL")
    return Address(
        host=split.hostname,
        port=split.port or _PORTS[split.scheme],
        is_tls=split.scheme == "wss",
        url=url,
    )


def shown_proxy(proxy: str) -> str:
    """A proxy's scheme, host and port, without the credentials that its URL may hold.

    Raises:
        ConnectFailed: the URL is no `http://` or `socks5://` one with host and port.
    """
    split = _split(proxy)
    if split is None or split.scheme not in _PROXY_SCHEMES or not split.hostname or not split.port:
        raise ConnectFailed(
            "cannot connect: the configured proxy must be http://host:port or socks5://host:port"
        )
    return f"{split.scheme}://{_host_port(split.hostname, split.port)}"


def status_text(status: int) -> str:
    """An HTTP refusal in words: `HTTP 404 Not Found`."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def cause_of(error: BaseException) -> str:
    """Why a connection could not be made, from what a library or the system raised.

    Texts of the system are taken over, those of libraries are not: they quote URLs and headers.
    """
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return shown(f"its certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return shown(f"no TLS: {error.reason or 'the handshake failed'}")
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, asyncio.IncompleteReadError | EOFError | ConnectionResetError):
        return "the connection ended before the handshake was done"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else "the network refused"
    return f"the handshake failed ({type(error).__name__})"


def shown(text: str) -> str:
    """A text from outside as one bounded line without a key in it."""
    return line(redact(text), chars_max=TEXT_SHOWN_CHARS_MAX)


def _split(url: str) -> SplitResult | None:
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError:
        return None
    return split


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
