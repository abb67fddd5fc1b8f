"""How regimes and exit plans did on recorded candles: `reactor regime --judge`.

Every so many hours a LONG and a SHORT are opened at the open of the next candle, once with each exit plan, and
played through the engine until they close. What came of them is told in R, by the regime at the entry.

What candles do not say is assumed, against the position: within a candle the price goes to the extreme that
hurts first, then to the other, then to the close, in small steps (`candle_steps`); orders fill at the step
that fired them. Fees are told separately, and so is the worst that the candles allow: that the order which closed
a position was filled at its candle's extreme.
"""

import statistics
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from reactor.core.candles import Candle
from reactor.core.decisions import Closed, Decision, Exit, Opened, Reason, Side
from reactor.core.engine import Engine
from reactor.core.exact import from_float, multiply
from reactor.core.levels import TAKER_FEE
from reactor.core.orders import Fills
from reactor.core.plan import INTERVAL_MS, Plan
from reactor.core.regime import Regime, RegimeConfig, Verdict, Volatility
from reactor.plans import load_plan, shipped_plan_names
from reactor.policies import shipped_matrices
from reactor.replay.candle_file import read_candles
from reactor.replay.candle_steps import price_steps
from reactor.replay.regime_commands import classified

HISTORY_CANDLES = 280
"""5 m candles before an entry: Wilder's ATR over 14 has then forgotten its start to 1e-9."""

LIFE_MS_MAX = 7 * 86_400_000
"""What is still open after a week is closed by hand at the last price."""

NOTIONAL = Decimal(1000)
"""Of every position: below the first ladder rule for size."""

SIDES: tuple[Side, Side] = ("LONG", "SHORT")
SYMBOL = "JUDGED"


class Trade(NamedTuple):
    """What came of one position.

    Attributes:
        entry_ms: when it opened. `side`, `mode`: which, and by which plan.
        regime, volatility: at the entry.
        r: the result in R. `extreme_r`: the same with its last order filled at the candle's adverse extreme.
        fees_r: two taker fees in R. `bp`: the result in basis points of the entry.
        hours: how long it was open. `reason`: what closed it.
    """

    entry_ms: int
    side: Side
    mode: str
    regime: str
    volatility: str
    r: float
    extreme_r: float
    fees_r: float
    bp: float
    hours: float
    reason: str


class Market:
    """One file's candles as the steps that the engine is given."""

    def __init__(self, path: Path, config: RegimeConfig) -> None:
        """Reads a file.

        Raises:
            CandleFileError: it is refused.
        """
        self.name = path.name.removesuffix(".gz").removesuffix(".csv")
        self.candles = [candle for _, candle in read_candles(path)]
        self.verdicts = list(classified(path, config))
        self._ends = [candle.open_time_ms + config.interval_ms for candle, _ in self.verdicts]
        self._opens = [candle.open_time_ms for candle in self.candles]
        steps = [after - before for before, after in pairwise(self._opens)]
        self.step_ms = min(steps, default=INTERVAL_MS["1m"])
        self.five_minutes = list(_grouped(self.candles, INTERVAL_MS["5m"]))
        self._five_opens = [candle.open_time_ms for candle in self.five_minutes]
        self._paths: dict[tuple[int, bool], list[str]] = {}

    def verdict_at(self, t_ms: int) -> Verdict | None:
        """What the classifier said after the last candle that had closed by then."""
        place = bisect_right(self._ends, t_ms)
        return self.verdicts[place - 1][1] if place else None

    def known_ends(self) -> list[int]:
        """The ends of the candles after which there was a regime, ms."""
        pairs = zip(self._ends, self.verdicts, strict=True)
        return [end for end, (_, verdict) in pairs if verdict.regime is not Regime.UNKNOWN]

    def first_candle(self, t_ms: int) -> int:
        """The place of the first candle that opens then or later."""
        return bisect_right(self._opens, t_ms - 1)

    def history(self, t_ms: int) -> list[Candle]:
        """The closed 5 m candles before an instant."""
        place = bisect_right(self._five_opens, t_ms - INTERVAL_MS["5m"])
        return self.five_minutes[max(0, place - HISTORY_CANDLES) : place]

    def prices(self, place: int, *, low_first: bool) -> list[str]:
        """The steps within a candle, as texts."""
        key = (place, low_first)
        if key not in self._paths:
            candle = self.candles[place]
            self._paths[key] = [*price_steps(candle, low_first=low_first)]
        return self._paths[key]


