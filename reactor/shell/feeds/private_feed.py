"""What happens to the account: the user-data socket and the listen key that it lives by.

A dead key leaves the socket open and silent, and a quiet account is silent as well: so the key is watched
(renewed, compared, its expiry heard), the socket by its pings, and after everything that may have cost events
the owner is asked to reconcile. Sources: binance.md §3, §8.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import orjson

from reactor.audit import Audit
from reactor.binance.urls import Environment, private_url
from reactor.clock import Clock
from reactor.config import StreamsConfig
from reactor.errors import Unreachable
from reactor.shell.feeds.backoff import HEALTHY_AFTER_S, Backoff
from reactor.shell.feeds.connection import Connection
from reactor.shell.feeds.listen_key import KEY_REFUSED, VALID_S, AsksRest, ListenKey
from reactor.shell.feeds.supervisor import Supervisor, http_status
from reactor.shell.inbox import Inbox
from reactor.shell.transport.seam import SocketOptions, Transport

PRIVATE_SOCKET: Final = SocketOptions(ping_interval_s=5.0, ping_timeout_s=5.0)
"""It may rightly be silent for hours, so only pings tell a dead one, and fills hang on it."""
KEEPALIVE_S: Final = 1800.0
REPEAT_S: Final = 10.0
"""Between a keepalive that failed and its one repetition."""
AGAIN_S: Final = 60.0
"""Between a keepalive given up and the next."""
DEAD_IN_A_ROW_MAX: Final = 3
"""Sockets that ended young without a word before the other form of the URL is tried."""
OWN_EXPIRY_SHARE: Final = 0.98
"""A key that dies before this share of its life did not die of age: somebody deleted it."""
AGAIN_WITHIN_S: Final = 7200.0
"""Two keys deleted within this are no slip: another program lives on the same account."""
_EXPIRED: Final = b"listenKeyExpired"
_NS: Final = 1_000_000_000


class PrivateConnection(Connection):
    """A user-data socket, and the key that it was opened with."""

    def __init__(
        self,
        *,
        opened_ns: int,
        key: str,
        give: Callable[[bytes], None],
        on_expiry: Callable[["PrivateConnection", bytes], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        super().__init__(opened_ns=opened_ns, on_fault=on_fault)
        self.key = key
        self._give = give
        self._on_expiry = on_expiry

    def on_message(self, message: bytes) -> None:
        """Passes everything on, and looks for the one event that concerns the socket itself."""
        self.delivered += 1
        self._give(message)
        if _EXPIRED in message:
            self._on_expiry(self, message)


class PrivateFeed(Supervisor[PrivateConnection]):
    """The account's events.

    Args:
        transport: makes the sockets.
        environment: where.
        rest: asks for listen keys.
        inbox: takes every message and every change of the link.
        audit, clock: who is told, and when it is.
        config: `[streams]`: the form of the URL to begin with, the proxy, the age for rotation.
        chance: jitter.
        add_secret: told every listen key before it is used.
        on_gap: told why events may have been missed: after every start, reconnect, rotation and change of key.
        options: how a socket behaves.
        key_valid_s: how long a key lives after its renewal.
        keepalive_s: how often it is renewed.
    """

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        rest: AsksRest,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        config: StreamsConfig,
        chance: random.Random,
        *,
        add_secret: Callable[[bytes], None],
        on_gap: Callable[[str], None],
        options: SocketOptions = PRIVATE_SOCKET,
        key_valid_s: float = VALID_S,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        super().__init__(
            name="private",
            transport=transport,
            options=msgspec.structs.replace(options, proxy=config.proxy or options.proxy),
            inbox=inbox,
            audit=audit,
            clock=clock,
            chance=chance,
            rotate_s=config.rotate_hours * 3600,
        )
        self.form: Literal["query", "path"] = config.private_form
        self._environment = environment
        self._key = ListenKey(rest, clock, add_secret)
        self._on_gap = on_gap
        self._key_valid_s = key_valid_s
        self._keepalive_s = keepalive_s
        self._key_backoff = Backoff(chance, first_s=1.0, ceiling_s=60.0, healthy_after_s=600.0)
        self._key_delay_s = 0.0
        self._is_form_proven = False
        self._dead_in_a_row = 0
        self._deletions = 0
        self._deleted_ns = 0

    async def run(self) -> None:
        """Keeps socket and key alive until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run(), name="feed private")
            tasks.create_task(self._keep_alive(), name="listen key keepalive")

    def replace(self, reason: str) -> bool:
        """Asks for another socket (see `Supervisor.replace`): one that never said a word, by the other form."""
        is_coming = super().replace(reason)
        live = self.live
        if is_coming and live is not None and not live.delivered and not self._is_form_proven:
            self._switch_form(reason)
        return is_coming

    # The socket ---------------------------------------------------------------------------------

    async def _address(self) -> str:
        delay_s, self._key_delay_s = self._key_delay_s, 0.0
        await asyncio.sleep(delay_s)
        try:
            # Asked for every time: the handshake succeeds with a dead key too.
            await self._key.obtain()
        except Unreachable:
            if not self._key.is_usable:
                raise
        return private_url(self._environment, self._key.value, form=self.form)

    def _make(self) -> PrivateConnection:
        return PrivateConnection(
            opened_ns=self._clock.now_ns(),
            key=self._key.value,
            give=self._inbox.private,
            on_expiry=self._on_expiry,
            on_fault=self._fault,
        )

    async def _tend(self, connection: PrivateConnection) -> None:
        connection.ready()

    def _on_live(self, cause: str) -> None:
        self._on_gap(cause)

    # The form of its URL ------------------------------------------------------------------------

    def _on_failed(self, error: Exception) -> None:
        if self._key.refused_code in KEY_REFUSED:
            self._alarm("api_key_refused", f"no account events: {self._shown(str(error))}")
        if http_status(error) in {400, 404, 405, 410}:
            self._switch_form(str(error))

    def _on_over(self, connection: PrivateConnection, reason: str) -> None:
        if connection.delivered:
            self._is_form_proven = True
            self._dead_in_a_row = 0
            return
        is_young = self._age_s(connection) < HEALTHY_AFTER_S
        if connection.socket is not None and is_young and connection.key == self._key.value:
            self._dead_in_a_row += 1
        if self._dead_in_a_row >= DEAD_IN_A_ROW_MAX and not self._is_form_proven:
            self._switch_form(f"{self._dead_in_a_row} sockets in a row said nothing: {reason}")

    def _switch_form(self, why: str) -> None:
        self._dead_in_a_row = 0
        self.form = "path" if self.form == "query" else "query"
        self.publish_link("form", self._shown(f"{self.form} from now on: {why}"))

    # The key ------------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        while True:
            left_s = self._keepalive_s - (self._key.age_s if self._key.value else 0.0)
            if left_s > 0:
                await asyncio.sleep(left_s)
            else:
                await self._renew()

    async def _renew(self) -> None:
        key = self._key.value
        try:
            outcome = await self._key.renew()
        except Unreachable:
            await asyncio.sleep(REPEAT_S)
            if self._key.value != key:
                return
            try:
                outcome = await self._key.renew()
            except Unreachable as error:
                await self._recreate(f"keepalive failed twice: {error}")
                return
        if outcome == "gone":
            self._key_died(key, "keepalive found no such key")
        elif outcome == "changed":
            super().replace("the listen key changed")

    async def _recreate(self, why: str) -> None:
        """Begins with a key that was asked for; while there is none, the present socket is the best there is."""
        try:
            await self._key.obtain()
        except Unreachable:
            await asyncio.sleep(AGAIN_S)
        else:
            super().replace(why)

    def _on_expiry(self, connection: PrivateConnection, message: bytes) -> None:
        """Takes a message that holds the word; a client id may hold it as well."""
        try:
            content: Any = orjson.loads(message)
        except orjson.JSONDecodeError:
            return
        event = content.get("data", content) if isinstance(content, dict) else None
        if not isinstance(event, dict) or event.get("e") != _EXPIRED.decode():
            return
        self._key_died(str(event.get("listenKey") or connection.key), "the listen key expired")

    def _key_died(self, key: str, why: str) -> None:
        """A key is of no use any more, told once or many times: its sockets are deaf."""
        for connection in self._open:
            if connection.key == key:
                connection.finish(why)
        if key != self._key.value:
            return
        age_s = self._key.age_s
        self._key.forget()
        self._key_backoff.ended(age_s)
        self._key_delay_s = self._key_backoff.next_s()
        if age_s >= self._key_valid_s * OWN_EXPIRY_SHARE:
            return
        now_ns = self._clock.now_ns()
        is_again = self._deletions > 0 and now_ns - self._deleted_ns < AGAIN_WITHIN_S * _NS
        self._deletions = self._deletions + 1 if is_again else 1
        self._deleted_ns = now_ns
        told = f"the listen key ended {age_s:.0f} s after it was renewed: {why}"
        if self._deletions == 1:
            self._alarm("listen_key_deleted", f"{told}; another program may have deleted it")
        else:
            self._alarm(
                "second_instance",
                f"{told}, the {self._deletions}. time: another program uses this account's key",
            )
