"""What the exchange itself saw of a session, and what must never be in it.

An `ExchangeRecord` reads the account's own fills and listens where the simulated exchange tells of conditional orders,
before any fault may lose, delay or double the message. It counts with that alone: not with what the guard believes.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from reactor.audit import AlarmRaised, AuditEvent, Decided, PositionSeen
from reactor.binance.orders import (
    OrderIdParts,
    parse_client_order_id,
    position_hash,
)
from reactor.core.decisions import Exit, Opened, Reason, Side, StopKind, StopMoved
from reactor.sim.account import Account
from reactor.sim.connection import Connection
from reactor.sim.model import Trade
from reactor.sim.rest import Request, Response
from reactor.sim.simulation import Simulation

Key = tuple[str, str]
"""A symbol and a position side as the exchange spells it: BOTH, LONG or SHORT."""

NAKED_KINDS: Final = ("naked", "unprotected")
"""Alarms that say of a position that its hard stop is not what it should be; so does every `hard_stop_…`."""

SENDINGS_PER_10_S_MAX: Final = 40
"""Exit orders for one position in ten seconds: the escalation's four a second, and both ways."""

Z: Final = Decimal(0)


@dataclass
class Naked:
    """One stretch in which a position had no stop of its size at the exchange."""

    key: Key
    from_ns: int
    until_ns: int
    side: Side
    why: str

    @property
    def seconds(self) -> float:
        return (self.until_ns - self.from_ns) / 1e9


@dataclass
class Sent:
    """A request of the guard for an exit order, as it arrived, carried out or not."""

    t_ms: int
    symbol: str
    client_id: str


