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
from decimal import Decimal
from typing import Final

from reactor.audit import Audit
from reactor.binance.failures import Reaction
from reactor.binance.filters import SymbolFilters
from reactor.clock import Clock
from reactor.config import Config
from reactor.core.decisions import Exit, OrdersCancelled, OutcomeAsked
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine
from reactor.errors import InvariantError
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.answers import PARTIAL_PATIENCE_NS, Answers
from reactor.shell.gateway.asking import Asker
from reactor.shell.gateway.built import MarketOrders, closing_stop, limit_ioc_order, market_orders
from reactor.shell.gateway.closing_stops import ClosingStops
from reactor.shell.gateway.escalation import FIRST, Step, escalation
from reactor.shell.gateway.frames import Signer
from reactor.shell.gateway.mending import Mender
from reactor.shell.gateway.sending import Moments, OrderSocket, Sender
from reactor.shell.gateway.tasks import Tasks
from reactor.shell.gateway.telling import Teller
from reactor.shell.gateway.tracked import EPOCHS_MAX, EpochKey, Request, Track
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient

DUST_PAUSE_S: Final = 60.0
"""How long until a full close of what cannot be traded is looked at again: rules change, positions grow."""


ASK_PAUSES_S: Final = (0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Before an order is asked about once more, by how often it was in vain: a dozen positions that are asked about
twice a second would use up the request weight that their exits need."""


class Gateway:
    """The one way out for exits."""

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
        self._recv_window_ms = config.orders.recv_window_ms
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
        # How often each of them was asked about in vain.
        self._vain: dict[str, int] = {}
        self._market_orders = MarketOrders()
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
        self.trigger = self._sender.trigger(hedge=hedge, contracts=contracts)
        self._mender = Mender(
            rest=rest,
            inbox=inbox,
            audit=audit,
            clock=clock,
            hedge=hedge,
            contracts=contracts,
            cancel_blocking=config.orders.cancel_blocking,
        )
        self._answers = Answers(
            sender=self._sender,
            mender=self._mender,
            teller=self._teller,
            tasks=self._tasks,
            rest=rest,
            clock=clock,
            stop_asking=self._stop_asking,
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

    @property
    def given_up(self) -> int:
        """Requests that were sent again in vain, since the start."""
        return self._answers.given_up

    @property
    def lost(self) -> int:
        """Requests whose answer did not come in time, since the start."""
        return self._answers.lost

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
        decided_ns = self._sender.decided_ns(exit_.order_id, now_ns)
        moments = Moments(t_event_ms * 1_000_000, t_recv_ns, decided_ns)
        wait_ns = track.last_ns + step.pause_ms * 1_000_000 - now_ns
        if step is FIRST or (step.kind in {"market", "half"} and wait_ns <= 0):
            return self._leave(track, step, moments)
        self._tasks.start(
            self._leave_later(track, exit_, step, max(0, wait_ns) / 1e9, moments),
            name=f"exit {exit_.order_id}",
        )
        return []

    def aim(self, machine: Machine, order_id: str) -> Aim | None:
        """Builds the close of everything a machine holds, all but signed; None where it is not one plain order."""
        filters, hedge = self._contracts.get(machine.symbol), self._hedge()
        quantity = machine.orders.quantity
        parts = self._market_orders.prepare(
            machine.symbol, machine.side, quantity, hedge=hedge, filters=filters
        )
        if len(parts) != 1:
            return None
        params = {**parts[0], "newClientOrderId": order_id}
        begun = self._sender.begin(order_id, params)
        if begun is None:
            return None
        aim = Aim(
            symbol=machine.symbol,
            quantity=quantity,
            number=machine.orders.number,
            order_id=order_id,
            identity=begun[0],
            params=params,
            hedge=hedge,
            filters=filters,
            begun=begun[1],
            recv_window_ms=self._recv_window_ms,
        )
        self._sender.sign(aim, self._clock.now_ns())
        return aim

    def sign(self, aim: Aim, now_ns: int) -> None:
        """Signs what was aimed anew, with the time of now."""
        self._sender.sign(aim, now_ns)

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool:
        """Sends what was aimed, ahead of the decision for it; False where it does not hold, or did not leave.

        For practice it does everything else, and answers False.
        """
        return (
            self._hedge() is aim.hedge
            and self._contracts.get(aim.symbol) is aim.filters
            and self._sender.fire(aim, now_ns, is_practice=is_practice)
        )

    def unclaimed(self) -> list[Fired]:
        """Orders that left and that no decision claimed: a bug, and told by who asks. Forgotten by this."""
        fired = self._sender.fired
        if not fired:
            return []
        left = list(fired.values())
        fired.clear()
        return left

    def rehearse(self, exit_: Exit) -> int:
        """Builds and signs what an exit of no position would send, and sends nothing.

        Returns:
            How many bytes would have left.
        """
        orders = self._market_orders.orders(exit_, hedge=self._hedge(), filters=None)
        track = Track(exit_)
        return sum(
            self._sender.rehearse(Request(track, params, way="socket", plain=True))
            for params in orders
        )

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
        if half:
            orders = market_orders(exit_, hedge=self._hedge(), filters=filters, half=True)
        else:
            orders = self._market_orders.orders(exit_, hedge=self._hedge(), filters=filters)
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
        return self._answers.take(message)

    def on_socket_down(self, identities: Iterable[str]) -> None:
        """An order socket is gone: what became of these requests is unknown (`OrderSocket.on_down`)."""
        self._sender.on_socket_down(identities)

    def ask(self, decision: OutcomeAsked) -> None:
        """Asks the exchange for an exit's orders, its position and trades, until the outcome is known.

        The answers go into the inbox. Asking about the same order twice at a time changes nothing.
        """
        if decision.order_id in self._asking:
            return
        key = (decision.symbol, decision.side, decision.epoch)
        track = self._tracks.get(key)
        times = self._vain.get(decision.order_id, 0)
        self._vain[decision.order_id] = times + 1
        task = self._tasks.start(
            self._ask(decision, track, pause_s=ASK_PAUSES_S[min(times, len(ASK_PAUSES_S) - 1)]),
            name=f"ask {decision.order_id}",
        )
        self._asking[decision.order_id] = task
        task.add_done_callback(lambda _: self._asked(decision.order_id, task))

    async def _ask(self, decision: OutcomeAsked, track: Track | None, *, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._asker.run(decision, track, self._teller.found)

    def _asked(self, order_id: str, task: asyncio.Task[None]) -> None:
        if self._asking.get(order_id) is task:
            del self._asking[order_id]

    def settled(self, order_id: str) -> None:
        """The engine knows what became of an order: no more questions about it."""
        self._stop_asking(order_id)

    def _stop_asking(self, order_id: str) -> None:
        self._vain.pop(order_id, None)
        task = self._asking.pop(order_id, None)
        if task is not None:
            task.cancel()

    def restore(self, exit_: Exit, *, sent_ns: int) -> None:
        """Takes an exit that an earlier process may have sent, so that asking about it can prove things.

        Args:
            exit_: its newest sending.
            sent_ns: when it was decided, or first left; 0 where that is not known. Until `PARTIAL_PATIENCE_NS`
                later it may have been sent again.
        """
        track = Track(exit_)
        if sent_ns:
            track.first_ns = sent_ns
            track.last_ns = min(self._clock.now_ns(), sent_ns + PARTIAL_PATIENCE_NS)
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
