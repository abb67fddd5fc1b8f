"""The regime of a market, from closed candles: HIGH_VOL, CHOP, BULL, BEAR or NORMAL, and how volatile it is.

Three measures that the field knows by name, each incremental (formulas in `core/trend.py`):

* ADX and the directional indicators (Wilder 1978): whether there is a trend, and which way;
* Kaufman's efficiency ratio (1995): how much of the way that the price went was progress;
* ATR / close (Wilder's ATR): how volatile, as a rank among the symbol's own last days or by thresholds.

From them, in this precedence: HIGH_VOL is volatility EXTREME without a trend, CHOP a low efficiency, BULL and
BEAR a trend up or down, NORMAL the rest. Each condition is entered at one threshold and left at another; and
a verdict, once given, is held for `min_hold` closed candles. So it cannot flap. Until every measure has seen
enough candles the verdict is UNKNOWN.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

import msgspec

from reactor.core.plan import INTERVAL_MS, Interval
from reactor.core.trend import DirectionalMovement, EfficiencyRatio, WilderAtr

DAY_MS = 86_400_000

RANK_CANDLES_MAX = 4400
"""A rank's longest window: 90 days of 30 m candles. More would take more than three readings after every hole,
and classifying them anew longer than prices should wait."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Period = Annotated[int, msgspec.Meta(ge=2, le=200)]


class Regime(StrEnum):
    """What kind of market it is."""

    HIGH_VOL = "HIGH_VOL"
    CHOP = "CHOP"
    BULL = "BULL"
    BEAR = "BEAR"
    NORMAL = "NORMAL"
    UNKNOWN = "UNKNOWN"


class Volatility(StrEnum):
    """How far the price moves, against itself or against thresholds."""

    NORMAL = "NORMAL"
    HIGH = "HIGH"
    EXTREME = "EXTREME"


class RegimeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[regime]`: what the classifier looks at, and its thresholds.

    Attributes:
        timeframe: the candles' length.
        adx_period: of ADX and the directional indicators. `trend_enter`, `trend_leave`: the ADX from which
            on there is a trend, and below which there is none any more.
        efficiency_period: of the efficiency ratio. `chop_enter`, `chop_leave`: the ratio at or below which
            it is chop, and above which it is none any more.
        atr_period: of the volatility's ATR.
        volatility: whether its levels are ranks or fixed fractions.
        high_rank, extreme_rank: shares of the window's other values that lie below the present one.
            `leave_rank`: how much lower a level is left than it is entered.
        rank_days, rank_days_min: the window, and what of it must be there before a rank is one.
        high_pct, extreme_pct: ATR / close of the fixed levels; each is left 10 % lower.
        min_hold: closed candles for which a verdict is held.
    """

    timeframe: Interval = "4h"
    adx_period: Period = 14
    trend_enter: Annotated[float, msgspec.Meta(gt=0, le=100)] = 25.0
    trend_leave: Annotated[float, msgspec.Meta(gt=0, le=100)] = 20.0
    efficiency_period: Period = 10
    chop_enter: Share = 0.15
    chop_leave: Share = 0.25
    atr_period: Period = 14
    volatility: Literal["rank", "fixed"] = "rank"
    high_rank: Share = 0.8
    extreme_rank: Share = 0.95
    leave_rank: Share = 0.05
    rank_days: Annotated[float, msgspec.Meta(gt=0, le=365)] = 90.0
    rank_days_min: Annotated[float, msgspec.Meta(gt=0, le=365)] = 10.0
    high_pct: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.04
    extreme_pct: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.06
    min_hold: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3

    @property
    def interval_ms(self) -> int:
        """The candles' length in milliseconds."""
        return INTERVAL_MS[self.timeframe]

    @property
    def rank_candles(self) -> int:
        """The window of the rank, in candles; at least two, at most `RANK_CANDLES_MAX`."""
        wanted = round(self.rank_days * DAY_MS / self.interval_ms)
        return max(2, min(wanted, RANK_CANDLES_MAX))

    @property
    def rank_candles_min(self) -> int:
        """How many of them must be there."""
        return min(self.rank_candles, max(2, round(self.rank_days_min * DAY_MS / self.interval_ms)))

    @property
    def history_candles(self) -> int:
        """Closed candles that a warm-up should bring: the window, and what the measures need before it."""
        window = self.rank_candles if self.volatility == "rank" else 0
        return window + max(2 * self.adx_period, self.efficiency_period, self.atr_period) + 1

    def complaints(self) -> Iterator[str]:
        """What of its thresholds contradicts each other."""
        for low, high, strict in (
            ("trend_leave", "trend_enter", False),
            ("chop_enter", "chop_leave", False),
            ("high_rank", "extreme_rank", True),
            ("leave_rank", "high_rank", False),
            ("rank_days_min", "rank_days", False),
            ("high_pct", "extreme_pct", True),
        ):
            below, above = getattr(self, low), getattr(self, high)
            if below > above or (strict and below == above):
                than = "below" if strict else "at most"
                yield f"regime.{low} = {below} must be {than} regime.{high} = {above}"


class Measures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a verdict was made of; None while a measure has not seen enough candles.

    Attributes:
        adx, plus_di, minus_di: 0 to 100. `efficiency`: 0 to 1.
        atr_pct: ATR / close. `rank`: the share of the window's other values below it; None with fixed levels.
    """

    adx: float | None
    plus_di: float | None
    minus_di: float | None
    efficiency: float | None
    atr_pct: float | None
    rank: float | None


NO_MEASURES = Measures(
    adx=None, plus_di=None, minus_di=None, efficiency=None, atr_pct=None, rank=None
)


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the classifier says after a candle.

    Attributes:
        regime, volatility: held, so not always what the newest candle alone would say.
        since_ms: the end of the candle that brought it.
        measures: of the newest candle.
    """

    regime: Regime
    volatility: Volatility
    since_ms: int
    measures: Measures

    @property
    def state(self) -> tuple[Regime, Volatility]:
        """What a policy looks at."""
        return self.regime, self.volatility


UNKNOWN = Verdict(
    regime=Regime.UNKNOWN, volatility=Volatility.NORMAL, since_ms=0, measures=NO_MEASURES
)


class Classifier:
    """Classifies one market, candle by candle.

    Attributes:
        verdict: after the last closed candle.
        held: closed candles since the verdict's regime and volatility last changed.
    """

    def __init__(self, config: RegimeConfig) -> None:
        self.config = config
        self.verdict = UNKNOWN
        self.held = 0
        self._movement = DirectionalMovement(config.adx_period)
        self._efficiency = EfficiencyRatio(config.efficiency_period)
        self._atr = WilderAtr(config.atr_period)
        self._rank = Rank(config.rank_candles, config.rank_candles_min)
        self._trending = False
        self._choppy = False
        self._level = Volatility.NORMAL

    def fresh(self) -> Self:
        """Another one that has seen nothing."""
        return type(self)(self.config)

    def close_candle(self, end_ms: int, high: float, low: float, close: float) -> Verdict:
        """Counts one closed candle in.

        Args:
            end_ms: the first instant after it; only passed on.
            high: its highest price, positive and finite.
            low: its lowest price.
            close: its last price.

        Returns:
            The verdict.
        """
        measures = self._measure(high, low, close)
        seen = self._see(measures)
        before = self.verdict
        self.held += 1
        may_change = before.regime is Regime.UNKNOWN or self.held >= self.config.min_hold
        changed = seen is not None and seen != before.state and may_change
        if changed:
            self.held = 0
        regime, volatility = seen if changed and seen is not None else before.state
        self.verdict = Verdict(
            regime=regime,
            volatility=volatility,
            since_ms=end_ms if changed else before.since_ms,
            measures=measures,
        )
        return self.verdict

    def _measure(self, high: float, low: float, close: float) -> Measures:
        movement = self._movement
        movement.close_candle(high, low, close)
        efficiency = self._efficiency.close_candle(close)
        atr = self._atr.close_candle(high, low, close)
        atr_pct = None if atr is None else atr / close
        rank = None
        if atr_pct is not None and self.config.volatility == "rank":
            rank = self._rank.add(atr_pct)
        return Measures(
            adx=movement.adx,
            plus_di=movement.plus_di,
            minus_di=movement.minus_di,
            efficiency=efficiency,
            atr_pct=atr_pct,
            rank=rank,
        )

    def _see(self, measures: Measures) -> tuple[Regime, Volatility] | None:
        """What this candle says, each condition with its hysteresis; None while one cannot be told."""
        config = self.config
        adx, efficiency = measures.adx, measures.efficiency
        size = measures.rank if config.volatility == "rank" else measures.atr_pct
        if adx is None or efficiency is None or size is None:
            return None
        self._trending = adx >= (config.trend_leave if self._trending else config.trend_enter)
        self._choppy = efficiency <= (config.chop_leave if self._choppy else config.chop_enter)
        self._level = self._volatility(size)
        assert measures.plus_di is not None
        assert measures.minus_di is not None
        if self._level is Volatility.EXTREME and not self._trending:
            return Regime.HIGH_VOL, self._level
        if self._choppy:
            return Regime.CHOP, self._level
        if self._trending and measures.plus_di > measures.minus_di:
            return Regime.BULL, self._level
        if self._trending and measures.minus_di > measures.plus_di:
            return Regime.BEAR, self._level
        return Regime.NORMAL, self._level

    def _volatility(self, size: float) -> Volatility:
        config = self.config
        if config.volatility == "rank":
            high, extreme = config.high_rank, config.extreme_rank
            leave_high, leave_extreme = high - config.leave_rank, extreme - config.leave_rank
        else:
            high, extreme = config.high_pct, config.extreme_pct
            leave_high, leave_extreme = 0.9 * high, 0.9 * extreme
        was = self._level
        if size >= (leave_extreme if was is Volatility.EXTREME else extreme):
            return Volatility.EXTREME
        if size >= (high if was is Volatility.NORMAL else leave_high):
            return Volatility.HIGH
        return Volatility.NORMAL


class Rank:
    """The rank of the newest value among the last so many: the share of the others below it."""

    def __init__(self, length: int, length_min: int) -> None:
        self._length = length
        self._length_min = length_min
        self._values: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> float | None:
        """Counts a value in; answers its rank, 0 to 1, or None while there are too few."""
        self._values.append(value)
        insort(self._sorted, value)
        if len(self._values) > self._length:
            oldest = self._values.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        if len(self._values) < self._length_min:
            return None
        return bisect_left(self._sorted, value) / (len(self._sorted) - 1)
