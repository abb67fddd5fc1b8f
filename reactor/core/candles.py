"""Candles of one interval, built from ticks and completed from history.

Candles are aligned to exchange time. Ticks build the forming candle; history (klines read over REST)
fills what ticks could not show: the time before start-up, the candle in which watching began, and holes.
A candle without a tick is flat at the previous close. A late tick never reopens a closed candle.
"""

from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import NamedTuple, Self

from reactor.core.atr import Atr
from reactor.core.plan import Smoothing

RETAINED_CANDLES = 512
"""Closed candles kept for a late history: 42 hours of 5 m candles; no poller comes later than that."""

FLAT_CANDLES_MAX = 20_000
"""Flat candles built one by one into a hole (69 days of 5 m). Behind a longer hole the ATR starts anew."""


class Candle(NamedTuple):
    """One candle: open time in ms since the epoch, prices in quote units."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float


class CandleSeries:
    """The candles of one symbol, source and interval, with the ATRs measured on them.

    Attributes:
        interval_ms: the interval's length.
        forming: whether a candle is forming; the next five describe it.
        start_ms: its open time. `end_ms`: the first instant after it.
        open, high, low, close: its prices so far.
        closed_count: how many candles have closed so far, flat ones included.
        retained_max: closed candles kept for a late history, and for what is measured on all of them.
    """

    __slots__ = (
        "_atrs",
        "_base",
        "_interrupted",
        "_retained",
        "_ticked",
        "_whole",
        "close",
        "closed_count",
        "end_ms",
        "forming",
        "high",
        "interval_ms",
        "low",
        "open",
        "retained_max",
        "start_ms",
    )

    def __init__(self, interval_ms: int, *, retained_max: int = RETAINED_CANDLES) -> None:
        self.retained_max = retained_max
        self.interval_ms = interval_ms
        self.forming = False
        self.start_ms = 0
        self.end_ms = 0
        self.open = self.high = self.low = self.close = 0.0
        self.closed_count = 0
        # Whether a tick or a row has given the forming candle its prices; until then it is flat.
        self._ticked = False
        # Whether ticks alone have shown all of the forming candle. Rows may be cut off at any instant.
        self._whole = False
        # Whether ticks were missed since the last one; true at first: watching begins mid-candle.
        self._interrupted = True
        self._retained: deque[tuple[Candle, bool]] = deque()
        self._atrs: dict[tuple[int, Smoothing], Atr] = {}
        # The same ATRs as they stood before the oldest retained candle: where a rebuild starts.
        self._base: dict[tuple[int, Smoothing], Atr] = {}

    def atr(self, *, period: int, method: Smoothing) -> Atr:
        """The ATR of this series with these parameters, created when first asked for."""
        key = (period, method)
        if key not in self._atrs:
            self._base[key] = Atr(period=period, method=method)
            self._atrs[key] = self._base[key].twin()
            for candle, _ in self._retained:
                self._atrs[key].close_candle(candle.high, candle.low, candle.close)
        return self._atrs[key]

    def twin(self) -> Self:
        """An independent series in the same state."""
        twin = copy(self)
        twin._retained = self._retained.copy()  # noqa: SLF001 - its own kind
        twin._atrs = {key: atr.twin() for key, atr in self._atrs.items()}  # noqa: SLF001
        twin._base = {key: atr.twin() for key, atr in self._base.items()}  # noqa: SLF001
        return twin

    @property
    def closed(self) -> list[Candle]:
        """The retained closed candles, oldest first."""
        return [candle for candle, _ in self._retained]

    @property
    def last_closed(self) -> Candle | None:
        """The newest closed candle; None before there is one, and behind a hole too long to fill."""
        return self._retained[-1][0] if self._retained else None

    def roll(self, t_ms: int) -> bool:
        """Closes the forming candle if it ends at or before `t_ms`; the next one forms, flat so far.

        Call it until it answers False: silent intervals close one by one, each with its ATR.

        Returns:
            Whether a candle closed.
        """
        if not self.forming or t_ms < self.end_ms:
            return False
        if t_ms - self.end_ms > FLAT_CANDLES_MAX * self.interval_ms:
            self._forget()
        else:
            self._close_forming()
            self._begin(self.end_ms, self.close)
        return True

    def tick(self, price: float, t_ms: int) -> None:
        """Counts a price into its candle. Call `roll` before. A tick older than the candle is late."""
        if not self.forming:
            self._begin(t_ms - t_ms % self.interval_ms, price)
        if t_ms < self.start_ms:
            return
        if self._interrupted:
            self._interrupted = False
            self._whole = False
        self.close = price
        if self._ticked:
            self.high = max(self.high, price)
            self.low = min(self.low, price)
        else:
            self._ticked = True
            self.open = self.high = self.low = price

    def stretch(self, low: float, high: float) -> None:
        """Widens the forming candle to prices that passed within its time; its close follows later."""
        self.low = min(self.low, low)
        self.high = max(self.high, high)

    def settle(self, price: float) -> None:
        """Takes the last of ticks that were passed over, all within the forming candle's range.

        It is no news: what was interrupted before stays so.
        """
        self.close = price

    def interrupt(self) -> None:
        """Says that ticks were missed: the candles around the hole are not wholly seen."""
        self._interrupted = True
        self._whole = False

    def load(self, rows: Iterable[Candle]) -> bool:
        """Completes the series from history rows, oldest first or not; the newest may still form.

        A row never replaces a candle that ticks have shown whole, and never opens a closed one again.
        A later row replaces an earlier one, which may have been cut off while its candle formed.

        Returns:
            Whether any closed candle changed, so that ATRs may have.
        """
        rows = sorted(rows)
        if not rows:
            return False
        oldest = self._retained[0][0].open_time_ms if self._retained else None
        trimmed = self.closed_count > len(self._retained)
        known = {candle.open_time_ms: (candle, whole) for candle, whole in self._retained}
        before = [candle for candle, _ in self._retained]
        forming = self._forming_candle() if self.forming and self._ticked else None
        for row in rows:
            if trimmed and oldest is not None and row.open_time_ms < oldest:
                continue
            if forming is not None and row.open_time_ms == forming[0].open_time_ms:
                candle, whole = forming
                if not whole and row.open_time_ms < rows[-1].open_time_ms:
                    # The candle is over, so its row is complete.
                    forming = row, False
                elif not whole:
                    # Ticks know the close, unless none came since the hole that this row fills.
                    close = row.close if self._interrupted else candle.close
                    forming = _merged(row, candle, close=close), False
            elif not known.get(row.open_time_ms, (row, False))[1]:
                known[row.open_time_ms] = (row, False)
        if forming is not None:
            known[forming[0].open_time_ms] = forming
        start_ms = self.start_ms
        self._rebuild([known[key] for key in sorted(known)], trimmed=trimmed)
        while self.roll(start_ms):
            pass
        return [candle for candle, _ in self._retained] != before

    def _forming_candle(self) -> tuple[Candle, bool]:
        return Candle(self.start_ms, self.open, self.high, self.low, self.close), self._whole

    def _rebuild(self, candles: list[tuple[Candle, bool]], *, trimmed: bool) -> None:
        """Runs the ATRs again over the retained candles; the newest of `candles` is the forming one."""
        if not trimmed:
            self.closed_count = 0
        else:
            self.closed_count -= len(self._retained)
        self._retained.clear()
        self._atrs = {key: atr.twin() for key, atr in self._base.items()}
        self.forming = False
        self.start_ms = self.end_ms = 0
        for candle, whole in candles:
            while self.roll(candle.open_time_ms):
                pass
            self._begin(candle.open_time_ms, candle.close)
            self.open, self.high, self.low = candle.open, candle.high, candle.low
            self._ticked = True
            self._whole = whole

    def _begin(self, start_ms: int, price: float) -> None:
        self.forming = True
        self.start_ms = start_ms
        self.end_ms = start_ms + self.interval_ms
        self.open = self.high = self.low = self.close = price
        self._ticked = False
        self._whole = True

    def _close_forming(self) -> None:
        candle, whole = self._forming_candle()
        self._retained.append((candle, whole and self._ticked))
        self.closed_count += 1
        for atr in self._atrs.values():
            atr.close_candle(candle.high, candle.low, candle.close)
        if len(self._retained) > self.retained_max:
            dropped, _ = self._retained.popleft()
            for atr in self._base.values():
                atr.close_candle(dropped.high, dropped.low, dropped.close)

    def _forget(self) -> None:
        """Starts anew behind a hole that no flat candles could honestly fill."""
        self._retained.clear()
        self.closed_count = 0
        self.forming = False
        self.start_ms = self.end_ms = 0
        for key in self._atrs:
            self._base[key] = Atr(period=key[0], method=key[1])
            self._atrs[key] = self._base[key].twin()


def _merged(row: Candle, ticks: Candle, *, close: float) -> Candle:
    """A history row of the candle that is forming: the row knows what came before the ticks."""
    high, low = max(row.high, ticks.high), min(row.low, ticks.low)
    return Candle(row.open_time_ms, row.open, high, low, close)
