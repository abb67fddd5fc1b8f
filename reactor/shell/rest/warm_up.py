"""Candles of the past: what an ATR needs before the first tick, and what every hole in the ticks left out.

How many: `sma` looks at `period` true ranges and no further; each needs the close before it. Wilder's average never forgets
its start wholly: after n candles its first value still weighs ((period − 1)/period)ⁿ. So many are read that this is below
1e-9, which no rounding to a tick can see: n = 9·ln 10 / −ln(1 − 1/period), 280 for a period of 14. That is then filled up
to the most that costs the same weight (klines: under 100 one, under 500 two, up to 1000 five, 1500 ten). What looks back farther,
as a regime's rank does, is read page by page, the newest first, so that no page leaves a hole.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from reactor.audit import AlarmRaised, Audit
from reactor.binance.decode import decode_rest
from reactor.binance.rest_market_messages import Klines
from reactor.clock import Clock
from reactor.core.plan import INTERVAL_MS, Plan, Smoothing, Trigger
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest_seam import RestAnswer

FORGOTTEN: Final = 1e-9
"""What the first value of a Wilder average may still weigh."""

CLASSES: Final[tuple[tuple[int, int], ...]] = ((99, 1), (499, 2), (1000, 5), (1500, 10))
"""Most rows of each weight class of the klines endpoints, and its weight."""

ROWS_MAX: Final = CLASSES[-1][0]
REQUESTS_MAX: Final = 4
"""Under way at once. Nine positions are warm after three turns, well within a second."""

RETRY_S: Final = 5.0
RETRY_S_MAX: Final = 60.0
ALARM_AFTER: Final = 3
SETTLED_MS: Final = 3000
"""How long after a candle's end its row is read: the exchange corrects it for a moment."""


class Need(Struct, frozen=True, kw_only=True):
    """Candles that something measures an ATR on; `rows`: how many it looks back on, where that is more."""

    symbol: str
    source: Trigger
    interval: str
    period: int = 14
    method: Smoothing = "wilder"
    rows: int = 0

    @property
    def rows_needed(self) -> int:
        """How many rows must be read."""
        return max(self.rows, candles_needed(self.period, self.method))

    @property
    def path(self) -> str:
        """Where its candles are read. A book has none of its own: the last price's are the nearest."""
        return "/fapi/v1/markPriceKlines" if self.source == "mark" else "/fapi/v1/klines"


def need_of(plan: Plan, symbol: str) -> Need:
    """What a plan needs for a symbol. Every plan has an ATR: where no level uses it, it is shown."""
    return Need(
        symbol=symbol,
        source=plan.trigger,
        interval=plan.atr.interval,
        period=plan.atr.period,
        method=plan.atr.method,
    )


def candles_needed(period: int, method: Smoothing) -> int:
    """How many rows an ATR must be read from: see this module's head.

    Args:
        period: of the ATR, 1 or more.
        method: its smoothing.

    Returns:
        1 to 1500. The candle that still forms and the one whose close only begins are among them.
    """
    rows = period + 2
    if method == "wilder" and period > 1:
        rows += math.ceil(math.log(FORGOTTEN) / math.log1p(-1 / period))
    return min(rows, ROWS_MAX)


def filled_up(rows: int) -> tuple[int, int]:
    """The most rows for the weight that this many cost, and that weight."""
    return next((most, weight) for most, weight in CLASSES if rows <= most)


class _Wanted:
    """One question that is yet to be answered."""

    __slots__ = ("due_ns", "failures", "need", "rows", "under_way")

    def __init__(self, need: Need, rows: int, due_ns: int) -> None:
        self.need = need
        self.rows = rows
        self.due_ns = due_ns
        self.failures = 0
        self.under_way = False


Key = tuple[str, str, str]