def _grouped(candles: Sequence[Candle], interval_ms: int) -> Iterator[Candle]:
    """Candles put together; the newest may still be forming, and is never used."""
    forming: Candle | None = None
    for candle in candles:
        start_ms = candle.open_time_ms - candle.open_time_ms % interval_ms
        if forming is not None and forming.open_time_ms == start_ms:
            high, low = max(forming.high, candle.high), min(forming.low, candle.low)
            forming = Candle(start_ms, forming.open, high, low, candle.close)
            continue
        if forming is not None:
            yield forming
        forming = Candle(start_ms, candle.open, candle.high, candle.low, candle.close)
    if forming is not None:
        yield forming


def trades_of(market: Market, plans: Sequence[Plan], *, every_ms: int) -> Iterator[Trade]:
    """Every position that could be opened while the regime was known."""
    known = market.known_ends()
    if not known:
        return
    t_ms = known[0] + (-known[0]) % every_ms
    end_ms = market.candles[-1].open_time_ms
    while t_ms < end_ms:
        verdict = market.verdict_at(t_ms)
        assert verdict is not None
        for side in SIDES:
            for plan in plans:
                trade = _trade(market, plan, side, t_ms, verdict)
                if trade is not None:
                    yield trade
        t_ms += every_ms


def _trade(market: Market, plan: Plan, side: Side, t_ms: int, verdict: Verdict) -> Trade | None:
    place = market.first_candle(t_ms)
    if place >= len(market.candles):
        return None
    candle = market.candles[place]
    entry = from_float(candle.open)
    quantity = NOTIONAL / entry
    engine = Engine(plan_for=lambda _symbol, _side: plan, fills=Fills.AT_TRIGGER)
    engine.expect(SYMBOL, side, quantity, entry)
    engine.on_history(
        SYMBOL, "last", INTERVAL_MS["5m"], market.history(candle.open_time_ms), t_ns=0
    )
    risk: Decimal | None = None
    number = now_ms = 0
    while place < len(market.candles):
        candle = market.candles[place]
        prices = market.prices(place, low_first=side == "LONG")
        for at, price in enumerate(prices):
            number += 1
            now_ms = candle.open_time_ms + at * market.step_ms // len(prices)
            decisions = engine.on_last(SYMBOL, price, number, now_ms, now_ms * 1_000_000)
            if decisions:
                risk = risk or _risk(decisions)
                closed = _closed(decisions)
                if closed is not None:
                    slip = _slip(decisions, candle, is_long=side == "LONG")
                    return _told(
                        plan, side, t_ms, now_ms, verdict, entry, quantity, risk, closed, slip
                    )
        place += 1
        if candle.open_time_ms - t_ms > LIFE_MS_MAX:
            break
    closed = _closed(engine.close(SYMBOL, side, t_ns=now_ms * 1_000_000))
    if closed is None:
        return None
    return _told(plan, side, t_ms, now_ms, verdict, entry, quantity, risk, closed, Decimal(0))


def _slip(decisions: Sequence[Decision], candle: Candle, *, is_long: bool) -> Decimal:
    """What the last exit would have lost, in quote units, at the candle's extreme; nothing for a target."""
    last = next(one for one in reversed(decisions) if isinstance(one, Exit))
    if set(last.reasons) <= {Reason.TAKE_PROFIT, Reason.HARVEST}:
        return Decimal(0)
    worst = from_float(candle.low if is_long else candle.high)
    return multiply(last.quantity, abs(last.price - worst))


def _risk(decisions: Sequence[Decision]) -> Decimal | None:
    for one in decisions:
        if isinstance(one, Opened):
            return abs(one.entry - one.stop)
    return None


def _closed(decisions: Sequence[Decision]) -> Closed | None:
    return next((one for one in decisions if isinstance(one, Closed)), None)


