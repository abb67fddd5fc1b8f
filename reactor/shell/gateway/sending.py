"""Requests on their way: over the socket in this turn, over REST in a task; who waits for which answer."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from reactor import compiled
from reactor.audit import Audit, OrderSent
from reactor.binance.failures import Reaction
from reactor.binance.filters import SymbolFilters
from reactor.clock import Clock
from reactor.config import OrdersConfig
from reactor.errors import BudgetExhausted, InvariantError, RestFailed, RestNotSent
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.frames import (
    ORDER_PATH,
    BegunFrame,
    MarketFrames,
    Signer,
    request_id,
    rest_answer,
    rest_record,
    socket_frame,
)
from reactor.shell.gateway.tasks import Tasks
from reactor.shell.gateway.tracked import LATE_MAX, Request
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient

REST_PATIENCE: Final = 2
"""How many times the answer's time-out a REST order gets: it may have to make its connection first."""


class OrderSocket(Protocol):
    """The WebSocket API's socket."""

    @property
    def is_ready(self) -> bool:
        """Whether an order can leave over it now."""
        ...

    def send(self, frame: bytes) -> bool:
        """Writes a frame in this turn. False: it did not leave, as an empty one never does."""
        ...

    def prepare(self, frame: bytes) -> None:
        """Makes ready what sending this frame will need; nothing leaves."""
        ...


class Moments(msgspec.Struct, frozen=True, gc=False):
    """When what led to an order happened, ns since the Unix epoch; 0 where that means nothing."""

    event_ns: int = 0
    received_ns: int = 0
    decided_ns: int = 0


NO_MOMENTS: Final = Moments()


