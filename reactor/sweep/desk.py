"""What became of entries with a plan: each played by the engine that replays and lives with the same ticks."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reactor.core.decisions import Closed, Decision, Exit, Opened, Reason
from reactor.core.engine import Engine
from reactor.core.exact import add, divide, from_float, multiply, subtract
from reactor.core.ladder import Filters
from reactor.core.machine import Machine
from reactor.core.market import Market
from reactor.core.orders import Fills
from reactor.core.plan import INTERVAL_MS, Plan
from reactor.core.regime import RegimeConfig
from reactor.core.sizing import Inputs
from reactor.replay.options import guard_facts, ladder_facts
from reactor.sweep.course import Course, Known, Watcher, watched_by
from reactor.sweep.entries import Entry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REASONS: tuple[str, ...] = (*(reason.value for reason in Reason), "horizon")
"""Why a position was closed, by the number that results carry."""

CLOSED, OPEN, NOT_OPENED, WITHOUT_ATR = range(4)
"""How a position stood at the end: closed; still open, valued at the last price; never opened for want of an
accepted tick; not opened because its plan needs an ATR and there was none yet."""

RESULT = (
    ("exit_ns", "<i8"),
    ("r", "<f8"),
    ("fees_r", "<f8"),
    ("bp", "<f8"),
    ("reason", "u1"),
    ("state", "u1"),
)
"""One position's result: when it was flat (or the recording ended), its realized in R, the fees of its entry and
its exits in R, its realized in basis points of what was entered, why, and how it stood."""


Told = Callable[[int], None]
"""Takes how many more positions are done."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all positions.

    Attributes:
        fills: simulated fills at the triggering tick's price or at the next one's.
        atrs: fixed ATRs by symbol. `inputs`: what `--input` says of a symbol.
        filters: what a symbol rounds to where its recording does not say.
        regime: how regimes are classified, for ladder rules.
        fee: of each fill, as a fraction of its value.
        horizon_ns: after which a position is closed by hand at the last price; None for never.
        fallback_stops: whether a plan that needs an ATR plays before there is one, with its fallback stop.
    """

    fills: Fills
    atrs: dict[str, Decimal]
    inputs: dict[str, dict[str, str]]
    filters: dict[str, Filters]
    regime: RegimeConfig
    fee: Decimal
    horizon_ns: int | None
    fallback_stops: bool


class Job(NamedTuple):
    """Positions of one track, each with several plans that share a watcher.

    Attributes:
        track: the track's number. `plans`: their numbers. `entries`: the first entry's number on this
            track, and the one after the last.
    """

    track: int
    plans: tuple[int, ...]
    entries: tuple[int, int]

    @property
    def size(self) -> int:
        """How many positions it has."""
        return len(self.plans) * (self.entries[1] - self.entries[0])


class Played(msgspec.Struct):
    """One position as it ended, exact.

    Attributes:
        opened: its first decision; None where it was never opened.
        closed: its last; None where it was open at the end.
        exits: its exits.
        machine: its machine as it stood last.
        reason: why it was closed, `horizon` included; empty where it was not.
        t_ns: when that was, or the end of the recording.
    """

    opened: Opened | None = None
    closed: Closed | None = None
    exits: list[Exit] = []
    machine: Machine | None = None
    reason: str = ""
    t_ns: int = 0


class Desk:
    """Plays positions. Every process of a sweep has one."""

    def __init__(
        self,
        courses: Sequence[Course],
        plans: Sequence[Plan],
        entries: Sequence[Sequence[Entry]],
        settings: Settings,
    ) -> None:
        """Plays nothing yet.

        Args:
            courses: the tracks.
            plans: what is tried.
            entries: those of each track, in the order of their rows.
            settings: what is the same for all.
        """
        self._courses = courses
        self._plans = plans
        self._entries = entries
        self._settings = settings

    def work(self, job: Job, *, told: Told | None = None) -> "NDArray[np.void]":
        """Plays one job.

        Args:
            job: which positions; its plans share a watcher (`watched_by`).
            told: called with how many positions are done, now and then.

        Returns:
            A row of `RESULT` for each plan, of as many columns as entries.
        """
        import numpy as np  # noqa: PLC0415 - only where columns are read

        first, end = job.entries
        results = np.zeros((len(job.plans), end - first), dtype=list(RESULT))
        course = self._courses[job.track]
        watcher = self._watcher(course, self._plans[job.plans[0]])
        for column, entry in enumerate(self._entries[job.track][first:end]):
            watcher.go_to(entry.row)
            known = course.known(entry.row)
            for row, number in enumerate(job.plans):
                played = self._play(course, watcher, known, self._plans[number], entry)
                results[row, column] = self._result(course, self._plans[number], entry, played)
            if told is not None:
                told(len(job.plans))
        return results

    def play_all(self, plan: Plan) -> dict[Entry, Played]:
        """Plays every entry with one plan, and keeps what was decided."""
        found: dict[Entry, Played] = {}
        for course, entries in zip(self._courses, self._entries, strict=True):
            watcher = self._watcher(course, plan)
            for entry in entries:
                watcher.go_to(entry.row)
                known = course.known(entry.row)
                found[entry] = self._play(course, watcher, known, plan, entry)
        return found

    def _watcher(self, course: Course, plan: Plan) -> Watcher:
        settings = self._settings
        return Watcher(course, plan, fixed_atr=settings.atrs, regime=settings.regime)

    def _play(
        self, course: Course, watcher: Watcher, known: Known, plan: Plan, entry: Entry
    ) -> Played:
        symbol = course.track.symbol
        inputs = self._inputs(symbol, watcher, known, plan)
        filters = known.filters or self._settings.filters.get(symbol, Filters())
        engine = Engine(
            plan_for=lambda _symbol, _side: plan,
            filters_for=lambda _symbol: filters,
            fixed_atr=self._settings.atrs,
            fills=self._settings.fills,
            inputs_for=lambda _symbol, _side: inputs,
        )
        market = watcher.market.twin()
        engine.take_market(market)
        texts = self._settings.inputs.get(symbol, {})
        margin, liquidation = guard_facts(texts, entry.quantity, entry.price)
        engine.expect(
            symbol,
            entry.side,
            entry.quantity,
            entry.price,
            margin=margin,
            liquidation_price=liquidation,
        )
        waits = self._waits_for_atr(plan, entry)
        return _Life(course, engine, market, entry, self._settings.horizon_ns, waits).live()

    def _waits_for_atr(self, plan: Plan, entry: Entry) -> bool:
        return plan.needs_atr and not (self._settings.fallback_stops or entry.opens_at_start)

    def _inputs(self, symbol: str, watcher: Watcher, known: Known, plan: Plan) -> Inputs:
        """What ladder rules are told, in a replay's order: the regime, the recording, the options."""
        if plan.ladder is None:
            return {}
        found: dict[str, Decimal | str] = {}
        regime = watcher.regime()
        if regime is not None:
            found["regime"] = regime
        found.update(known.facts)
        found.update(ladder_facts(self._settings.inputs.get(symbol, {})))
        return found

    def _result(
        self, course: Course, plan: Plan, entry: Entry, played: Played
    ) -> tuple[int, float, float, float, int, int]:
        opened = played.opened
        if opened is None:
            return played.t_ns, 0.0, 0.0, 0.0, 0, NOT_OPENED
        if opened.atr is None and self._waits_for_atr(plan, entry):
            return played.t_ns, 0.0, 0.0, 0.0, 0, WITHOUT_ATR
        value = multiply(entry.quantity, entry.price)
        gain = _gain(course, entry, played)
        turnover = add(value, add(value, gain if entry.side == "LONG" else gain.copy_negate()))
        fees = multiply(self._settings.fee, turnover)
        at_risk = _at_risk(played)
        state = OPEN if played.closed is None else CLOSED
        multiple = None if played.closed is None else played.closed.r_multiple
        return (
            played.t_ns,
            float(divide(gain, at_risk) if multiple is None else multiple),
            float(divide(fees, at_risk)),
            float(divide(gain, value)) * 10_000,
            REASONS.index(played.reason) if played.reason else 0,
            state,
        )


