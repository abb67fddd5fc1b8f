"""What happened while prices could not be seen: found out from what the exchange recorded, not assumed.

A gap of a symbol and price source lies between the last tick seen and the first one after. How each position stood when
it began is remembered (`Standing`); when the prices in it are known they are walked in order, past that standing: how
far did the price get, would the stop have been reached, which targets. What a position then makes of it:

- a better peak is taken over, and the stop follows it where the price is beyond; else it is held back;
- a stop that was crossed is reported. It never closes here: the first fresh price still through it does that;
- rungs and harvest steps that were passed and left again are reported, and not taken.

A candle tells its extremes and not their order, so the adverse one is taken first: a recovered peak never
fires the stop in its own candle. A book is judged by trades, which it need not have followed: it is told, and no
peak moves.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from reactor.core.decisions import Alarm, Decision, Side, StopKind
from reactor.core.exact import text
from reactor.core.levels import Axis
from reactor.core.machine import Machine
from reactor.core.market import Market, Source
from reactor.core.plan import Plan
from reactor.core.stop import Stop, StopState
from reactor.core.trailing import Trailing

HARVESTS_SHOWN_MAX = 20
"""Harvest steps that a report counts; a gap that passed more says so by its best price."""


class Span(NamedTuple):
    """Prices between two instants of exchange time: a trade's (both the same), or a whole candle's."""

    t_ms: int
    end_ms: int
    low: Decimal
    high: Decimal
    close: Decimal


def trade_span(t_ms: int, price: Decimal) -> Span:
    """One trade as a span."""
    return Span(t_ms, t_ms, price, price, price)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which gap spans are of.

    Attributes:
        from_ms, to_ms: its ends, exchange time; spans that are not wholly inside do not count.
        ahead_ms: how far the exchange's clock is ahead of ours, which epochs' openings are stamped with.
        approximate: whether the spans are coarser than the ticks that were missed.
    """

    from_ms: int
    to_ms: int
    ahead_ms: int = 0
    approximate: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a position stood when its prices stopped coming; stop and peak on the gain axis."""

    side: Side
    epoch: int
    plan: Plan
    tick_size: Decimal | None
    entry: Decimal
    r: Decimal
    atr: Decimal | None
    stop: StopState
    peak: Decimal | None
    rungs_taken: int
    paused: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk found; prices on the gain axis, times of the exchange in ms.

    Attributes:
        spans: how many were walked. `best`, `worst`: the extremes among them.
        peak: trailing's, after the walk; None where it did not become active.
        crossed: the stop that was reached first, as it stood by then; None where none was.
        newest, newest_ms: the last price.
    """

    spans: int
    best: Decimal
    worst: Decimal
    peak: Decimal | None
    crossed: Decimal | None
    newest: Decimal
    newest_ms: int


def standing_of(machine: Machine) -> Standing:
    """How a position stands now."""
    return Standing(
        side=machine.side,
        epoch=machine.epoch,
        plan=machine.plan,
        tick_size=machine.filters.tick,
        entry=machine.entry,
        r=machine.r,
        atr=machine.atr,
        stop=machine.stop.state(),
        peak=machine.trailing.peak,
        rungs_taken=len(machine.ladder.taken),
        paused=machine.paused,
    )


def walk(standing: Standing, spans: Iterable[Span], *, follows: bool = True) -> Found | None:
    """What a position would have seen.

    Args:
        standing: how it stood at the start.
        spans: in the order of time.
        follows: whether peak and stop follow the prices; without, the stop stays where it stood.

    Returns:
        None without any span. Break-even, ratchet and targets are not played: the stop walked is never better than
        the one that ticks would have made, so what it calls crossed was crossed.
    """
    axis = Axis(standing.side)
    is_long, x0 = axis.is_long, axis.x(standing.entry)
    trailing = Trailing(standing.plan, tick=standing.tick_size)
    trailing.restore(standing.peak)
    stop = Stop(standing.stop.x)
    stop.restore(standing.stop)
    confirm = standing.plan.stop_confirm_ticks
    follows = follows and not standing.paused and standing.plan.trailing is not None
    best: Decimal | None = None
    worst = newest = Decimal(0)
    crossed: Decimal | None = None
    count = through = newest_ms = 0
    for span in spans:
        count += 1
        low, high = span.low, span.high
        if not is_long:
            low, high = high.copy_negate(), low.copy_negate()
        if low <= stop.x:
            through += 1
            if crossed is None and (through >= confirm or span.end_ms > span.t_ms):
                crossed = stop.x
        else:
            through = 0
        worst = low if best is None or low < worst else worst
        best = high if best is None or high > best else best
        newest, newest_ms = axis.x(span.close), span.end_ms
        if follows and (trailing.peak is None or high > trailing.peak):
            trailing.follow(
                high,
                double=float(high),
                is_short=False,
                x0=x0,
                r=standing.r,
                rungs_taken=standing.rungs_taken,
            )
            candidate = trailing.candidate(standing.atr)
            if candidate is not None:
                stop.improve(candidate, StopKind.TRAILING_STOP, high)
    if best is None:
        return None
    return Found(
        spans=count,
        best=best,
        worst=worst,
        peak=trailing.peak if follows else None,
        crossed=crossed,
        newest=newest,
        newest_ms=newest_ms,
    )