@dataclass
class ExchangeRecord:
    """The record.

    Attributes:
        problems: what must never happen and did, by what the exchange saw alone.
        lives: how often a position was opened from flat, or flipped into, by position and direction.
        closed: what the orders of one decision closed, by their ids' part up to the decision.
        cancelled: orders of other people that were cancelled by request, by client id.
        naked: stretches without a stop of the position's size, longer than a round trip.
    """

    simulation: Simulation
    now_ns: Callable[[], int]
    account: str = "main"
    problems: list[str] = field(default_factory=list)
    lives: Counter[tuple[str, Side]] = field(default_factory=Counter)
    closed: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cancelled: list[str] = field(default_factory=list)
    naked: list[Naked] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    _amounts: dict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    _stops: dict[tuple[str, int, str], list[tuple[int, Decimal]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _bare: dict[Key, Naked] = field(default_factory=dict)
    _last: Trade | None = None

    def __post_init__(self) -> None:
        exchange = self.simulation.exchange
        self._last = next(reversed(exchange.accounts[self.account].trades), None)
        for (symbol, side), position in exchange.accounts[self.account].positions.items():
            if position.amount:
                self._move((symbol, side), Z, position.amount)
        tell, answer, send = exchange.tell_user, self.simulation.request, self.simulation.send

        def tell_user(account: Account, event: dict[str, Any]) -> None:
            if account.name == self.account:
                self._hear(event)
            tell(account, event)

        def requested(request: Request) -> Response:
            if not request.path.startswith("/sim"):
                params = dict(parse_qsl(request.body)) | dict(parse_qsl(request.query))
                self._asked(request.method, request.path, params)
            return answer(request)

        def sent(connection: Connection, text: str | bytes) -> None:
            if connection.route == "api":
                frame = orjson.loads(text)
                if frame.get("method") == "order.place":
                    self._asked("POST", "/fapi/v1/order", frame.get("params", {}))
            send(connection, text)

        exchange.tell_user = tell_user  # type: ignore[method-assign]
        self.simulation.request = requested  # type: ignore[method-assign]
        self.simulation.send = sent  # type: ignore[method-assign]

    # What it hears ----------------------------------------------------------------------------

    def _asked(self, method: str, path: str, params: Mapping[str, Any]) -> None:
        self._catch_up()
        if (method, path) == ("POST", "/fapi/v1/order"):
            now_ms = self.now_ns() // 1_000_000
            client_id = str(params.get("newClientOrderId", ""))
            self.sent.append(Sent(now_ms, str(params.get("symbol", "")), client_id))

    def _hear(self, event: dict[str, Any]) -> None:
        self._catch_up()
        if event["e"] == "ALGO_UPDATE":
            self._hear_stop(event["o"])

    def _catch_up(self) -> None:
        """Takes the fills that the account has and that were not looked at: they are there whoever is told."""
        account = self.simulation.exchange.accounts[self.account]
        new: list[Trade] = []
        for trade in reversed(account.trades):
            if trade is self._last:
                break
            new.append(trade)
        for trade in reversed(new):
            self._last = trade
            place = (trade.symbol, trade.order_id)
            order = account.orders.get(place) or account.closed[place]
            key = (trade.symbol, trade.position_side)
            before = self._amounts[key]
            after = before + trade.quantity * (1 if trade.side == "BUY" else -1)
            self._move(key, before, after)
            ours = parse_client_order_id(order.client_id)
            if ours is not None:
                self._ours(order.client_id, ours, trade, before, after)

    def _move(self, key: Key, before: Decimal, after: Decimal) -> None:
        self._amounts[key] = after
        if after and before * after <= 0:
            self.lives[key[0], "LONG" if after > 0 else "SHORT"] += 1

    def _ours(
        self, client_id: str, ours: OrderIdParts, trade: Trade, before: Decimal, after: Decimal
    ) -> None:
        place = f"{trade.symbol} {trade.position_side}"
        if before * after < 0 or abs(after) >= abs(before):
            self._broken(f"{client_id} took {place} from {before} to {after}")
        if ours.purpose == "exit":
            self.closed[decision_of(client_id)] += trade.quantity
        side: Side = "LONG" if before > 0 else "SHORT"
        if before and ours.position != position_hash(trade.symbol, side):
            self._broken(f"{client_id} of another position closed {place}, which is {side}")

    def _hear_stop(self, algo: dict[str, Any]) -> None:
        ours = parse_client_order_id(algo["caid"])
        if ours is None:
            if algo["X"] == "CANCELED":
                self.cancelled.append(algo["caid"])
        elif algo["X"] == "NEW" and ours.purpose == "hard_stop":
            place = (ours.position, ours.epoch_number, ours.epoch)
            sign = 1 if algo["S"] == "SELL" else -1
            self._stops[place].append((ours.decision, Decimal(algo["tp"]) * sign))

    def _broken(self, what: str) -> None:
        self.problems.append(what)

    # What it looks at -------------------------------------------------------------------------

    def look(self, *, guarded: bool) -> None:
        """Looks at what protects each open position now; call it several times a second.

        Args:
            guarded: whether a guard runs: while none does, nobody can tell anybody.
        """
        self._catch_up()
        now_ns = self.now_ns()
        account = self.simulation.exchange.accounts[self.account]
        for key, position in account.positions.items():
            why = self._why_bare(account, key, position.amount) if position.amount else ""
            bare = self._bare.get(key)
            side: Side = "LONG" if position.amount > 0 else "SHORT"
            if not why or not guarded or (bare is not None and bare.side != side):
                if self._bare.pop(key, None) is not None and bare is not None:
                    self.naked.append(bare)
                continue
            if bare is None:
                bare = self._bare[key] = Naked(key, now_ns, now_ns, side, why)
            bare.until_ns, bare.why = now_ns, why

    def end(self) -> None:
        """The session is over: stretches that last are stretches too, and orders that ended have ended."""
        self._catch_up()
        account = self.simulation.exchange.accounts[self.account]
        self.cancelled += [
            order.client_id
            for order in account.closed.values()
            if order.status == "CANCELED" and parse_client_order_id(order.client_id) is None
        ]
        self.naked += self._bare.values()
        self._bare.clear()

    def _why_bare(self, account: Account, key: Key, amount: Decimal) -> str:
        symbol, side = key
        closing = "SELL" if amount > 0 else "BUY"
        covered = Z
        for algo in account.algos.values():
            if (
                (algo.symbol, algo.position_side, algo.side) == (symbol, side, closing)
                and algo.type == "STOP_MARKET"
                and algo.status == "NEW"
            ):
                covered += abs(amount) if algo.close_position else algo.quantity
        return "" if covered >= abs(amount) else f"{covered} of {abs(amount)} covered"

    # What it judges ---------------------------------------------------------------------------

    def broken(self, events: Iterable[AuditEvent], *, naked_s_max: float) -> list[str]:
        """Everything that must never happen and did.

        Args:
            events: all audit events of all runs of the guard, in order.
            naked_s_max: how long a position may be without its stop at the exchange before somebody must have
                been told: two seconds and a look where the guard is told of everything, a minute more where the
                exchange keeps things from it.
        """
        self.end()
        told = _Told(events)
        return [
            *self.problems,
            *self._twice(told),
            *self._invented(told),
            *self._loosened(told),
            *self._silent(told, naked_s_max),
            *self._foreign(told),
            *self._flood(),
            *told.problems,
        ]

    def _twice(self, told: "_Told") -> Iterable[str]:
        """No decision closes more than it said, and no life of a position takes a rung twice."""
        for name, closed in self.closed.items():
            decided = told.decided.get(name)
            if decided is None:
                yield f"{name} closed {closed} and was never decided"
            elif not decided.full and closed > decided.quantity:
                yield f"{name} decided {decided.quantity} and closed {closed}"
        for (symbol, side, epoch), names in told.rungs.items():
            done = self._fresh(sorted(names), told)
            if len(done) > told.rungs_max[symbol, side, epoch]:
                yield f"{symbol} {side} {epoch} took rungs {len(done)} times: {done}"

    def _fresh(self, names: list[str], told: "_Told") -> list[str]:
        """The decisions that closed something and do not repeat what the one before them left open."""
        found: list[str] = []
        left = Z
        for name in names:
            quantity, closed = told.decided[name].quantity, self.closed.get(name, Z)
            if closed and quantity != left:
                found.append(name)
            left = quantity - closed
        return found

    def _invented(self, told: "_Told") -> Iterable[str]:
        """Nobody guards a life of a position that never was."""
        for key, epochs in told.opened.items():
            if len(epochs) > self.lives[key]:
                yield f"{key} was opened {self.lives[key]} times and taken up {len(epochs)} times"

    def _loosened(self, told: "_Told") -> Iterable[str]:
        """No stop at the exchange is looser than one placed before it for the same epoch."""
        manual = {(position_hash(symbol, side), epoch) for symbol, side, epoch in told.manual}
        for (position, number, _), placed in self._stops.items():
            if (position, number) in manual:
                continue
            for (first, before), (then, after) in itertools.pairwise(placed):
                if after < before and then >= first:
                    yield f"hard stop {position}-{number}: {before} → {after}"

    def _silent(self, told: "_Told", naked_s_max: float) -> Iterable[str]:
        """No position is without its stop for long without somebody being told."""
        for stretch in self.naked:
            if stretch.seconds > naked_s_max and not told.of_naked(stretch):
                yield (
                    f"{stretch.key} naked for {stretch.seconds:.1f} s from {stretch.from_ns}"
                    f" ({stretch.why}) and nobody was told"
                )

    def _foreign(self, told: "_Told") -> Iterable[str]:
        """Other people's orders are cancelled only where they block a full close, and by name."""
        for client_id in self.cancelled:
            if not any(client_id in text for text in told.blocking):
                yield f"{client_id} is somebody else's and was cancelled"

    def _flood(self) -> Iterable[str]:
        for symbol in {one.symbol for one in self.sent}:
            times = [one.t_ms for one in self.sent if one.symbol == symbol]
            for first, last in zip(times, times[SENDINGS_PER_10_S_MAX:], strict=False):
                if last - first < 10_000:
                    yield f"{symbol}: {SENDINGS_PER_10_S_MAX} orders within {last - first} ms"
                    break


def decision_of(client_id: str) -> str:
    """What the ids of one decision's orders share: everything before part and attempt."""
    return client_id[:-6]


class _Told:
    """What the guard decided and said, sorted for the judge."""

    def __init__(self, events: Iterable[AuditEvent]) -> None:
        self.problems: list[str] = []
        self.decided: dict[str, Exit] = {}
        self.opened: dict[tuple[str, Side], set[int]] = defaultdict(set)
        self.rungs: dict[tuple[str, Side, int], set[str]] = defaultdict(set)
        self.rungs_max: dict[tuple[str, Side, int], int] = {}
        self.manual: set[tuple[str, Side, int]] = set()
        self.blocking: list[str] = []
        self._alarms: list[tuple[int, AlarmRaised]] = []
        self._stops: dict[tuple[str, Side, int], Decimal] = {}
        self._peaks: dict[tuple[str, Side, int], Decimal] = {}
        self._taken: dict[tuple[str, Side, int], int] = {}
        for event in events:
            self._take(event)

    def _take(self, event: AuditEvent) -> None:
        what = event.what
        if isinstance(what, Decided):
            self._decided(what.decision)
        elif isinstance(what, PositionSeen):
            self._seen(what)
        elif isinstance(what, AlarmRaised):
            self._alarm(event.t_ns, what)

    def _decided(self, decision: Any) -> None:
        if isinstance(decision, Opened):
            key = (decision.symbol, decision.side, decision.epoch)
            self.opened[decision.symbol, decision.side].add(decision.epoch)
            self.rungs_max[key] = max(1, len(decision.targets))
            self._stop(key, decision.stop, manual=False)
        elif isinstance(decision, StopMoved):
            key = (decision.symbol, decision.side, decision.epoch)
            self._stop(key, decision.stop, manual=decision.kind is StopKind.MANUAL)
        elif isinstance(decision, Exit):
            name = decision_of(decision.order_id)
            known = self.decided.get(name)
            if known is None or decision.full or decision.quantity > known.quantity:
                self.decided[name] = decision
            if Reason.TAKE_PROFIT in decision.reasons:
                self.rungs[decision.symbol, decision.side, decision.epoch].add(name)

    def _stop(self, key: tuple[str, Side, int], stop: Decimal, *, manual: bool) -> None:
        if manual:
            self.manual.add(key)
        sign = 1 if key[1] == "LONG" else -1
        before = self._stops.get(key)
        if before is not None and not manual and (stop - before) * sign < 0:
            self.problems.append(f"{key}: the stop was loosened from {before} to {stop}")
        self._stops[key] = stop

    def _seen(self, seen: PositionSeen) -> None:
        if not seen.managed or not seen.epoch:
            return
        key = (seen.symbol, seen.side, seen.epoch)
        sign = 1 if seen.side == "LONG" else -1
        if seen.stop is not None:
            self._stop(key, seen.stop, manual=seen.stop_kind == StopKind.MANUAL)
        if seen.peak is not None:
            peak = self._peaks.get(key)
            if peak is not None and (seen.peak - peak) * sign < 0:
                self.problems.append(f"{key}: the peak fell back from {peak} to {seen.peak}")
            self._peaks[key] = seen.peak
        taken = sum(1 for _, _, is_taken in seen.targets if is_taken)
        if taken < self._taken.get(key, 0):
            self.problems.append(f"{key}: {self._taken[key]} rungs were taken, now {taken}")
        self._taken[key] = taken

    def _alarm(self, t_ns: int, alarm: AlarmRaised) -> None:
        self._alarms.append((t_ns, alarm))
        if alarm.kind in {"invariant", "fault", "gateway_fault", "engine", "crash"}:
            self.problems.append(f"{alarm.kind}: {alarm.text}")
        if alarm.kind == "blocking_cancelled":
            self.blocking.append(alarm.text)

    def of_naked(self, stretch: Naked) -> bool:
        """Whether anybody was told of a stretch while it lasted: of it, or that the guard cannot even start."""
        return any(
            not alarm.resolved
            and (alarm.kind == "start" or (alarm.symbol == stretch.key[0] and _is_naked(alarm)))
            and stretch.from_ns - 62_000_000_000 <= t_ns <= stretch.until_ns
            for t_ns, alarm in self._alarms
        )


def _is_naked(alarm: AlarmRaised) -> bool:
    return alarm.kind in NAKED_KINDS or alarm.kind.startswith("hard_stop")