def _told(
    plan: Plan,
    side: Side,
    t_ms: int,
    now_ms: int,
    verdict: Verdict,
    entry: Decimal,
    quantity: Decimal,
    risk: Decimal | None,
    closed: Closed,
    slip: Decimal,
) -> Trade:
    assert closed.realized is not None
    assert closed.r_multiple is not None
    assert risk is not None
    return Trade(
        entry_ms=t_ms,
        side=side,
        mode=plan.name,
        regime=str(verdict.regime),
        volatility=str(verdict.volatility),
        r=float(closed.r_multiple),
        extreme_r=float(closed.r_multiple - slip / (quantity * risk)),
        fees_r=float(multiply(2 * TAKER_FEE, entry) / risk),
        bp=float(closed.realized / multiply(quantity, entry)) * 10_000,
        hours=(now_ms - t_ms) / 3_600_000,
        reason=str(closed.reason),
    )


# Tables -------------------------------------------------------------------------------------------


class Shares(NamedTuple):
    """How a file's time was classified.

    Attributes:
        name: the file. `days`: for which there was a verdict.
        regimes, volatilities: shares of that time.
        changes_per_day: of regime or volatility. `hold_h`: the mean time between two.
    """

    name: str
    days: float
    regimes: dict[str, float]
    volatilities: dict[str, float]
    changes_per_day: float
    hold_h: float | None


def shares_of(market: Market, config: RegimeConfig) -> Shares:
    """How a file's time was classified."""
    known = [verdict for _, verdict in market.verdicts if verdict.regime is not Regime.UNKNOWN]
    changes = sum(after.state != before.state for before, after in pairwise(known))
    days = len(known) * config.interval_ms / 86_400_000
    regimes = Counter(str(verdict.regime) for verdict in known)
    volatilities = Counter(str(verdict.volatility) for verdict in known)
    return Shares(
        name=market.name,
        days=days,
        regimes={name: count / len(known) for name, count in sorted(regimes.items())},
        volatilities={name: count / len(known) for name, count in sorted(volatilities.items())},
        changes_per_day=changes / days if days else 0.0,
        hold_h=days * 24 / (changes + 1) if days else None,
    )


class Outcome(NamedTuple):
    """What a group of trades came to, in R.

    Attributes:
        trades: how many. `mean`, `error`: with twice its standard error. `won`: the share above 0.
        worst, low, quarter, median, three_quarters, high, best: of all, the values that 5, 25, 50, 75 and 95
            of a hundred lie below, between the smallest and the largest.
        worst_fill: the smallest, had each last order filled at its candle's extreme.
        after_fees: the mean less two taker fees. `bp`: the mean in basis points, before fees.
        hours: the mean time open.
    """

    trades: int
    mean: float
    error: float
    worst: float
    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float
    best: float
    worst_fill: float
    won: float
    after_fees: float
    bp: float
    hours: float


