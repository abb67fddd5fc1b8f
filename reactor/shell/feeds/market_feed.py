"""Prices: the sockets of the routes `/market` and `/public`, subscribed to what is wanted.

A message goes on within the read callback that brought it. Everything else (subscribing, asking a quiet
socket whether it lives, replacing it) happens beside that path.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
import orjson

from reactor.audit import Audit
from reactor.binance.urls import Environment, by_route, route_url
from reactor.clock import Clock
from reactor.config import StreamsConfig
from reactor.limits import STREAMS_PER_CONNECTION_MAX
from reactor.shell.feeds.connection import Connection
from reactor.shell.feeds.mute import MuteWatch
from reactor.shell.feeds.subscriptions import Subscriptions, is_answer
from reactor.shell.feeds.supervisor import FeedPhase, FeedState, Supervisor
from reactor.shell.inbox import Inbox, Link, StreamRoute
from reactor.shell.transport.seam import SocketOptions, Transport

MARKET_SOCKET: Final = SocketOptions()
QUIET_S: Final[Mapping[StreamRoute, float]] = {"market": 5.0, "public": 30.0}
"""Mark prices come every second for every symbol; the book of a quiet symbol may rest."""
QUIET_CEILING_S: Final[Mapping[StreamRoute, float]] = {"market": 60.0, "public": 600.0}
"""The period doubles with every replacement that brought nothing, up to this: a market that is closed is not
reconnected to every few seconds."""
ANSWER_S: Final = 2.0
LOOK_S: Final = 0.5
_ENVELOPE: Final = b'{"stream"'
_NS: Final = 1_000_000_000


class MarketConnection(Connection):
    """A socket of prices.

    Args:
        give: takes a message of data; the inbox.
        on_answer: takes everything that does not look like data.
        wanted: the streams that it should carry.
        quiet_s: after how long without data it is asked whether it lives.

    Attributes:
        route, give: as above: a socket may have prices go there directly, and counts them in `delivered` then.
    """

    def __init__(
        self,
        *,
        opened_ns: int,
        route: StreamRoute,
        give: Callable[[StreamRoute, bytes, bool], None],
        on_answer: Callable[["MarketConnection", bytes], None],
        on_fault: Callable[[Exception], None],
        wanted: Iterable[str],
        quiet_s: float,
    ) -> None:
        super().__init__(opened_ns=opened_ns, on_fault=on_fault)
        self.subscriptions = Subscriptions(wanted)
        self.mute = MuteWatch(
            quiet_ns=round(quiet_s * _NS), answer_ns=round(ANSWER_S * _NS), now_ns=opened_ns
        )
        self.wake = asyncio.Event()
        self.route: StreamRoute = route
        self.give = give
        self._on_answer = on_answer

    def on_message(self, message: bytes) -> None:
        """Passes data on at once; answers are told from data by their first bytes."""
        if message.startswith(_ENVELOPE):
            self.delivered += 1
            socket = self.socket
            self.give(self.route, message, socket is not None and socket.more)
        else:
            self._on_answer(self, message)


class MarketLane(Supervisor[MarketConnection]):
    """One socket of a route, with at most 1024 streams."""

    def __init__(
        self,
        route: StreamRoute,
        tell_route: Callable[["MarketLane", Link], None],
        *,
        environment: Environment,
        transport: Transport,
        options: SocketOptions,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        chance: random.Random,
        rotate_s: float,
    ) -> None:
        super().__init__(
            name=route,
            transport=transport,
            options=options,
            inbox=inbox,
            audit=audit,
            clock=clock,
            chance=chance,
            rotate_s=rotate_s,
        )
        self.wanted: dict[str, None] = {}
        self._route: StreamRoute = route
        self._tell_route = tell_route
        self._url = route_url(environment, route)
        self._quiet_s = QUIET_S[route]

    def want(self, streams: Iterable[str]) -> None:
        """Replaces what this socket should carry."""
        self.wanted = dict.fromkeys(streams)
        for connection in self._open:
            connection.subscriptions.want(self.wanted)
            connection.wake.set()
        self._nudge()

    def _is_needed(self) -> bool:
        return bool(self.wanted)

    async def _address(self) -> str:
        return self._url

    def _make(self) -> MarketConnection:
        return MarketConnection(
            opened_ns=self._clock.now_ns(),
            route=self._route,
            give=self._inbox.market,
            on_answer=self._on_answer,
            on_fault=self._fault,
            wanted=self.wanted,
            quiet_s=self._quiet_s,
        )

    def _is_proven(self, new: MarketConnection, old: MarketConnection) -> bool:
        return new.delivered > 0 or not self.wanted

    def _tell_up(self, new: MarketConnection) -> None:
        # After silence an acknowledgement proves nothing.
        if self._phase != "silent" or new.delivered:
            super()._tell_up(new)

    def _tell_link(self, state: FeedPhase, reason: str, *, gap: bool) -> None:
        if state in {"up", "down", "silent"}:
            self._tell_route(self, Link(state=state, stream=self.name, reason=reason, gap=gap))

    # Subscribing --------------------------------------------------------------------------------

    def _on_answer(self, connection: MarketConnection, message: bytes) -> None:
        """Takes what does not begin like data: an answer, or data spelt in another way."""
        content: Any = None
        with contextlib.suppress(orjson.JSONDecodeError):
            content = orjson.loads(message)
        if not is_answer(content):
            connection.delivered += 1
            self._inbox.market(self._route, message)  # where the unreadable is counted
            return
        said = connection.subscriptions.answer(content)
        if said == "probe":
            connection.mute.answered(self._clock.now_ns())
        elif said:
            names = ", ".join(list(connection.subscriptions.refused)[:3]) or "a request"
            self._alarm("stream_refused", self._shown(f"{self.name}: {names} refused: {said}"))
        connection.wake.set()

    async def _tend(self, connection: MarketConnection) -> None:
        subscriptions = connection.subscriptions
        connection.mute.rest(self._clock.now_ns())  # the handshake may have taken its time
        while True:
            connection.wake.clear()
            now_ns = self._clock.now_ns()
            for frame in subscriptions.due(now_ns):
                connection.send(frame)
            if subscriptions.is_overdue(now_ns):
                connection.finish("a subscription was not acknowledged")
                return
            if subscriptions.is_settled:
                connection.ready()
            if connection.usable.done() and not self._hears(connection, now_ns):
                return
            wait_ns = subscriptions.wait_ns(now_ns)
            wait_s = LOOK_S if wait_ns is None else min(LOOK_S, wait_ns / _NS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await connection.wake.wait()

    # Silence ------------------------------------------------------------------------------------

    def _hears(self, connection: MarketConnection, now_ns: int) -> bool:
        """Judges a connection's silence; False where it is dead."""
        if not self.wanted or connection.replace_reason:
            connection.mute.rest(now_ns)
            return True
        match connection.mute.look(now_ns, delivered=connection.delivered):
            case "heard":
                self._quiet_s = QUIET_S[self._route]
                if connection is self.live:
                    self._tell("up", "", gap=False)
            case "probe":
                connection.send(connection.subscriptions.probe(now_ns))
            case "dead":
                connection.finish(f"silent, and no answer in {ANSWER_S:g} s")
                return False
            case "mute" if connection is self.live:
                self._is_mute(connection)
            case _:
                pass
        return True

    def _is_mute(self, connection: MarketConnection) -> None:
        reason = f"answers, but no data for {2 * self._quiet_s:g} s"
        self._quiet_s = min(self._quiet_s * 2, QUIET_CEILING_S[self._route])
        self._tell("silent", reason, gap=True)
        count = len(self.wanted)
        self._alarm("feed_mute", f"{self.name}: subscribed to {count} streams, {reason}")
        self._ask_replacement(connection, reason, is_planned=False)