class Gaps:
    """How positions stood at the start of each gap that is not audited yet."""

    __slots__ = ("_standings",)

    def __init__(self) -> None:
        self._standings: dict[tuple[Source, str], dict[Side, Standing]] = {}

    def begin(self, market: Market) -> None:
        """A market's prices stopped coming: remembers how its positions stand now."""
        self._standings[market.source, market.symbol] = {
            machine.side: standing_of(machine) for machine in market.machines
        }

    def opened(self, market: Market, machine: Machine) -> None:
        """An epoch began; within a gap it stands as it opened."""
        standings = self._standings.get((market.source, market.symbol))
        if standings is not None:
            standings[machine.side] = standing_of(machine)

    def audit(
        self,
        market: Market,
        spans: Sequence[Span],
        window: Window,
        *,
        t_ns: int,
        out: list[Decision],
    ) -> None:
        """Walks a gap past every position of a market, and lets each make of it what it may.

        Args:
            market: whose gap; it forgets how its positions stood.
            spans: the prices, in the order of time.
            window: the gap.
            t_ns: when they became known.
            out: where decisions go.
        """
        standings = self._standings.pop((market.source, market.symbol), {})
        for machine in market.machines:
            standing = standings.get(machine.side)
            if standing is None or standing.epoch != machine.epoch or machine.orders.exiting:
                continue
            opened_ms = machine.opened_ns // 1_000_000 + window.ahead_ms
            since_ms = max(window.from_ms, opened_ms)
            inside = (s for s in spans if s.t_ms >= since_ms and s.end_ms <= window.to_ms)
            found = walk(standing, inside, follows=market.source != "book" and not machine.paused)
            if found is not None:
                _take(machine, market, standing, found, window, t_ns=t_ns, out=out)


def _take(
    machine: Machine,
    market: Market,
    standing: Standing,
    found: Found,
    window: Window,
    *,
    t_ns: int,
    out: list[Decision],
) -> None:
    """Lets a position make of a gap what it may: a better stop, and reports."""
    market.show(machine)
    price = found.newest
    if machine.x is not None:
        is_newer = not market.ticks or found.newest_ms > market.t_event_ms
        # Where nothing fresh came yet, the last recorded price may already be worse than the last one seen.
        price = min(machine.x, found.newest) if is_newer else machine.x
    same_entry = machine.entry == standing.entry
    if market.source != "book" and not machine.paused and not standing.paused:
        # A position that was added to since has other levels; only a peak that was there already stays.
        if same_entry:
            machine.break_even.look(found.best)
        if found.peak is not None and (same_entry or standing.peak is not None):
            machine.recover(found.peak, price=price, t_ns=t_ns, out=out)
    report = _Report(machine, market.source, window, t_ns)
    if found.crossed is not None and (price > found.crossed or found.crossed > standing.stop.x):
        out.append(report.crossed(found, price))
    if same_entry and not machine.paused and not standing.paused:
        levels = [rung.x for rung in machine.ladder.rungs if rung.x is not None and not rung.taken]
        levels += machine.ladder.harvest_levels(HARVESTS_SHOWN_MAX)
        missed = sorted(level for level in levels if price < level <= found.best)
        if missed:
            out.append(report.missed(found, missed, price))


class _Report:
    """What a person is told of a gap."""

    def __init__(self, machine: Machine, source: Source, window: Window, t_ns: int) -> None:
        self._machine = machine
        self._t_ns = t_ns
        seconds = (window.to_ms - window.from_ms) / 1000
        self._head = (
            f"{machine.symbol} {machine.side}: while no {source} price came for {seconds:.1f} s"
        )
        rough = window.approximate or source == "book"
        self._tail = (
            f" (approximate: {'trades, not the book' if source == 'book' else 'whole minutes'})"
        )
        self._tail = self._tail if rough else ""

    def crossed(self, found: Found, price: Decimal) -> Alarm:
        assert found.crossed is not None
        show = self._show
        worst, stop, now = show(found.worst), show(found.crossed), show(price)
        stays = f"the position keeps its stop at {show(self._machine.stop.x)}"
        if price <= found.crossed:
            stays += ", and what the gap would have made of it is held back"
        what = (
            f"the stop {stop} was crossed (worst price {worst}); the price is {now} now and {stays}"
        )
        return self._alarm("gap_crossed", what)

    def missed(self, found: Found, levels: Sequence[Decimal], price: Decimal) -> Alarm:
        shown = ", ".join(self._show(level) for level in levels)
        best, now = self._show(found.best), self._show(price)
        what = f"targets at {shown} were passed (best price {best}) and left again; at {now} none is taken"
        return self._alarm("gap_missed", what)

    def _show(self, x: Decimal) -> str:
        return text(self._machine.price(x))

    def _alarm(self, kind: str, what: str) -> Alarm:
        machine = self._machine
        return Alarm(
            t_ns=self._t_ns,
            tick=machine.tick,
            symbol=machine.symbol,
            side=machine.side,
            epoch=machine.epoch,
            what=f"{self._head}, {what}{self._tail}",
            kind=kind,
        )
