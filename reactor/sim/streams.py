"""The WebSocket side without sockets: routes, subscriptions, control messages, fan-out, faults.

A connection is opened by its path, is given texts, and collects what it must send in ``pending``.
Source: binance.md §1, §2.
"""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

import orjson

from reactor.sim import faults
from reactor.sim.connection import GOING_AWAY, Close, Connection, Item, Ping
from reactor.sim.exchange import MarketFrame, UserEvent
from reactor.sim.ws_api import WsApiSession

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

INBOUND_MAX = 10  # control messages a second
STREAMS_MAX = 1024
PENDING_MAX = 200_000  # frames; a client that is further behind is cut off
ROUTES: Final = frozenset({"public", "market", "private"})
POLICY_VIOLATION = 1008


class Hub:
    """All open connections."""

    def __init__(self, exchange: "Exchange") -> None:
        self.exchange = exchange
        self.connections: dict[int, Connection] = {}
        self.dirty: dict[int, Connection] = {}
        self._by_stream: dict[str, dict[int, Connection]] = {}
        self._private: dict[int, Connection] = {}
        self._number = 0
        self._delivering = False

    # Opening and closing

    def open(self, target: str, *, ip: str = "127.0.0.1") -> Connection | None:
        """Open a connection by its request target.

        Args:
            target: Path and query as sent: ``/market/stream?streams=a/b``, ``/private/ws/<key>`` …
            ip: The caller's address, for the request weight of the WebSocket API.

        Returns:
            The connection, or None where no WebSocket lives (the server answers 404).
        """
        path, _, query = target.partition("?")
        parts = [unquote(part) for part in path.split("/") if part]
        route = "legacy"
        if parts and parts[0] in ROUTES:
            route = parts.pop(0)
        if parts[:2] == ["ws-fapi", "v1"] and route == "legacy":
            return self._open_api(query, ip)
        if not parts or parts[0] not in {"ws", "stream"}:
            return None
        mode = parts.pop(0)
        connection = self._add(route, combined=mode == "stream", ip=ip)
        pairs = parse_qsl(query, keep_blank_values=True)
        names = list(parts) if mode == "ws" else []
        for name, value in pairs:
            if name == "streams":
                names += [one for one in value.split("/") if one]
        for name in names[:STREAMS_MAX]:
            self._subscribe(connection, name, frozenset())
        self._listen(connection, pairs)
        return connection

    def _open_api(self, query: str, ip: str) -> Connection:
        connection = self._add("api", combined=False, ip=ip)
        connection.session = WsApiSession(self.exchange, ip)
        connection.session.return_rate_limits = "returnRateLimits=false" not in query
        self.exchange.rates.spend_weight(ip, 5, self.exchange.now_ms)
        return connection

    def _add(self, route: str, *, combined: bool, ip: str) -> Connection:
        self._number += 1
        connection = Connection(self._number, route, combined=combined)
        connection.ip = ip
        self.connections[connection.number] = connection
        connection.opened_ms = self.exchange.now_ms
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        """Look after a connection at its next ping, or at its end of life if that is sooner."""
        settings = self.exchange.settings
        age_ms = self.exchange.now_ms - connection.opened_ms
        delay_ms = min(settings.ping_ms, max(0, settings.connection_ms - age_ms))
        self.exchange.schedule(delay_ms, lambda: self._ping(connection))

    @staticmethod
    def _pairs(pairs: list[tuple[str, str]]) -> list[tuple[str, frozenset[str]]]:
        """Pair each listenKey with the events that follow it."""
        found: list[tuple[str, frozenset[str]]] = []
        for name, value in pairs:
            if name == "listenKey":
                found.append((value, frozenset()))
            elif name == "events" and found:
                found[-1] = (found[-1][0], frozenset(one for one in value.split("/") if one))
        return found

    def _listen(self, connection: Connection, pairs: list[tuple[str, str]]) -> None:
        for key, events in self._pairs(pairs):
            self._subscribe(connection, key, events)

    def cut(self, connection: Connection, how: str = "close", code: int = GOING_AWAY) -> None:
        """End a connection from the exchange's side."""
        if connection.closed:
            return
        # What was said before the end still reaches the client, however far time jumps at once.
        self.deliver()
        if how == "half_open":
            # The peer sees an open socket that says nothing any more.
            connection.muted_until_ms = 1 << 62
            return
        self._send(connection, Close(code=code, how=how))
        self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Forget a connection: it is gone."""
        connection.closed = True
        for stream in list(connection.streams):
            self._unsubscribe(connection, stream)
        self._private.pop(connection.number, None)
        self.connections.pop(connection.number, None)

    def _ping(self, connection: Connection) -> None:
        if connection.closed:
            return
        if self.exchange.now_ms - connection.opened_ms >= self.exchange.settings.connection_ms:
            self.cut(connection)
            return
        limit_ms = self.exchange.settings.ping_ms * 10 // 3
        if connection.waiting_pong_ms and (
            self.exchange.now_ms - connection.waiting_pong_ms >= limit_ms
        ):
            self.cut(connection, code=POLICY_VIOLATION)
            return
        if not connection.waiting_pong_ms:
            connection.waiting_pong_ms = self.exchange.now_ms
        self._send(connection, Ping(str(self.exchange.server_ms).encode()))
        self._keep(connection)

    @staticmethod
    def pong(connection: Connection) -> None:
        """Take note of a pong."""
        connection.waiting_pong_ms = 0

    # What clients say

    def receive(self, connection: Connection, text: str | bytes) -> None:
        """Take a text frame from a client."""
        if connection.closed:
            return
        if connection.session is not None:
            reply = connection.session.handle(text)
            self._reply(connection, reply.body, delay_ms=reply.delay_ms, drop=reply.drop)
            return
        second = self.exchange.now_ms // 1000
        if connection.second != second:
            connection.second, connection.in_second = second, 0
        connection.in_second += 1
        if connection.in_second > INBOUND_MAX:
            self.cut(connection, code=POLICY_VIOLATION)
            return
        self._reply(connection, orjson.dumps(self._control(connection, text)))

    def _reply(
        self, connection: Connection, body: bytes, *, delay_ms: int = 0, drop: str = ""
    ) -> None:
        if drop == "hang":
            return
        if drop:
            self.cut(connection, how=drop)
        elif delay_ms:
            self.exchange.schedule(delay_ms, lambda: self._send(connection, body))
        else:
            self._send(connection, body)

    def _control(self, connection: Connection, text: str | bytes) -> dict[str, Any]:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"error": {"code": 3, "msg": "Invalid JSON: expected value"}}
        if not isinstance(message, dict):
            return {"error": {"code": 2, "msg": "Invalid request: request must be an object"}}
        number = message.get("id")
        if (
            isinstance(number, bool)
            or not (number is None or isinstance(number, int | str))
            or (isinstance(number, int) and number < 0)
        ):
            return {"error": {"code": 2, "msg": "Invalid request: id must be an unsigned integer"}}
        method, params = message.get("method"), message.get("params", [])
        handlers = {
            "SUBSCRIBE": self._on_subscribe,
            "UNSUBSCRIBE": self._on_unsubscribe,
            "SET_PROPERTY": self._on_set,
            "GET_PROPERTY": self._on_get,
        }
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": [*connection.streams, *connection.keys], "id": number}
        if not isinstance(params, list):
            return _bad("params must be an array", number)
        handler = handlers.get(method) if isinstance(method, str) else None
        if handler is None:
            return _bad("unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`", number)
        return handler(connection, params, number)

    def _on_subscribe(
        self, connection: Connection, params: list[Any], number: Any
    ) -> dict[str, Any]:
        if not all(isinstance(one, str) for one in params):
            return _bad("params must be strings", number)
        if len(connection.streams) + len(connection.keys) + len(params) > STREAMS_MAX:
            return _bad(f"too many streams, at most {STREAMS_MAX}", number)
        for name in params:
            self._subscribe(connection, name, frozenset())
        return {"result": None, "id": number}

    def _on_unsubscribe(
        self, connection: Connection, params: list[Any], number: Any
    ) -> dict[str, Any]:
        for name in params:
            if isinstance(name, str):
                self._unsubscribe(connection, name)
                connection.keys.pop(name, None)
        return {"result": None, "id": number}

    @staticmethod
    def _on_set(connection: Connection, params: list[Any], number: Any) -> dict[str, Any]:
        if len(params) != 2 or params[0] != "combined":
            return {"error": {"code": 0, "msg": "Unknown property"}, "id": number}
        if not isinstance(params[1], bool):
            return {
                "error": {"code": 1, "msg": "Invalid value type: expected Boolean"},
                "id": number,
            }
        connection.combined = params[1]
        return {"result": None, "id": number}

    @staticmethod
    def _on_get(connection: Connection, params: list[Any], number: Any) -> dict[str, Any]:
        if params != ["combined"]:
            return {"error": {"code": 0, "msg": "Unknown property"}, "id": number}
        return {"result": connection.combined, "id": number}

    def _subscribe(self, connection: Connection, name: str, events: frozenset[str]) -> None:
        if connection.route == "private":
            connection.keys[name] = events
            self._private[connection.number] = connection
            return
        if name in connection.streams:
            return
        connection.streams[name] = None
        if connection.serves(name):
            self._by_stream.setdefault(name, {})[connection.number] = connection
            self.exchange.wanted[name] += 1
            self.exchange.publisher.wake()

    def _unsubscribe(self, connection: Connection, name: str) -> None:
        if connection.streams.pop(name, 0) == 0:
            return
        subscribers = self._by_stream.get(name)
        if subscribers and subscribers.pop(connection.number, None) is not None:
            self.exchange.wanted[name] -= 1
            if not subscribers:
                del self._by_stream[name]
                del self.exchange.wanted[name]
                self.exchange.publisher.forget(name)

    # What the exchange says

    def deliver(self) -> None:
        """Hand what the exchange has said since to the connections that it concerns."""
        if not self.exchange.out or self._delivering:
            return
        self._delivering = True
        try:
            self._deliver()
        finally:
            self._delivering = False

    def _deliver(self) -> None:
        armed = bool(self.exchange.faults)
        by_stream = self._by_stream
        for said in self.exchange.drain():
            if type(said) is MarketFrame:
                subscribers = by_stream.get(said.stream)
                if not subscribers:
                    continue
                wrapped = b""
                for connection in list(subscribers.values()) if armed else subscribers.values():
                    text = said.payload
                    if connection.combined:
                        text = wrapped = wrapped or _envelope(said.stream, text)
                    if armed:
                        self._through_faults(connection, said.stream, "", said.symbol, "", text)
                    else:
                        self._send(connection, text)
            elif isinstance(said, UserEvent):
                self._deliver_private(said, armed=armed)

    def _deliver_private(self, said: UserEvent, *, armed: bool) -> None:
        for connection in list(self._private.values()):
            events = connection.keys.get(said.key)
            if events is None or (
                events and said.event not in events and said.event != "listenKeyExpired"
            ):
                continue
            text = _envelope(said.key, said.payload) if connection.combined else said.payload
            if armed:
                self._through_faults(connection, "", said.event, said.symbol, said.account, text)
            else:
                self._send(connection, text)

    def _through_faults(
        self,
        connection: Connection,
        stream: str,
        event: str,
        symbol: str,
        account: str,
        frame: bytes,
    ) -> None:
        exchange = self.exchange
        facts = {
            "channel": "stream",
            "route": connection.route,
            "connection": str(connection.number),
            "stream": stream,
            "event": event,
            "symbol": symbol,
            "account": account,
        }
        rule = exchange.faults.take(faults.MESSAGE, facts, exchange.now_ms)
        kind = rule.do if rule else ""
        if (
            connection.held
            and (not rule or kind != "reorder")
            and (connection.held[0][0] != (event or stream))
        ):
            # A message of another kind goes first, then what was held back.
            self._send(connection, frame)
            for _, text in connection.held:
                self._send(connection, text)
            connection.held.clear()
            return
        if rule is None:
            self._send(connection, frame)
        elif kind == "duplicate":
            self._send(connection, frame)
            self._send(connection, frame)
        elif kind == "delay":
            exchange.schedule(exchange.faults.span_ms(rule), lambda: self._send(connection, frame))
        elif kind == "reorder":
            connection.held.append((event or stream, frame))
        elif kind == "mute":
            connection.muted_until_ms = exchange.now_ms + (exchange.faults.span_ms(rule) or 1 << 60)
        elif kind == "drop":
            self.cut(connection, how=rule.how)

    def _send(self, connection: Connection, item: Item) -> None:
        if connection.closed or (
            self.exchange.now_ms < connection.muted_until_ms and not isinstance(item, Close)
        ):
            return
        pending = connection.pending
        if not pending:
            self.dirty[connection.number] = connection
        pending.append(item)
        if len(pending) == PENDING_MAX:
            self.exchange.schedule(0, lambda: self.cut(connection, code=POLICY_VIOLATION))


def _envelope(stream: str, payload: bytes) -> bytes:
    return b'{"stream":"' + stream.encode() + b'","data":' + payload + b"}"


def _bad(why: str, number: Any) -> dict[str, Any]:
    return {"error": {"code": 2, "msg": f"Invalid request: {why}"}, "id": number}