def outcome(trades: Sequence[Trade]) -> Outcome:
    """Sums a group of trades up; it must not be empty."""
    multiples = sorted(trade.r for trade in trades)
    spread = statistics.stdev(multiples) if len(multiples) > 1 else 0.0
    return Outcome(
        trades=len(multiples),
        mean=statistics.fmean(multiples),
        error=2 * spread / len(multiples) ** 0.5,
        worst=multiples[0],
        low=multiples[len(multiples) // 20],
        quarter=multiples[len(multiples) // 4],
        median=statistics.median(multiples),
        three_quarters=multiples[len(multiples) * 3 // 4],
        high=multiples[len(multiples) * 19 // 20],
        best=multiples[-1],
        worst_fill=min(trade.extreme_r for trade in trades),
        won=sum(one > 0 for one in multiples) / len(multiples),
        after_fees=statistics.fmean(trade.r - trade.fees_r for trade in trades),
        bp=statistics.fmean(trade.bp for trade in trades),
        hours=statistics.fmean(trade.hours for trade in trades),
    )


def grouped(trades: Sequence[Trade]) -> dict[tuple[str, str], Outcome]:
    """Outcomes by (regime, mode), by (volatility, mode), and by (`all`, mode); what profiles would have chosen."""
    groups: dict[tuple[str, str], list[Trade]] = {}
    matrices = shipped_matrices()
    for trade in trades:
        for group in (trade.regime, f"volatility {trade.volatility}", "all"):
            groups.setdefault((group, trade.mode), []).append(trade)
        for name, matrix in matrices.items():
            seen = next(one for one in matrix.modes if one == (trade.regime, trade.volatility))
            if matrix.modes[seen] == trade.mode:
                groups.setdefault(("all", f"policy {name}"), []).append(trade)
    rows = [*map(str, Regime), *(f"volatility {level}" for level in Volatility), "all"]
    order = {name: place for place, name in enumerate(rows)}
    return {
        key: outcome(groups[key]) for key in sorted(groups, key=lambda key: (order[key[0]], key[1]))
    }


def judge(
    paths: Sequence[Path], config: RegimeConfig, *, entries_every_h: float, as_json: bool
) -> int:
    """Prints both tables for some candle files.

    Raises:
        CandleFileError: one of them is refused.
    """
    plans = [
        msgspec.structs.replace(load_plan(name), trigger="last") for name in shipped_plan_names()
    ]
    shares: list[Shares] = []
    trades: list[Trade] = []
    for path in paths:
        market = Market(path, config)
        if any(verdict.regime is not Regime.UNKNOWN for _, verdict in market.verdicts):
            shares.append(shares_of(market, config))
            trades += trades_of(market, plans, every_ms=round(entries_every_h * 3_600_000))
        else:
            sys.stderr.write(f"{path.name}: too short for a regime; left out\n")
    outcomes = grouped(trades)
    if as_json:
        found = {
            "timeframe": config.timeframe,
            "shares": [one._asdict() for one in shares],
            "outcomes": [
                {"regime": regime, "mode": mode, **one._asdict()}
                for (regime, mode), one in outcomes.items()
            ],
        }
        sys.stdout.buffer.write(orjson.dumps(found) + b"\n")
    else:
        sys.stdout.write(shares_table(shares) + "\n" + outcomes_table(outcomes))
    return 0


KNOWN = [str(regime) for regime in Regime if regime is not Regime.UNKNOWN]


def shares_table(shares: Sequence[Shares]) -> str:
    """How the time was classified, as a Markdown table."""
    rows = [
        f"| file | days | {' | '.join(KNOWN)} | volatility HIGH | EXTREME | changes a day | mean hold |",
        "|---" * (len(KNOWN) + 6) + "|",
    ]
    for one in shares:
        cells = [one.name, f"{one.days:.1f}"]
        cells += [f"{one.regimes.get(name, 0):.0%}" for name in KNOWN]
        cells += [f"{one.volatilities.get(name, 0):.0%}" for name in ("HIGH", "EXTREME")]
        hold = "–" if one.hold_h is None else f"{one.hold_h:.0f} h"
        rows.append(f"| {' | '.join([*cells, f'{one.changes_per_day:.2f}', hold])} |")
    return "\n".join(rows) + "\n"


def outcomes_table(outcomes: dict[tuple[str, str], Outcome]) -> str:
    """What came of the trades, as a Markdown table."""
    head = [
        "regime",
        "exit mode",
        "trades",
        "mean R",
        "± 2 s.e.",
        "worst fill",
        "worst",
        "5 %",
        "25 %",
        "median",
    ]
    head += ["75 %", "95 %", "best", "won", "after fees", "mean bp", "open"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for (regime, mode), one in outcomes.items():
        rows.append(
            f"| {regime} | {mode} | {one.trades} | {one.mean:+.2f} | {one.error:.2f} | {one.worst_fill:+.2f} |"
            f" {one.worst:+.2f} | {one.low:+.2f} | {one.quarter:+.2f} | {one.median:+.2f} |"
            f" {one.three_quarters:+.2f} | {one.high:+.2f} | {one.best:+.2f} | {one.won:.0%} |"
            f" {one.after_fees:+.2f} | {one.bp:+.1f} | {one.hours:.1f} h |"
        )
    return "\n".join(rows) + "\n"
