"""Sends exits, and sees each one through: answers, failures, resends, questions, escalation.

A decision's order leaves in the same turn of the loop in which it was decided: `Gateway.send` builds, signs and
writes it, and does nothing else. Everything that waits (REST, pauses, questions) is a named task of the gateway's
own.

What became of an order reaches the engine as the exchange's own answer, through the inbox. Where there is no such
answer (time-out, dead socket), or it is not the last word (an order that is sent again until that is of no more
use), the gateway says so with an `outcome` command, which is recorded like everything else.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from reactor.audit import Audit
from reactor.binance.failures import RESENDS, Reaction, engine_event, reaction
from reactor.binance.filters import SymbolFilters
from reactor.binance.messages import FAULTS
from reactor.binance.redaction import line, redact
from reactor.clock import Clock
from reactor.config import Config
from reactor.core.decisions import Exit, OrdersCancelled, OutcomeAsked
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.errors import InvariantError
from reactor.limits import FAILURE_TEXT_CHARS_MAX
from reactor.shell.gateway.asking import Asker
from reactor.shell.gateway.built import closing_stop, limit_ioc_order, market_orders
from reactor.shell.gateway.closing_stops import ClosingStops
from reactor.shell.gateway.escalation import FIRST, Step, escalation
from reactor.shell.gateway.frames import Answer, AnswerResult, Signer, decode_answer
from reactor.shell.gateway.mending import Mender
from reactor.shell.gateway.sending import Moments, OrderSocket, Sender
from reactor.shell.gateway.tasks import Tasks
from reactor.shell.gateway.telling import Teller
from reactor.shell.gateway.tracked import EPOCHS_MAX, EpochKey, Request, Track
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient

PARTIAL_PATIENCE_NS: Final = 2_000_000_000
"""How long after its first sending a rung or harvest may still be sent again: its price was of that moment."""

RESENDS_MAX: Final = 6
"""Of one request, whatever the reactions."""

DUST_PAUSE_S: Final = 60.0
"""How long until a full close of what cannot be traded is looked at again: rules change, positions grow."""

POSITION_DOUBTED: Final = frozenset({-2022, -2024, -4118})
"""Refusals that may mean that the position is not what it was taken for."""


class Gateway:
    """The one way out for exits.

    Attributes:
        given_up: requests that were sent again in vain. `lost`: requests whose answer did not come in time.
    """

    def __init__(
        self,
        *,
        config: Config,
        socket: OrderSocket,
        rest: RestClient,
        signer: Signer | None,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        hedge: Callable[[], bool],
        contracts: Mapping[str, SymbolFilters],
    ) -> None:
        """Puts a gateway together.

        Args:
            config: the whole configuration; `mode` must be `live`, `orders` says how.
            socket: the WebSocket API.
            rest: for what cannot go over the socket, and for questions.
            signer: signs frames; None where the socket's sessions are logged on (Ed25519).
            inbox: where answers and outcomes go.
            audit: told of everything after it has happened.
            clock: ours.
            hedge: whether the account is in hedge mode, now.
            contracts: each symbol's rules as far as known, kept up to date by their owner.

        Raises:
            InvariantError: the mode is not `live`.
        """
        if config.mode != "live":
            raise InvariantError(
                f'an order gateway in mode "{config.mode}"; only live sends orders'
            )
        self.given_up = 0
        self.lost = 0
        self._inbox = inbox
        self._clock = clock
        self._rest = rest
        self._hedge = hedge
        self._contracts = contracts
        self._tasks = Tasks(audit, clock)
        self._teller = Teller(inbox, audit, clock)
        # The newest exit of each epoch: an earlier one awaits nothing, or was overtaken.
        self._tracks: dict[EpochKey, Track] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._stops = ClosingStops(
            rest=rest, inbox=inbox, audit=audit, clock=clock, tasks=self._tasks
        )
        self._sender = Sender(
            config=config.orders,
            socket=socket,
            rest=rest,
            signer=signer,
            inbox=inbox,
            audit=audit,
            clock=clock,
            tasks=self._tasks,
        )
        self._sender.on_lost = self._on_lost
        self._sender.on_not_sent = self._on_not_sent
        self._sender.on_rest_answer = self.on_answer
        self._mender = Mender(
            rest=rest,
            inbox=inbox,
            audit=audit,
            clock=clock,
            hedge=hedge,
            contracts=contracts,
            cancel_blocking=config.orders.cancel_blocking,
        )
        self._asker = Asker(
            rest=rest,
            inbox=inbox,
            audit=audit,
            clock=clock,
            recv_window_ms=config.orders.recv_window_ms,
        )

    @property
    def in_flight(self) -> int:
        """What is under way, questions left out: a shutdown lets it finish. 0 where nothing is."""
        return self._sender.in_flight + len(self._tasks) - len(self._asking)

    # Decisions --------------------------------------------------------------------------------

    def send(self, exit_: Exit, *, t_event_ms: int, t_recv_ns: int) -> list[bytes]:
        """Sends an exit's orders, in this turn.

        Args:
            exit_: the decision.
            t_event_ms: exchange time of the tick that caused it; 0 without one.
            t_recv_ns: when that was received.

        Returns:
            The frames that left over the socket, whole, for the record. Empty where it goes over REST, or
            where this is a repetition that must keep its distance from the one before: then the gateway has
            the inbox record what leaves, when it leaves.
        """
        now_ns = self._clock.now_ns()
        track, step = self._track(exit_)
        moments = Moments(t_event_ms * 1_000_000, t_recv_ns, now_ns)
        wait_ns = track.last_ns + step.pause_ms * 1_000_000 - now_ns
        if step is FIRST or (step.kind in {"market", "half"} and wait_ns <= 0):
            return self._leave(track, step, moments)
        self._tasks.start(
            self._leave_later(track, exit_, step, max(0, wait_ns) / 1e9, moments),
            name=f"exit {exit_.order_id}",
        )
        return []

    def _track(self, exit_: Exit) -> tuple[Track, Step]:
        """Where this exit stands, and how it is to be sent."""
        key = (exit_.symbol, exit_.side, exit_.epoch)
        track = self._tracks.get(key)
        if track is not None and track.exit.number == exit_.number:
            self._stop_asking(track.exit.order_id)
            track.next(exit_)
        else:
            if track is not None:
                # What a rung is still being sent again for, the full close does.
                track.over = True
                self._stop_asking(track.exit.order_id)
            track = self._keep(Track(exit_))
        if not exit_.full or not exit_.attempt:
            return track, FIRST
        if not track.failures:
            # The one before filled something: the rest follows, at its distance.
            return track, Step()
        return track, escalation(track.failures, track.last)

    def _keep(self, track: Track) -> Track:
        if len(self._tracks) >= EPOCHS_MAX and track.key not in self._tracks:
            del self._tracks[next(iter(self._tracks))]
        self._tracks[track.key] = track
        return track

    def _leave(self, track: Track, step: Step, moments: Moments) -> list[bytes]:
        """Sends the market orders of an exit; the frames that left."""
        exit_ = track.exit
        half = step.kind == "half"
        filters = self._contracts.get(exit_.symbol)
        orders = market_orders(exit_, hedge=self._hedge(), filters=filters, half=half)
        track.parts = len(orders)
        frames: list[bytes] = []
        for params in orders:
            request = Request(track, params, way=step.way, plain=not half)
            frame = self._sender.leave(request, moments)
            if frame is not None:
                frames.append(frame)
        loop = asyncio.get_running_loop()
        if not orders:
            loop.call_soon(self._dust, track, exit_)
        if step.alarm:
            loop.call_soon(self._teller.stuck, track)
        return frames

    async def _leave_later(
        self, track: Track, exit_: Exit, step: Step, wait_s: float, moments: Moments
    ) -> None:
        """Sends what keeps its distance, or needs a price first."""
        try:
            await asyncio.sleep(wait_s)
            if track.is_current(exit_):
                await self._leave_now(track, exit_, step, moments)
        except Exception:
            # Our bug, and it must not leave a position waiting for an order that never left.
            self._teller.outcome_soon(exit_, exit_.order_id, Event.REJECTED)
            raise

    async def _leave_now(self, track: Track, exit_: Exit, step: Step, moments: Moments) -> None:
        mark = None
        if step.kind in {"limit_ioc", "stop"}:
            mark = await self._mender.mark(exit_.symbol)
            if not track.is_current(exit_):
                return
        if step.kind == "stop" and mark is not None:
            await self._place_closing_stop(track, exit_, mark)
        elif step.kind != "limit_ioc" or mark is None or not self._leave_limit_ioc(track, mark):
            # Without a mark price the market order is what is left.
            for frame in self._leave(track, step, moments):
                self._inbox.order_sent(frame)
            return
        if step.alarm:
            self._teller.stuck(track)

    def _leave_limit_ioc(self, track: Track, mark: Decimal) -> bool:
        """Sends a LIMIT IOC order; False where the quantity cannot be traded so."""
        exit_ = track.exit
        params = limit_ioc_order(
            symbol=exit_.symbol,
            side=exit_.side,
            client_id=exit_.order_id,
            quantity=exit_.quantity,
            hedge=self._hedge(),
            filters=self._contracts.get(exit_.symbol),
            mark=mark,
        )
        if params is None:
            return False
        track.parts = 1
        self._sender.leave_again(Request(track, params, way="rest", plain=False))
        return True

    async def _place_closing_stop(self, track: Track, exit_: Exit, mark: Decimal) -> None:
        params = closing_stop(
            symbol=exit_.symbol,
            side=exit_.side,
            client_id=exit_.order_id,
            hedge=self._hedge(),
            filters=self._contracts.get(exit_.symbol),
            mark=mark,
        )
        track.last_ns = self._clock.now_ns()
        await self._stops.place(exit_, params)
        if track.is_current(exit_):
            # No market order left under this id. The next one does not wait for the stop to trigger.
            self._teller.outcome(exit_, exit_.order_id, Event.REJECTED)

    # Answers ----------------------------------------------------------------------------------

    def on_answer(self, message: bytes) -> bool:
        """Takes an answer, after the pump has taken it.

        Args:
            message: a WebSocket-API frame, or REST's answer in its form. Answers of others are left alone.

        Returns:
            Whether it was of one of our requests.
        """
        try:
            answer = decode_answer(message)
        except FAULTS:
            return False
        found = self._sender.take(str(answer.id))
        if found is None:
            return False
        request, late = found
        if answer.rate_limits:
            now_ns = self._rest.server_time.exchange_ns(self._clock.now_ns())
            self._rest.budget.on_ws_limits(answer.rate_limits, now_ns)
        if answer.result is not None and answer.result.status and answer.error is None:
            self._taken(request, answer.result)
        else:
            self._refused(request, answer, late=late)
        return True

    def _taken(self, request: Request, result: AnswerResult) -> None:
        """The exchange has the order. What it says of fills reached the engine by the pump."""
        filled = _amount(result.executed_quantity)
        track = request.track
        if track.exit is request.exit:
            track.filled = track.filled or filled > 0
            if not filled and result.status == "EXPIRED":
                # A market order that found nothing within its bound (er = 9).
                track.last = Reaction.IOC_AT_BOUND
        self._teller.answered(
            request,
            result.status.lower(),
            filled=filled,
            average_price=_amount(result.average_price) or None,
        )

    def _refused(self, request: Request, answer: Answer, *, late: bool) -> None:
        error = answer.error
        code = None if error is None else error.code
        text = answer.text if error is None else error.msg
        wanted = reaction(code=code, status=answer.status, text=text, full=request.exit.full)
        self._react(request, wanted, code=code, text=text, late=late)

    def _react(
        self, request: Request, wanted: Reaction, *, code: int | None, text: str, late: bool = False
    ) -> None:
        """Does what a failure asks for."""
        exit_ = request.exit
        if request.track.exit is exit_:
            request.track.last = wanted
        shown = line(redact(text), chars_max=FAILURE_TEXT_CHARS_MAX)
        self._teller.answered(request, str(wanted), code=code, text=shown)
        if wanted in RESENDS:
            turn = request.resends.get(wanted, 0)
            if late or not self._may_resend(request, wanted):
                self._give_up(request, f"{wanted}: {code} {shown}")
            else:
                request.resends[wanted] = turn + 1
                self._tasks.start(
                    self._resend(request, wanted, turn, text), name=f"resend {request.identity}"
                )
            return
        event = engine_event(wanted)
        if code is None and event is not None:
            # The account's feed reads codes only.
            self._teller.outcome_soon(exit_, request.client_id, event)
        if wanted is Reaction.CANCEL_BLOCKING or code in POSITION_DOUBTED:
            self._tasks.start(self._mender.unblock(exit_, code), name=f"unblock {exit_.order_id}")
        if wanted is Reaction.HALT:
            self._teller.key_refused(exit_, f"{code} {shown}")
        elif wanted is Reaction.REFUSED:
            self._teller.refused(exit_, f"{code} {shown}")

    def _may_resend(self, request: Request, wanted: Reaction) -> bool:
        if not request.is_wanted or sum(request.resends.values()) >= RESENDS_MAX:
            return False
        age_ns = self._clock.now_ns() - request.first_ns
        in_time = request.exit.full or age_ns < PARTIAL_PATIENCE_NS
        return in_time and request.resends.get(wanted, 0) < RESENDS[wanted]

    async def _resend(self, request: Request, wanted: Reaction, turn: int, text: str) -> None:
        why = f"{wanted}: nothing to mend"
        try:
            if await self._mender.mend(request, wanted, turn=turn, text=text):
                why = "overtaken"
                if request.is_wanted:
                    self._sender.leave_again(request)
                    return
        except Exception:
            self._give_up(request, "an internal fault")
            raise
        self._give_up(request, why)

    def _give_up(self, request: Request, why: str) -> None:
        """It certainly was not executed, and it is not sent again under this id."""
        self.given_up += 1
        if request.is_wanted:
            self._teller.refused(request.exit, why)
        if request.track.parts == 1:
            self._stop_asking(request.exit.order_id)
        self._teller.outcome_soon(request.exit, request.client_id, Event.REJECTED)

    def _on_not_sent(self, request: Request) -> None:
        """No connection for REST came about: it did not leave."""
        self._react(request, Reaction.OTHER_ROUTE, code=None, text="no connection")

    # Outcomes that nobody knows ---------------------------------------------------------------

    def on_socket_down(self, identities: Iterable[str]) -> None:
        """An order socket is gone: what became of these requests is unknown (`OrderSocket.on_down`)."""
        self._sender.on_socket_down(identities)

    def _on_lost(self, request: Request) -> None:
        self.lost += 1
        self._teller.answered(request, "unknown", text="no answer")
        self._teller.outcome_soon(request.exit, request.client_id, Event.UNKNOWN)

    def ask(self, decision: OutcomeAsked) -> None:
        """Asks the exchange for an exit's orders, its position and trades, until the outcome is known.

        The answers go into the inbox. Asking about the same order twice at a time changes nothing.
        """
        if decision.order_id in self._asking:
            return
        key = (decision.symbol, decision.side, decision.epoch)
        track = self._tracks.get(key)
        task = self._tasks.start(
            self._asker.run(decision, track, self._teller.found), name=f"ask {decision.order_id}"
        )
        self._asking[decision.order_id] = task
        task.add_done_callback(lambda _: self._asked(decision.order_id, task))

    def _asked(self, order_id: str, task: asyncio.Task[None]) -> None:
        if self._asking.get(order_id) is task:
            del self._asking[order_id]

    def settled(self, order_id: str) -> None:
        """The engine knows what became of an order: no more questions about it."""
        self._stop_asking(order_id)

    def _stop_asking(self, order_id: str) -> None:
        task = self._asking.pop(order_id, None)
        if task is not None:
            task.cancel()

    def restore(self, exit_: Exit, *, sent_ns: int) -> None:
        """Takes an exit that an earlier process may have sent, so that asking about it can prove things.

        Args:
            exit_: its newest sending.
            sent_ns: the latest instant at which it can have left; 0 where that is not known.
        """
        track = Track(exit_)
        track.first_ns = track.last_ns = sent_ns
        track.last = Reaction.ASK
        self._keep(track)

    # Ends -------------------------------------------------------------------------------------

    def cancel_epoch(self, decision: OrdersCancelled) -> None:
        """The epoch ended: nothing of it is sent or asked any more.

        Market and IOC orders end by themselves. Only a closing stop of ours could rest; the exchange ends it
        with the position, and it is cancelled all the same.
        """
        key = (decision.symbol, decision.side, decision.epoch)
        track = self._tracks.pop(key, None)
        if track is not None:
            track.over = True
            self._stop_asking(track.exit.order_id)
        self._stops.cancel(key)
        asyncio.get_running_loop().call_soon(self._teller.ended, decision.symbol, decision.side)

    async def close(self) -> None:
        """Ends every task and timer of the gateway."""
        self._sender.close()
        await self._tasks.close()

    # Dust -------------------------------------------------------------------------------------

    def _dust(self, track: Track, exit_: Exit) -> None:
        """Nothing left: what remains is less than the exchange trades."""
        self._teller.dust(exit_)
        if exit_.full:
            self._tasks.start(self._look_again(track, exit_), name=f"dust {exit_.order_id}")
        else:
            self._teller.outcome(exit_, exit_.order_id, Event.REJECTED)

    async def _look_again(self, track: Track, exit_: Exit) -> None:
        await asyncio.sleep(DUST_PAUSE_S)
        if track.is_current(exit_):
            self._teller.outcome(exit_, exit_.order_id, Event.REJECTED)


def _amount(text: str | None) -> Decimal:
    """A quantity or price of an answer; 0 for what is none."""
    try:
        value = Decimal(text or 0)
    except InvalidOperation:
        return ZERO
    return value if value.is_finite() else ZERO
