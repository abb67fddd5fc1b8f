"""REST over aiohttp: one session, every timeout and bound said, nothing taken from the environment."""

import os
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from reactor import __version__
from reactor.errors import ConfigError, RestFailed, RestNotSent
from reactor.limits import REST_BODY_BYTES_MAX
from reactor.shell.rest_seam import RestReply

CONNECT_TIMEOUT_S: Final = 3.0
"""TCP and TLS. The exchange's nearest edge answers within a tenth of a second from anywhere."""

CONNECTIONS_MAX: Final = 16
"""More requests at once wait; nine positions never need more than a handful."""

IDLE_CONNECTION_S: Final = 75.0
"""How long an idle connection is kept: longer than the 60 s between two reconciliations, so that these
and an exit that has to go over REST find one open."""

CHUNK_BYTES: Final = 65_536


class AiohttpRest:
    """A `RestTransport` on one aiohttp session.

    The session is made with the first request, on the running loop.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        body_bytes_max: int = REST_BODY_BYTES_MAX,
    ) -> None:
        """Says how to connect.

        Args:
            proxy: `http://host:port`; None connects directly, whatever the environment says.
            tls: for `https`; None takes the system's trusted roots.
            body_bytes_max: a longer body, decompressed, fails the request.

        Raises:
            ConfigError: a proxy that is no http URL.
        """
        if proxy is not None and urlsplit(proxy).scheme not in {"http", "https"}:
            raise ConfigError(
                f'REST goes through http proxies only; give "http://HOST:PORT" instead of "{proxy}"'
            )
        self._proxy = proxy
        self._tls = tls
        self._body_bytes_max = body_bytes_max
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> RestReply:
        """Sends one request, its parameters in the URL, percent-encoded already.

        Redirects are not followed: a signed request belongs to one host.

        Raises:
            RestFailed: no whole answer came within `timeout_s`. RestNotSent: no connection came about.
        """
        where = f"{method} {_without_query(url)}"
        timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s)
        )
        try:
            async with self._open_session().request(
                method,
                # Encoded already: what is signed must be what is sent.
                URL(url, encoded=True),
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
            ) as answer:
                body = await self._body(answer, where)
                names = {name.lower(): value for name, value in answer.headers.items()}
                return RestReply(answer.status, names, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise RestNotSent(f"{where}: cannot connect: {_cause(error)}") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RestFailed(f"{where}: {_cause(error)}") from None

    async def close(self) -> None:
        """Ends the session and its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                keepalive_timeout=IDLE_CONNECTION_S,
                ssl=True if self._tls is None else self._tls,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"exit-reactor/{__version__}"},
                trust_env=False,
            )
            # aiohttp sends a GET, PUT or DELETE again, by itself, when a kept connection broke. There is no
            # option against it, and whether a request is repeated is decided by who sends it.
            self._session._retry_connection = False  # noqa: SLF001 - see above
        return self._session

    async def _body(self, answer: aiohttp.ClientResponse, where: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in answer.content.iter_chunked(CHUNK_BYTES):
            size += len(part)
            if size > self._body_bytes_max:
                answer.close()
                raise RestFailed(f"{where}: the answer is longer than {self._body_bytes_max} bytes")
            parts.append(part)
        return b"".join(parts)


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or '?'}{parts.path}"


def _cause(error: BaseException) -> str:
    """Why, without the library's own text: that may quote the URL with its signature."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known (DNS)"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not trusted"
    inner = getattr(error, "os_error", error)
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno)
    return type(error).__name__
