"""Asks the exchange what is, and brings what is known into step with it.

After a start, a reconnect, a change of the listen key or an unknown outcome everything is asked; once a minute
the cheap part. Answers go through the guard like everything else that comes in; what they differ in is found
by `core.reconcile.diff` and told. Only one run is under way at a time, and causes that come meanwhile share the
next one.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from reactor.audit import AlarmRaised, Audit, Reconciled
from reactor.binance.orders import epoch_hash, instance_hash, parse_client_order_id
from reactor.binance.rest_account_messages import AlgoOrder, Order, PositionRisk
from reactor.clock import Clock
from reactor.core.reconcile import (
    RACE_NS,
    Difference,
    Key,
    Kind,
    Known,
    KnownPosition,
    KnownStop,
    Need,
    SeenStop,
    Snapshot,
    diff,
    needs,
)
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.guard import Guard
from reactor.shell.reconciled_rows import (
    closed_side,
    hedge_of,
    rows_of,
    seen_order,
    seen_position,
    seen_resting,
)
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest_seam import RestAnswer

POSITIONS: Final = "/fapi/v3/positionRisk"
OPEN_ORDERS: Final = "/fapi/v1/openOrders"
OPEN_ALGO: Final = "/fapi/v1/openAlgoOrders"
ORDER: Final = "/fapi/v1/order"
TRADES: Final = "/fapi/v1/userTrades"
ACCOUNT: Final = "/fapi/v1/accountConfig"

ALL_SYMBOLS_WEIGHT: Final = 40
"""Of the open-order lists without a symbol; with one it is 1, so few symbols are asked one by one."""

AGAIN_S: Final = 2.0
"""Before an answer that may have been stale is asked for again: longer than REST lags the stream."""

ROUNDS_MAX: Final = 5
"""Runs in a row for stale answers and failures; after that the minute's own run goes on."""

FAILURES_TOLD: Final = 3
"""Runs in a row that failed before a person is told."""

FILLS_OF_ALL_MAX: Final = 100
"""Symbols up to which the fills of all are asked for after a gap: they weigh 5 each. Beyond, those that differ."""

UNKNOWN_SYMBOL: Final = -1121

TRADES_LIMIT: Final = 1000
TRADES_WINDOW_MS: Final = 7 * 86_400_000
"""Of fills from a time on, the exchange answers with those of the seven days that begin there; without one, with
the newest (binance.md, section on REST)."""

DEAF_AFTER_S: Final = 5.0
"""How much later than its answer the stream may tell of a change and still count as listening."""

DEAF_TIMES: Final = 2
"""Changes in a row that the stream did not tell of, before its socket is thought deaf."""

MOVED: Final = frozenset(
    {Kind.OPENED, Kind.GROWN, Kind.REDUCED, Kind.CLOSED, Kind.FLIPPED, Kind.ENTRY_MOVED}
)
"""Differences of which the stream tells, while it is connected."""

Row = TypeVar("Row")

QUIET: Final = frozenset({Kind.STALE, Kind.ORDER_UNASKED, Kind.ORDER_WORKING})
"""Differences that are nobody's news."""


class StopBook(Protocol):
    """Where hard stops are kept."""

    def known_stops(self) -> Mapping[Key, tuple[KnownStop, ...]]:
        """The stops that should stand."""
        ...

    def on_snapshot(self, answer: RestAnswer) -> None:
        """Takes a list of open conditional orders."""
        ...


