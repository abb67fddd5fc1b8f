"""Asks the control API: one request, over a port or a Unix socket, with one-line errors."""

import http.client
import socket
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from reactor.errors import BadInputError, ConfigError

TIMEOUT_S: Final = 15.0
"""Longer than the server lets a command take, so that it is the server who says so."""

BODY_BYTES_MAX: Final = 32 * 1024 * 1024


class Client:
    """Asks one server.

    Args:
        url: `http://HOST:PORT`; of no account where a socket is given.
        unix_socket: a Unix socket's path.
        token: shown with every request.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(self, *, url: str, unix_socket: str | None, token: str | None) -> None:
        self._socket = unix_socket
        self._token = token
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port or 80
        except ValueError:
            self._host, self._port = "", 0
        if unix_socket is None and (not self._host or parts.scheme != "http"):
            raise ConfigError(f"--url {url}: it must be like http://127.0.0.1:8080")
        self.where = unix_socket or f"http://{self._host}:{self._port}"

    def ask(
        self, method: str, path: str, content: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Sends a request; answers with status and body.

        Raises:
            ConfigError: nobody listens, or what answers is no such server.
            BadInputError: the server refuses; its own words.
        """
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None
        if content is not None:
            body = msgspec.json.encode(content)
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = connection.getresponse()
            status, answer = reply.status, reply.read(BODY_BYTES_MAX)
        except (ConnectionRefusedError, FileNotFoundError):
            raise ConfigError(
                f"nothing listens at {self.where}: is `reactor run` running? (--url or --socket say where)"
            ) from None
        except TimeoutError:
            raise ConfigError(f"{self.where} does not answer within {TIMEOUT_S:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"cannot ask {self.where}: {reason}") from None
        finally:
            connection.close()
        if status >= 400 and path not in {"/readyz", "/healthz"}:
            raise self._refusal(status, answer)
        return status, answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._socket is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        return _UnixConnection(self._socket)

    def _refusal(self, status: int, answer: bytes) -> BadInputError:
        try:
            text = str(msgspec.json.decode(answer)["error"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return ConfigError(f"what answers at {self.where} is no Exit Reactor (HTTP {status})")
        if status == 401:
            return ConfigError(
                f"{self.where} wants a token: set REACTOR_HTTP_TOKEN or give --token-file"
            )
        return BadInputError(text)


class _UnixConnection(http.client.HTTPConnection):
    """The same over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connects."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)