class MarketFeed:
    """All prices.

    Args:
        transport: makes the sockets.
        environment: where.
        inbox: takes every message and every change of a link.
        audit, clock: who is told, and when it is.
        config: `[streams]`.
        chance: jitter.
        options: how a socket behaves; the proxy comes from `config`.
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
        options: SocketOptions = MARKET_SOCKET,
    ) -> None:
        self._transport = transport
        self._environment = environment
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._config = config
        self._chance = chance
        self._options = msgspec.structs.replace(options, proxy=config.proxy or options.proxy)
        self._lanes: dict[StreamRoute, list[MarketLane]] = {"market": [], "public": []}
        self._told: dict[StreamRoute, str] = {"market": "", "public": ""}
        self._new_lane = asyncio.Event()

    def want(self, streams: Iterable[str]) -> None:
        """Says which streams are wanted from now on, of both routes, before or while it runs.

        Raises:
            ConfigError: a name is none of Binance's; nothing changed.
        """
        sorted_streams = by_route(dict.fromkeys(streams))
        for route in self._lanes:
            self._spread(route, sorted_streams.get(route, ()))

    def replace(self, route: StreamRoute, reason: str) -> None:
        """Asks for new sockets on a route; the old ones are closed once the new ones deliver.

        What is being replaced already, or is seconds old, is left alone (see `Supervisor.replace`).
        """
        for lane in self._lanes[route]:
            lane.replace(reason)

    @property
    def state(self) -> dict[StreamRoute, tuple[FeedState, ...]]:
        """What a status shows, one entry a socket; none where a route was never wanted."""
        return {route: tuple(lane.state for lane in lanes) for route, lanes in self._lanes.items()}

    async def run(self) -> None:
        """Keeps the sockets open until cancelled."""
        started: set[MarketLane] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._new_lane.clear()
                for lane in (lane for lanes in self._lanes.values() for lane in lanes):
                    if lane not in started:
                        started.add(lane)
                        tasks.create_task(lane.run(), name=f"feed {lane.name} {len(started)}")
                await self._new_lane.wait()

    def _spread(self, route: StreamRoute, streams: tuple[str, ...]) -> None:
        """Gives every stream to a socket: to the one that has it, else to the first with room."""
        lanes = self._lanes[route]
        left = dict.fromkeys(streams)
        shares: list[dict[str, None]] = []
        for lane in lanes:
            shares.append({name: None for name in lane.wanted if name in left})
            for name in shares[-1]:
                del left[name]
        for name in left:
            for share in shares:
                if len(share) < STREAMS_PER_CONNECTION_MAX:
                    share[name] = None
                    break
            else:
                shares.append({name: None})
        while len(lanes) < len(shares):
            lanes.append(self._lane(route))
            self._new_lane.set()
        for lane, share in zip(lanes, shares, strict=True):
            lane.want(share)

    def _lane(self, route: StreamRoute) -> MarketLane:
        return MarketLane(
            route,
            self._on_link,
            environment=self._environment,
            transport=self._transport,
            options=self._options,
            inbox=self._inbox,
            audit=self._audit,
            clock=self._clock,
            chance=self._chance,
            rotate_s=self._config.rotate_hours * 3600,
        )

    def _on_link(self, lane: MarketLane, link: Link) -> None:
        """Tells a route's state: it is up once all of its sockets are."""
        route: StreamRoute = "market" if link.stream == "market" else "public"
        if link.state == "up" and any(
            other.state.phase != "up" for other in self._lanes[route] if other.wanted
        ):
            return
        if link.state == "up" and self._told[route] == "up":
            return
        self._told[route] = link.state
        self._inbox.link(link)
        lane.publish_link(link.state, link.reason)