class Reconciler:
    """Keeps one account's books in step.

    Attributes:
        stops: the hard stops, where there are any.
        others_guard: whether hard stops of others are expected (shadow mode), and nobody's news.
        on_deaf: asks for another socket of the user stream, with the reason; answers whether one will be made.
        done: set when a whole run has succeeded. `last_ns`: when that was. `failed`: runs in a row that did not.
    """

    def __init__(
        self,
        *,
        rest: RestClient,
        guard: Guard,
        audit: Audit,
        clock: Clock,
        instance: str,
        every_s: float,
        halted: Callable[[], tuple[frozenset[str], frozenset[str]]] = lambda: (
            frozenset(),
            frozenset(),
        ),
    ) -> None:
        """Does nothing until it is run.

        Args:
            rest: what asks.
            guard: takes the answers.
            audit: told what differed.
            clock: ours.
            instance: this instance's name.
            every_s: between two cheap runs.
            halted: the symbols that do not trade now, and those that are not listed any more.
        """
        self._rest = rest
        self._guard = guard
        self._audit = audit
        self._clock = clock
        self._instance = instance_hash(instance)
        self._every_s = every_s
        self.stops: StopBook | None = None
        self.others_guard = False
        self.on_deaf: Callable[[str], bool] = lambda _: False
        self._gaps = self._settled_gaps = 0
        self._untold = 0
        self._ears: set[asyncio.TimerHandle] = set()
        self._halted = halted
        self._causes: list[str] = []
        self._wake = asyncio.Event()
        self.done = asyncio.Event()
        self.last_ns = 0
        self.failed = 0

    def want(self, cause: str) -> None:
        """Asks for a whole run as soon as possible."""
        if cause not in self._causes:
            self._causes.append(cause)
        self._wake.set()

    def gap(self, cause: str) -> None:
        """Asks for a whole run because events may have been missed: what differs then is no surprise."""
        self._gaps += 1
        self.want(cause)

    async def run(self) -> None:
        """Runs until cancelled: at once for a cause, and cheaply every `every_s`."""
        try:
            await self._run()
        finally:
            for ear in self._ears:
                ear.cancel()

    async def _run(self) -> None:
        rounds = 0
        while True:
            whole = bool(self._causes)
            if not whole:
                try:
                    async with asyncio.timeout(self._every_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                whole = bool(self._causes)
            self._wake.clear()
            causes, self._causes = self._causes, []
            again = await self._once(", ".join(causes) or "every minute", whole=whole)
            if not again:
                rounds = 0
                continue
            rounds += 1
            if rounds < ROUNDS_MAX or not self.done.is_set():
                await asyncio.sleep(min(AGAIN_S * rounds, 30.0))
                self.want("asked again")

    async def _once(self, cause: str, *, whole: bool) -> bool:
        """One run.

        Returns:
            Whether another one should follow: it failed, or an answer may have been stale.
        """
        asked_ns = self._clock.now_ns()
        gaps = self._gaps
        try:
            differences = await self._ask(asked_ns, whole=whole)
        except (RestFailed, BudgetExhausted) as error:
            self.failed += 1
            if self.failed == FAILURES_TOLD:
                self._tell_failure(f"the exchange could not be asked three times in a row: {error}")
            return True
        if self.failed >= FAILURES_TOLD:
            self._tell_failure("the exchange is compared with again", resolved=True)
        self.failed = 0
        now_ns = self._clock.now_ns()
        self.last_ns = now_ns
        self.done.set()
        told = tuple(one.text for one in differences if one.kind not in QUIET)
        self._audit.publish(
            Reconciled(cause=cause, differences=told, took_ms=(now_ns - asked_ns) / 1e6),
            t_ns=now_ns,
        )
        for one in differences:
            if one.kind in ALARMS:
                self._audit.publish(
                    AlarmRaised(
                        kind=one.kind.value,
                        text=one.text,
                        symbol=one.symbol,
                        key=f"{one.kind}:{one.symbol}:{one.side}:{one.client_id}",
                    ),
                    t_ns=now_ns,
                )
        if gaps == self._settled_gaps:
            self._await_stream(differences, asked_ns)
        again = any(Need.AGAIN in one.needs for one in differences)
        if not again:
            self._settled_gaps = gaps
        return again

    # A stream that is connected and tells nothing --------------------------------------------------

    def _await_stream(self, differences: tuple[Difference, ...], asked_ns: int) -> None:
        """What moved without a gap should have been told, or is told in a moment."""
        loop = asyncio.get_running_loop()
        for symbol in sorted({one.symbol for one in differences if one.kind in MOVED}):
            ear = loop.call_later(DEAF_AFTER_S, self._listen, symbol, asked_ns)
            self._ears.add(ear)

    def _listen(self, symbol: str, asked_ns: int) -> None:
        now_s = asyncio.get_running_loop().time()
        self._ears = {ear for ear in self._ears if ear.when() > now_s}
        if self._guard.pump.account.told_ns.get(symbol, 0) > asked_ns - RACE_NS:
            self._untold = 0
            return
        self._untold += 1
        reason = (
            f"{symbol} changed, and the user stream did not tell, {self._untold} times in a row"
        )
        if self._untold >= DEAF_TIMES and self.on_deaf(reason):
            self._untold = 0
            self._audit.publish(
                AlarmRaised(kind="deaf_stream", text=reason, symbol=symbol, key="deaf_stream"),
                t_ns=self._clock.now_ns(),
            )

    async def _ask(self, asked_ns: int, *, whole: bool) -> tuple[Difference, ...]:
        mode = await self._read(ACCOUNT, weight=5) if whole else None
        positions = await self._read(POSITIONS, weight=5)
        algo = await self._lists(OPEN_ALGO, all_symbols=whole and self.stops is not None)
        resting = await self._lists(OPEN_ORDERS)
        orders = [await self._order(symbol, name) for _, symbol, name in self._open_exits()]
        snapshot = self._snapshot(asked_ns, positions, mode, algo, resting, orders)
        differences = diff(self._known(), snapshot)
        if mode is None and any(one.kind in MOVED for one in differences):
            # The mode says how rows are read; it is asked for when something is not as it was known.
            mode = await self._read(ACCOUNT, weight=5)
            snapshot = msgspec.structs.replace(snapshot, hedge=hedge_of(mode))
            differences = diff(self._known(), snapshot)
        wanted = needs(differences)
        asked = wanted.get(Need.TRADES, frozenset())
        if whole and len(self._guard.symbols()) <= FILLS_OF_ALL_MAX:
            # Only fills tell that a position was closed and opened again while nobody listened.
            asked |= self._guard.symbols()
        trades = [await self._trades(symbol) for symbol in sorted(asked)]
        # Mode first, since it says how positions are read; fills before the positions that they explain.
        for answer in (mode, *orders, *trades, positions):
            if answer is not None:
                self._guard.rest(answer)
        for answer in algo:
            if self.stops is not None:
                self.stops.on_snapshot(answer)
        return differences

    # Questions --------------------------------------------------------------------------------

    async def _read(
        self, path: str, *, weight: int, params: Mapping[str, str | int] | None = None
    ) -> RestAnswer:
        answer = await self._rest.get(
            path, params or {}, weight=weight, purpose="account", signed=True
        )
        failure = failure_of(answer)
        if failure is not None and failure.code == UNKNOWN_SYMBOL and params and "symbol" in params:
            # It is not listed any more: nothing can be open in it, and nobody else has to wait for that.
            return answer
        if failure is not None and path != ORDER:
            raise RestFailed(f"{path}: {failure.code} {failure.msg}")
        return answer

    async def _lists(self, path: str, *, all_symbols: bool = False) -> tuple[RestAnswer, ...]:
        """A list of open orders: by symbol where that is cheaper, unless orphans are looked for."""
        symbols = sorted(self._guard.symbols())
        if all_symbols:
            return (await self._read(path, weight=ALL_SYMBOLS_WEIGHT),)
        if not symbols:
            return ()
        if len(symbols) < ALL_SYMBOLS_WEIGHT:
            return tuple(
                [await self._read(path, weight=1, params={"symbol": name}) for name in symbols]
            )
        return (await self._read(path, weight=ALL_SYMBOLS_WEIGHT),)

    async def _order(self, symbol: str, client_id: str) -> RestAnswer:
        params = {"symbol": symbol, "origClientOrderId": client_id}
        return await self._read(ORDER, weight=1, params=params)

    async def _trades(self, symbol: str) -> RestAnswer:
        """The fills after the last known one; without one those since the epoch began, as far as is answered."""
        account = self._guard.pump.account
        params: dict[str, str | int] = {"symbol": symbol, "limit": TRADES_LIMIT}
        since_ms = account.book.since_ms(symbol)
        counted = account.book.counted_trades.get(symbol, 0)
        if counted:
            params["fromId"] = counted + 1
        elif since_ms > self._clock.now_ns() // 1_000_000 - TRADES_WINDOW_MS:
            params["startTime"] = since_ms
        return await self._read(TRADES, weight=5, params=params)

    def _open_exits(self) -> list[tuple[Key, str, str]]:
        """The exits whose outcome is open, slice by slice: position, symbol, client id."""
        slices = self._guard.pump.account.slices
        places: list[tuple[Key, str, str]] = []
        for key, machine in self._guard.positions.items():
            for order in (machine.orders.partial, machine.orders.full):
                if order is not None:
                    order_id = order.exit.order_id
                    places += [(key, key[0], one) for one in slices.ids(order_id) or (order_id,)]
        return places

    # Both sides of the comparison -------------------------------------------------------------

    def _known(self) -> Known:
        book = self._guard.pump.account.book
        open_exits: dict[Key, list[str]] = {}
        for key, _, client_id in self._open_exits():
            open_exits.setdefault(key, []).append(client_id)
        positions = {
            key: KnownPosition(
                quantity=reported.quantity,
                entry=reported.entry,
                heard_ns=reported.heard_ns,
                t_ms=reported.t_ms,
                orders=tuple(open_exits.get(key, ())),
            )
            for key, reported in book.reported().items()
        }
        return Known(
            hedge=self._guard.pump.account.hedge,
            instance=self._instance,
            positions=positions,
            ended_ns=book.ended_ns,
            stops={} if self.stops is None else self.stops.known_stops(),
        )

    def _snapshot(
        self,
        asked_ns: int,
        positions: RestAnswer,
        mode: RestAnswer | None,
        algo: tuple[RestAnswer, ...],
        resting: tuple[RestAnswer, ...],
        orders: list[RestAnswer],
    ) -> Snapshot:
        hedge = None if mode is None else hedge_of(mode)
        halted, gone = self._halted()
        return Snapshot(
            asked_ns=asked_ns,
            positions=tuple(
                seen for row in rows_of(positions, PositionRisk) if (seen := seen_position(row))
            ),
            stops=None
            if self.others_guard
            else tuple(self._stop(row) for answer in algo for row in rows_of(answer, AlgoOrder)),
            orders=tuple(seen_order(answer) for answer in orders),
            resting=tuple(
                rests
                for answer in resting
                for row in rows_of(answer, Order)
                if (rests := seen_resting(row))
            ),
            hedge=hedge,
            halted=halted,
            gone=gone,
        )

    def _stop(self, row: AlgoOrder) -> SeenStop:
        parts = parse_client_order_id(row.client_algo_id)
        side = closed_side(row.side, row.position_side)
        machine = self._guard.positions.get((row.symbol, side))
        own = (
            parts is not None
            and machine is not None
            and parts.epoch_number == machine.epoch
            and parts.epoch == epoch_hash(machine.opened_ns)
        )
        return SeenStop(
            symbol=row.symbol,
            side=side,
            client_id=row.client_algo_id,
            status=row.algo_status,
            trigger=row.trigger_price,
            quantity=row.quantity,
            instance="" if parts is None else parts.instance,
            is_own_epoch=own,
        )

    def _tell_failure(self, text: str, *, resolved: bool = False) -> None:
        self._audit.publish(
            AlarmRaised(kind="reconcile_failed", text=text, key="reconcile", resolved=resolved),
            t_ns=self._clock.now_ns(),
        )


ALARMS: Final = frozenset(
    {
        Kind.STOP_MISSING,
        Kind.STOP_TRIGGERED,
        Kind.STOP_WRONG,
        Kind.FOREIGN_INSTANCE,
        Kind.MODE_CHANGED,
        Kind.SYMBOL_GONE,
        Kind.SYMBOL_HALTED,
    }
)
"""Differences that somebody is told at once."""
