"""The connection that orders leave by: open, logged on, and replaced before it ends.

Sending is synchronous, in the turn of the loop in which a tick was decided on. What an order's answer means
is the gateway's business; which answers will not come any more is known here.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson

from reactor.audit import Audit
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.config import StreamsConfig
from reactor.shell.feeds.connection import Connection
from reactor.shell.feeds.supervisor import BANNED_CEILING_S, Supervisor
from reactor.shell.inbox import Inbox
from reactor.shell.transport.seam import SocketOptions, Transport

ORDER_SOCKET: Final = SocketOptions(ping_interval_s=5.0, ping_timeout_s=5.0)
"""It is silent between orders, and the next order must not be the one that finds it dead."""
ANSWER_TIMEOUT_S: Final = 1.0
UNANSWERED_MAX: Final = 1200
"""A minute of the account's orders. Who has waited longer is not waiting any more."""
LOGON_ID: Final = "reactor-logon-"
_NS: Final = 1_000_000_000


class OrderConnection(Connection):
    """A WebSocket-API socket, and what was asked on it."""

    def __init__(
        self,
        *,
        opened_ns: int,
        take: Callable[["OrderConnection", bytes], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        super().__init__(opened_ns=opened_ns, on_fault=on_fault)
        self.logon_id = ""
        self.was_live = False
        self._take = take
        self._sent: deque[bytes] = deque(maxlen=UNANSWERED_MAX)
        self._waiting: dict[str, None] = {}

    def on_message(self, message: bytes) -> None:
        """Hands on an answer."""
        self.delivered += 1
        self._take(self, message)

    def asked(self, frame: bytes) -> None:
        """Remembers a request; its id is read later, when no tick waits."""
        self._sent.append(frame)

    def answered(self, number: object) -> None:
        """A request was answered."""
        self._read()
        self._waiting.pop(str(number), None)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The ids of the requests without an answer, oldest first."""
        self._read()
        return tuple(self._waiting)

    def _read(self) -> None:
        while self._sent:
            content = _content(self._sent.popleft())
            if content.get("id") is not None:
                self._waiting[str(content["id"])] = None
        while len(self._waiting) > UNANSWERED_MAX:
            del self._waiting[next(iter(self._waiting))]


class OrderSocket(Supervisor[OrderConnection]):
    """The warm connection for orders.

    Args:
        transport: makes the sockets.
        environment: where.
        inbox: takes answers and changes of the link.
        audit, clock: who is told, and when it is.
        config: `[streams]`: the proxy, the age for rotation.
        chance: jitter.
        logon: makes the signed `session.logon` frame with the id that it is given; None where every request
            carries its own signature (every key but an Ed25519 one).
        on_up: told when requests can be sent (again).
        on_down: told the ids of requests whose answers will not come, when a socket is lost, or closed after
            its replacement with answers missing. `is_ready` tells whether another one is there.
        answer_timeout_s: how long a replaced socket is kept for the answers that it still owes.
        options: how a socket behaves.
    """

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        config: StreamsConfig,
        chance: random.Random,
        *,
        logon: Callable[[str], bytes] | None = None,
        on_up: Callable[[], None],
        on_down: Callable[[tuple[str, ...]], None],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        options: SocketOptions = ORDER_SOCKET,
    ) -> None:
        super().__init__(
            name="order",
            transport=transport,
            options=msgspec.structs.replace(options, proxy=config.proxy or options.proxy),
            inbox=inbox,
            audit=audit,
            clock=clock,
            chance=chance,
            rotate_s=config.rotate_hours * 3600,
        )
        self._url = environment.ws_api
        self._logon = logon
        self._logons = 0
        self._is_refused = False
        self._on_up = on_up
        self._on_down = on_down
        self._answer_timeout_s = answer_timeout_s

    @property
    def is_ready(self) -> bool:
        """Whether a request sent now would leave, on a session that is logged on."""
        return self.live is not None and self.live.is_live

    def send(self, frame: bytes) -> bool:
        """Sends a request at once.

        Returns:
            False where nothing left.
        """
        live = self.live
        if live is None or live.socket is None or live.over.done() or not live.socket.send(frame):
            return False
        live.asked(frame)
        return True

    def prepare(self, frame: bytes) -> None:
        """Makes ready what sending this request will need; it may be sent soon, or never."""
        if self.live is not None and self.live.socket is not None:
            self.live.socket.prepare(frame)

    # The socket ---------------------------------------------------------------------------------

    async def _address(self) -> str:
        return self._url

    def _make(self) -> OrderConnection:
        return OrderConnection(
            opened_ns=self._clock.now_ns(), take=self._take, on_fault=self._fault
        )

    async def _tend(self, connection: OrderConnection) -> None:
        if self._logon is None:
            connection.ready()
            return
        self._logons += 1
        connection.logon_id = f"{LOGON_ID}{self._logons}"
        connection.send(self._logon(connection.logon_id))

    async def _drain(self, old: OrderConnection) -> None:
        until_ns = self._clock.now_ns() + round(self._answer_timeout_s * _NS)
        while old.unanswered and self._clock.now_ns() < until_ns:  # noqa: ASYNC110 -- once a day
            await asyncio.sleep(0.02)

    def _on_live(self, cause: str) -> None:
        if self.live is not None:
            self.live.was_live = True
        self._is_refused = False
        self._on_up()

    def _on_over(self, connection: OrderConnection, reason: str) -> None:
        unanswered = connection.unanswered
        is_lost = connection.was_live and not connection.is_replaced
        if unanswered or is_lost:
            self._on_down(unanswered)

    def _ceiling_s(self, error: Exception) -> float:
        # A key that is refused will be refused again, and every attempt has its weight.
        return BANNED_CEILING_S if self._is_refused else super()._ceiling_s(error)

    # Answers ------------------------------------------------------------------------------------

    def _take(self, connection: OrderConnection, message: bytes) -> None:
        content = _content(message)
        number = content.get("id")
        if connection.logon_id and number == connection.logon_id:
            self._on_logon(connection, content)
            return
        if number is None and content.get("status") == 401:
            self._refused(connection, "order_key_revoked", content)
            return
        self._inbox.order_answer(message)
        connection.answered(number)

    def _on_logon(self, connection: OrderConnection, content: dict[str, Any]) -> None:
        if content.get("status") == 200:
            connection.ready()
        else:
            self._refused(connection, "order_logon_refused", content)

    def _refused(self, connection: OrderConnection, kind: str, content: dict[str, Any]) -> None:
        error = content.get("error")
        said = f"{error.get('code')} {error.get('msg')}" if isinstance(error, dict) else "no reason"
        self._is_refused = True
        self._alarm(kind, self._shown(f"orders cannot leave by the order socket: {said}"))
        connection.finish(self._shown(f"the session was refused: {said}"))


def _content(message: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