class Sender:
    """Sends requests and keeps those without an answer.

    Attributes:
        on_lost: called with a request whose outcome nobody knows. `on_not_sent`: with one that did not leave.
        fired: what left ahead of its decision, by its request's id, until that claims it.
        on_rest_answer: called with the message of a REST answer, after the inbox took it.
    """

    def __init__(
        self,
        *,
        config: OrdersConfig,
        socket: OrderSocket,
        rest: RestClient,
        signer: Signer | None,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._config = config
        self._timeout_s = config.answer_timeout_ms / 1000
        self._recv_window_ms = config.recv_window_ms
        self._socket = socket
        self._rest = rest
        self._signer = signer
        self._market_frames = MarketFrames(signer, config.recv_window_ms)
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._tasks = tasks
        self._pending: dict[str, Request] = {}
        self._late: dict[str, Request] = {}
        self.fired: dict[str, Fired] = {}
        self.on_lost: Callable[[Request], None] = _nothing
        self.on_not_sent: Callable[[Request], None] = _nothing
        self.on_rest_answer: Callable[[bytes], object] = _nothing

    @property
    def in_flight(self) -> int:
        """Requests whose answer is awaited."""
        return len(self._pending)

    # Out --------------------------------------------------------------------------------------

    def leave(self, request: Request, moments: Moments = NO_MOMENTS) -> bytes | None:
        """Sends a request.

        Returns:
            The frame that left over the socket, to be recorded by the caller; None where it goes over REST.
        """
        request.sending += 1
        request.identity = request_id(request.client_id, request.sending, plain=request.plain)
        socket = self._socket
        if (
            request.way == "socket"
            and self._config.over == "ws_api"
            and (request.identity in self.fired or socket.is_ready)
        ):
            frame = self._over_socket(request, moments)
            if frame is not None:
                return frame
        request.way = "rest"
        self._tasks.start(self._over_rest(request, moments), name=f"order {request.identity}")
        return None

    def leave_again(self, request: Request) -> None:
        """Sends a request outside a decision's turn, and has it recorded."""
        frame = self.leave(request)
        if frame is not None:
            self._inbox.order_sent(frame)

    def rehearse(self, request: Request) -> int:
        """Builds and signs a MARKET order's frame; answers how long it is. Nothing is sent or remembered."""
        request.sending += 1
        request.identity = request_id(request.client_id, request.sending, plain=request.plain)
        timestamp_ms = self._rest.server_time.timestamp_ms(self._clock.now_ns())
        return len(self._market_frames.frame(request.identity, request.params, timestamp_ms))

    # Ahead of the decision --------------------------------------------------------------------

    def begin(self, client_id: str, params: dict[str, str]) -> tuple[str, BegunFrame] | None:
        """A MARKET order's first sending, all but signed: its request's id and frame; None where REST is used."""
        if self._config.over != "ws_api":
            return None
        identity = request_id(client_id, 0)
        return identity, self._market_frames.begin(identity, params)

    def decided_ns(self, order_id: str, now_ns: int) -> int:
        """When an exit's order was decided: when it was fired, or now."""
        for fired in self.fired.values():
            if fired.order_id == order_id:
                return fired.decided_ns
        return now_ns

    def sign(self, aim: Aim, now_ns: int) -> None:
        """Signs what was built ahead, with the time of now."""
        aim.sign(self._rest.server_time.timestamp_ms(now_ns), now_ns=now_ns)

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool) -> bool:
        """Sends what was built and signed ahead; the decision that follows claims it.

        Args:
            aim: of an exit that the engine is about to decide.
            now_ns: our clock, now.
            is_practice: everything but the writing.
        """
        socket = self._socket
        if aim.identity in self.fired or now_ns >= aim.until_ns or not socket.is_ready:
            return False
        decided_ns = self._clock.now_ns()
        if is_practice:
            socket.prepare(aim.frame)
            return False
        if not socket.send(aim.frame):
            return False
        self.fired[aim.identity] = Fired(aim, decided_ns=decided_ns, sent_ns=self._clock.now_ns())
        return True

    def trigger(
        self, *, hedge: Callable[[], bool], contracts: Mapping[str, SymbolFilters]
    ) -> object:
        """What fires as `Gateway.fire` does, in machine code; None where that is not there.

        Args:
            hedge: whether the account is in hedge mode, now.
            contracts: each symbol's rules as far as known.
        """
        if compiled.hot is None:
            return None
        trigger: object = compiled.hot.Trigger(
            hedge=hedge,
            contracts=contracts,
            fired=self.fired,
            socket=self._socket,
            clock=self._clock,
        )
        return trigger

    def _claim(self, request: Request) -> Fired | None:
        """What left for this request already.

        Raises:
            InvariantError: something else left under its id; it stays unclaimed, and what became of it is to be asked.
        """
        fired = self.fired.get(request.identity)
        if fired is None:
            return None
        if fired.params != request.params:
            raise InvariantError(
                f"{request.exit.symbol}: order {fired.order_id} left ahead with {fired.params}, and was decided with"
                f" {request.params}"
            )
        return self.fired.pop(request.identity)

    def _over_socket(self, request: Request, moments: Moments) -> bytes | None:
        fired = self._claim(request)
        if fired is not None:
            request.way = "socket"
            return self._left(request, fired.frame, fired.sent_ns, moments)
        socket, time = self._socket, self._rest.server_time
        now_ns = self._clock.now_ns()
        timestamp_ms = time.timestamp_ms(now_ns)
        if request.params["type"] == "MARKET":
            frame = self._market_frames.frame(request.identity, request.params, timestamp_ms)
        else:
            frame = socket_frame(
                request.identity,
                request.params,
                signer=self._signer,
                timestamp_ms=timestamp_ms,
                recv_window_ms=self._recv_window_ms,
            )
        if not socket.send(frame):
            return None
        return self._left(request, frame, self._clock.now_ns(), moments)

    def _left(self, request: Request, frame: bytes, now_ns: int, moments: Moments) -> bytes:
        """Bookkeeping: the order is on its way."""
        self._note(request, now_ns, moments)
        self._rest.budget.leave(self._rest.server_time.exchange_ns(now_ns), orders=1)
        loop = asyncio.get_running_loop()
        request.timer = loop.call_later(self._timeout_s, self._no_answer, request.identity)
        return frame

    async def _over_rest(self, request: Request, moments: Moments) -> None:
        self._inbox.order_sent(rest_record(request.identity, ORDER_PATH, request.params))
        self._note(request, self._clock.now_ns(), moments)
        try:
            answer = await self._rest.send(
                "POST",
                ORDER_PATH,
                request.params,
                purpose="exit",
                weight=0,
                orders=1,
                timeout_s=self._timeout_s * REST_PATIENCE,
            )
        except RestNotSent:
            self._pending.pop(request.identity, None)
            self.on_not_sent(request)
        except (RestFailed, BudgetExhausted):
            self._no_answer(request.identity)
        except Exception:
            # Our bug; the order may have left.
            self._no_answer(request.identity)
            raise
        else:
            message = rest_answer(request.identity, answer)
            self._inbox.order_answer(message)
            self.on_rest_answer(message)

    def _note(self, request: Request, now_ns: int, moments: Moments) -> None:
        request.sent_ns = now_ns
        request.first_ns = request.first_ns or now_ns
        track = request.track
        if track.exit is request.exit:
            track.first_ns = track.first_ns or now_ns
            track.last_ns = now_ns
        self._pending[request.identity] = request
        asyncio.get_running_loop().call_soon(
            self._publish, request, request.way, now_ns, dict(request.params), moments
        )

    def _publish(
        self, request: Request, way: str, now_ns: int, params: dict[str, str], moments: Moments
    ) -> None:
        exit_ = request.exit
        self._audit.publish(
            OrderSent(
                symbol=exit_.symbol,
                side=exit_.side,
                order_id=exit_.order_id,
                client_id=request.client_id,
                purpose="exit",
                over=way,
                params=params,
                t_event_ns=moments.event_ns,
                t_recv_ns=moments.received_ns,
                t_decided_ns=moments.decided_ns,
                t_sent_ns=now_ns,
            ),
            t_ns=now_ns,
        )

    # In ---------------------------------------------------------------------------------------

    def take(self, identity: str) -> tuple[Request, bool] | None:
        """The request that an answer is of, and whether it was given up before; None for nobody's."""
        request = self._pending.pop(identity, None)
        if request is not None:
            request.stop_waiting()
            return request, False
        request = self._late.pop(identity, None)
        return None if request is None else (request, True)

    def on_socket_down(self, identities: Iterable[str]) -> None:
        """The socket is gone, and with it the answers to these requests."""
        for identity in identities:
            self._no_answer(identity)

    def close(self) -> None:
        """No timer fires any more."""
        for request in self._pending.values():
            request.stop_waiting()

    def _no_answer(self, identity: str) -> None:
        request = self._pending.pop(identity, None)
        if request is None:
            return
        request.stop_waiting()
        if len(self._late) >= LATE_MAX:
            del self._late[next(iter(self._late))]
        self._late[identity] = request
        if request.track.exit is request.exit:
            request.track.last = Reaction.ASK
        self.on_lost(request)


def _nothing(_what: object) -> None:
    return None
