"""The ways to a person: a command that is run, a web address that is posted to. Neither may harm the process.

A channel answers with what went wrong, in a phrase without addresses that may hold tokens, or with nothing.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from reactor.config import AlarmConfig
from reactor.errors import ConfigError

KEPT_FROM_COMMANDS: Final = ("BINANCE_", "REACTOR_HTTP_TOKEN")
"""What a command that tells people has no use for."""

ATTEMPTS_MAX: Final = 3
RETRY_AFTER_S: Final = 2.0
END_WITHIN_S: Final = 1.0
STATUS_OK: Final = range(200, 300)
STATUS_FINAL: Final = frozenset(range(300, 500)) - {408, 425, 429}
"""Answers that a repetition would not change."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it is told, on standard input and in a webhook's body."""

    text: str
    kind: str
    symbol: str
    key: str
    resolved: bool
    repeated: int
    dropped: int
    t_ms: int
    instance: str
    environment: str
    mode: str


class Channel(Protocol):
    """A way to a person."""

    @property
    def name(self) -> str:
        """What it is counted as."""
        ...

    async def deliver(self, told: Told) -> str:
        """Delivers; answers with what went wrong, or with nothing. Takes a bounded time, never raises."""
        ...

    async def close(self) -> None:
        """Ends what is open."""
        ...


def alarm_channels(
    config: AlarmConfig, *, environ: Mapping[str, str], proxy: str | None = None
) -> list[Channel]:
    """The ways that a configuration names; there may be none.

    Raises:
        ConfigError: an address is none; the message shows no more of it than its host.
    """
    channels: list[Channel] = []
    if config.command:
        channels.append(CommandChannel(config.command, environ=environ))
    if config.webhook is not None:
        require_web_address(config.webhook, key="alarms.webhook")
        channels.append(WebhookChannel(config.webhook, proxy=proxy))
    if config.heartbeat_url is not None:
        require_web_address(config.heartbeat_url, key="alarms.heartbeat_url")
    return channels


def require_web_address(url: str, *, key: str) -> None:
    """Refuses what is no address of the web.

    Raises:
        ConfigError: no http or https, or no host.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{key} must be like https://host/path, not {shown_url(url)}")


class CommandChannel:
    """Runs a command per message: JSON on its standard input, and `REACTOR_ALARM_…` in its environment.

    Args:
        command: program and arguments; no shell is involved.
        environ: what it inherits; keys are left out.
        timeout_s: after which it is ended, with all that it started.
    """

    name: Final = "command"

    def __init__(
        self, command: Sequence[str], *, environ: Mapping[str, str], timeout_s: float = 10.0
    ) -> None:
        self._command = list(command)
        self._environ = {
            name: value
            for name, value in environ.items()
            if not name.startswith(KEPT_FROM_COMMANDS)
        }
        self._timeout_s = timeout_s

    async def deliver(self, told: Told) -> str:
        """Runs the command."""
        environ = {
            **self._environ,
            "REACTOR_ALARM_TEXT": told.text.replace("\0", "?"),
            "REACTOR_ALARM_KIND": told.kind,
            "REACTOR_ALARM_SYMBOL": told.symbol,
            "REACTOR_ALARM_RESOLVED": "1" if told.resolved else "0",
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environ,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return f"the command cannot be started: {reason}"
        try:
            async with asyncio.timeout(self._timeout_s):
                await process.communicate(msgspec.json.encode(told) + b"\n")
        except TimeoutError:
            return f"the command took longer than {self._timeout_s:g} s"
        except OSError:
            # It does not read its input. Its exit code is what counts.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await process.wait()
        finally:
            await _end(process)
        code = process.returncode
        return "" if code == 0 else f"the command ended with {code}"

    async def close(self) -> None:
        """Nothing is open between two messages."""


class WebhookChannel:
    """Posts a message as JSON.

    Args:
        url: where to; it may hold a token, so only its host is ever shown.
        timeout_s: of one attempt; there are at most `ATTEMPTS_MAX`.
        retry_after_s: the wait between two, doubled each time.
        proxy: an HTTP proxy's address.
    """

    name: Final = "webhook"

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        retry_after_s: float = RETRY_AFTER_S,
        proxy: str | None = None,
    ) -> None:
        self._url = url
        self._retry_after_s = retry_after_s
        self._web = Web(timeout_s=timeout_s, proxy=proxy)

    async def deliver(self, told: Told) -> str:
        """Posts; what a repetition may mend is repeated."""
        body = msgspec.json.encode(told)
        failure = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(self._retry_after_s * 2 ** (attempt - 1))
            status, failure = await self._web.request("POST", self._url, body=body)
            if not failure or status in STATUS_FINAL:
                break
        return failure

    async def close(self) -> None:
        """Ends the session."""
        await self._web.close()


class Web:
    """One HTTP session, opened when it is first needed. Failures are phrases without paths or queries."""

    def __init__(self, *, timeout_s: float, proxy: str | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, *, body: bytes = b"") -> tuple[int, str]:
        """Sends a request. Answers with the status (0 for none) and what went wrong, or nothing."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,
            ) as reply:
                status = reply.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return 0, f"{shown_url(url)}: {type(error).__name__}"
        return status, "" if status in STATUS_OK else f"{shown_url(url)}: HTTP {status}"

    async def close(self) -> None:
        """Ends the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def shown_url(url: str) -> str:
    """An address as it may be shown: scheme and host. Paths, queries and user names hold tokens."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or '?'}{port}/…"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a command and what it started, if it still runs."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_WITHIN_S):
            await process.wait()