class WarmUp:
    """Reads candles, again and again until they are there.

    A candle that was half over when watching began is read once more when it has closed.

    Attributes:
        loaded: when each symbol, path and interval last came, ns.
    """

    def __init__(
        self,
        client: RestClient,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
    ) -> None:
        """Starts with nothing wanted.

        Args:
            client: what asks.
            inbox: what answers go into.
            audit: told where candles cannot be had.
            clock: ours.
        """
        self.loaded: dict[Key, int] = {}
        self._client = client
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._wanted: dict[Key, _Wanted] = {}
        self._settling: dict[Key, _Wanted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """How many series are still to be read."""
        return len(self._wanted)

    def want(self, need: Need) -> None:
        """Reads all that an ATR needs, as soon as there is room. Harmless when repeated."""
        self._add(need, need.rows_needed)

    def fill(self, needs: Iterable[Need], *, since_ns: int) -> None:
        """Reads what a hole left out.

        Args:
            needs: whose ticks were missed.
            since_ns: the last instant known to be without a hole.
        """
        now_ms = self._exchange_ms()
        for need in needs:
            interval_ms = INTERVAL_MS[need.interval]
            # The candle that the hole began in, and the one that forms now.
            missed = (now_ms - since_ns // 1_000_000) // interval_ms + 2
            self._add(need, min(need.rows_needed, max(2, missed)))

    def forget(self, symbol: str) -> None:
        """Stops reading for a symbol that nobody watches any more."""
        for pending in (self._wanted, self._settling):
            for key in [key for key in pending if key[0] == symbol]:
                del pending[key]
        for key in [key for key in self.loaded if key[0] == symbol]:
            del self.loaded[key]
        self._note_idle()

    async def until_warm(self, timeout_s: float) -> bool:
        """Waits until everything wanted has come; `run` must be running.

        Returns:
            Whether it has; False where the time was up first.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _add(self, need: Need, rows: int) -> None:
        key = (need.symbol, need.path, need.interval)
        known = self._wanted.get(key)
        if known is None or (known.under_way and rows > known.rows):
            self._wanted[key] = _Wanted(need, rows, self._clock.now_ns())
        else:
            known.rows = max(known.rows, rows)
        self._idle.clear()
        self._wake.set()

    # Reading ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reads until cancelled; what is under way then is cancelled too."""
        try:
            while True:
                self._wake.clear()
                wait_s = self._ask_what_is_due()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ask_what_is_due(self) -> float | None:
        """Asks, and says after how many seconds there is more to ask; None: when something happens."""
        now_ns = self._clock.now_ns()
        waits: list[int] = []
        for pending, over in (
            (self._wanted, self._settled_or_not),
            (self._settling, self._settled),
        ):
            for key, wanted in pending.items():
                if wanted.under_way:
                    continue
                if wanted.due_ns > now_ns:
                    waits.append(wanted.due_ns - now_ns)
                elif len(self._tasks) < REQUESTS_MAX:
                    wanted.under_way = True
                    task = asyncio.create_task(
                        self._read(key, wanted, over), name=f"candles {key[0]} {key[2]}"
                    )
                    self._tasks.add(task)
                    task.add_done_callback(self._done)
        return min(waits) / 1e9 if waits else None

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _read(self, key: Key, wanted: _Wanted, over: Callable[[Key, _Wanted], None]) -> None:
        left, end_ms = wanted.rows, None
        while left > 0:
            rows, weight = filled_up(min(left, ROWS_MAX))
            page = await self._page(wanted.need, rows, weight, end_ms=end_ms)
            if isinstance(page, str):
                self._try_again(wanted, page)
                return
            answer, body = page
            self._inbox.rest(answer)
            self.loaded[key] = answer.t_ns
            # Less than was asked for: there is nothing older.
            left = left - rows if len(body.rows) == rows else 0
            end_ms = body.rows[0].open_time_ms - 1 if body.rows else None
        over(key, wanted)

    async def _page(
        self, need: Need, rows: int, weight: int, *, end_ms: int | None
    ) -> tuple[RestAnswer, Klines] | str:
        """The newest rows, or the newest before an instant; what is wrong where they cannot be had."""
        params: dict[str, str | int] = {
            "symbol": need.symbol,
            "interval": need.interval,
            "limit": rows,
        }
        if end_ms is not None:
            params["endTime"] = end_ms
        try:
            answer = await self._client.get(need.path, params, weight=weight, purpose="history")
        except (RestFailed, BudgetExhausted) as error:
            return str(error)
        texts = {name: str(value) for name, value in params.items()}
        body = decode_rest("GET", need.path, answer.status, answer.body, texts)
        if isinstance(body, Klines):
            return answer, body
        failure = failure_of(answer)
        return failure.msg if failure else "an answer that is no list of candles"

    def _try_again(self, wanted: _Wanted, problem: str) -> None:
        wanted.under_way = False
        wanted.failures += 1
        pause_s = min(RETRY_S_MAX, RETRY_S * 2 ** min(wanted.failures - 1, 8))
        now_ns = self._clock.now_ns()
        wanted.due_ns = now_ns + round(pause_s * 1e9)
        if wanted.failures == ALARM_AFTER:
            need = wanted.need
            text = (
                f"{need.symbol}: its {need.interval} candles cannot be read ({problem}); without an ATR"
                " the plan's fallback stop holds. It is tried again every minute"
            )
            alarm = AlarmRaised(
                kind="candles", text=text, symbol=need.symbol, key=f"candles-{need.symbol}"
            )
            self._audit.publish(alarm, t_ns=now_ns)

    def _settled_or_not(self, key: Key, wanted: _Wanted) -> None:
        """The candles came; the newest of them still forms."""
        if self._wanted.get(key) is wanted:
            del self._wanted[key]
        interval_ms = INTERVAL_MS[wanted.need.interval]
        now_ms = self._exchange_ms()
        left_ms = interval_ms - now_ms % interval_ms + SETTLED_MS
        due_ns = self._clock.now_ns() + left_ms * 1_000_000
        # As the reading began the candle before may have been the newest: two whole ones and the next.
        self._settling[key] = _Wanted(wanted.need, 3, due_ns)
        self._note_idle()

    def _settled(self, key: Key, wanted: _Wanted) -> None:
        if self._settling.get(key) is wanted:
            del self._settling[key]

    def _note_idle(self) -> None:
        if not self._wanted:
            self._idle.set()

    def _exchange_ms(self) -> int:
        return self._client.server_time.timestamp_ms(self._clock.now_ns())