def _at_risk(played: Played) -> Decimal:
    """The quantity times R: what an R is worth in quote units."""
    if played.machine is not None:
        return multiply(played.machine.orders.initial_quantity, played.machine.r)
    # Opened and closed on one tick.
    opened, closed = played.opened, played.closed
    assert opened is not None
    assert closed is not None
    if closed.realized and closed.r_multiple:
        return divide(closed.realized, closed.r_multiple)
    return multiply(opened.quantity, subtract(opened.entry, opened.stop).copy_abs())


def _gain(course: Course, entry: Entry, played: Played) -> Decimal:
    """What was realized, and where something is open, what it would be at the last price; without fees."""
    if played.closed is not None and played.closed.realized is not None:
        return played.closed.realized
    machine = played.machine
    assert machine is not None
    realized = machine.orders.realized or Decimal(0)
    prices = course.track.ticks.prices
    if course.track.asks is not None and entry.side == "SHORT":
        prices = course.track.asks
    move = subtract(from_float(float(prices[-1])), entry.price)
    if entry.side == "SHORT":
        move = move.copy_negate()
    return add(realized, multiply(machine.orders.quantity, move))


class _Life:
    """One position from its first tick to its end."""

    def __init__(
        self,
        course: Course,
        engine: Engine,
        market: Market,
        entry: Entry,
        horizon_ns: int | None,
        waits_for_atr: bool,
    ) -> None:
        self._course = course
        self._engine = engine
        self._market = market
        self._entry = entry
        self._horizon_ns = horizon_ns
        self._waits_for_atr = waits_for_atr
        self._played = Played(exits=[])

    def live(self) -> Played:
        """Plays it."""
        course, entry, played = self._course, self._entry, self._played
        rows = len(course.track)
        stop = rows
        if self._horizon_ns is not None:
            stop = min(course.row_at(entry.t_ns + self._horizon_ns), rows)
        # Its own tick before the others: a machine can be asked for once it is there.
        enough = course.play(
            self._engine, self._market, self._take, start=entry.row, stop=entry.row + 1
        )
        if not enough:
            self._forget_other_candles()
            enough = course.play(
                self._engine, self._market, self._take, start=entry.row + 1, stop=stop
            )
        if not enough and stop < rows:
            self._close_at_horizon(stop)
        elif not enough:
            self._take(self._engine.on_time(course.track.end_ns))
        if played.closed is None:
            played.t_ns = course.track.end_ns
        return played

    def _forget_other_candles(self) -> None:
        """Candles that only the opening asked for (volatility, regime) are not built any further."""
        if self._played.machine is not None:
            kept = INTERVAL_MS[self._played.machine.plan.atr.interval]
            series = self._market.series
            self._market.series = {ms: one for ms, one in series.items() if ms == kept}

    def _close_at_horizon(self, row: int) -> None:
        """Closes by hand before the tick of a row; where the next tick fills, that one does."""
        assert self._horizon_ns is not None
        t_ns = self._entry.t_ns + self._horizon_ns
        if self._take(self._engine.on_time(t_ns)):
            return
        course, side = self._course, self._entry.side
        if self._take(self._engine.close(course.track.symbol, side, t_ns=t_ns)) or course.play(
            self._engine, self._market, self._take, start=row, stop=len(course.track)
        ):
            self._played.reason = "horizon"

    def _take(self, decisions: Sequence[Decision]) -> bool:
        played = self._played
        for one in decisions:
            match one:
                case Opened():
                    played.opened = one
                    played.machine = self._engine.positions.get((one.symbol, one.side))
                    if self._waits_for_atr and one.atr is None:
                        return True
                case Exit():
                    played.exits.append(one)
                case Closed():
                    played.closed, played.t_ns = one, one.t_ns
                    played.reason = one.reason.value
        return played.closed is not None


def watch_groups(plans: Sequence[Plan]) -> list[tuple[int, ...]]:
    """The numbers of plans, put together by what they have to know of a market."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, plan in enumerate(plans):
        groups.setdefault(watched_by(plan), []).append(number)
    return [tuple(group) for group in groups.values()]


def filters_by_symbol(
    ticks: Mapping[str, Decimal], steps: Mapping[str, Decimal], least: Mapping[str, Decimal]
) -> dict[str, Filters]:
    """What options say that symbols round to."""
    return {
        symbol: Filters(
            tick=ticks.get(symbol),
            step=steps.get(symbol),
            min_quantity=least.get(symbol, Decimal(0)),
        )
        for symbol in {*ticks, *steps, *least}
    }
