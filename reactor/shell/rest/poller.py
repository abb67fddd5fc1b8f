"""The fallback poller: prices of symbols that the stream does not deliver, over REST, each plan by its own source.

The answers go into the inbox like everything else that comes from outside, and through the same machine. A
symbol is asked for once a second, so that its price is never older than 5 s even where some answers are lost.
Where many symbols are blind, one question for all is cheaper than one for each.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal

from msgspec import Struct

from reactor.audit import AlarmRaised, Audit, SourceChanged
from reactor.clock import Clock
from reactor.core.plan import Trigger
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.inbox import Inbox, Link
from reactor.shell.rest.client import RestClient, failure_of, is_json

INTERVAL_S: Final = 1.0
SLOWER_S: Final = 3.0
"""After the budget refused a poll: two of them still fit into 5 s with their answers."""

REFUSED_S_MAX: Final = 30.0
"""A symbol that the exchange refuses to price (delisted) is asked for ever more seldom, down to this."""

TIMEOUT_S: Final = 2.0
PRICE_AGE_MAX_S: Final = 5.0
"""A blind symbol whose polled price is older than this has none: alarmed."""

WAKE_S: Final = 0.25
REQUESTS_MAX: Final = 8
"""Under way at once; the rest waits for the next turn."""

SourceNow = Literal["stream", "rest"]


class Endpoint(Struct, frozen=True):
    """Where a source's price is read, and what that costs for one symbol and for all."""

    path: str
    weight: int
    weight_all: int


ENDPOINTS: Final[Mapping[Trigger, Endpoint]] = {
    "mark": Endpoint("/fapi/v1/premiumIndex", 1, 10),
    "last": Endpoint("/fapi/v1/ticker/price", 1, 2),
    "book": Endpoint("/fapi/v1/ticker/bookTicker", 2, 5),
}
"""Weights as documented on 2026-05-28."""

ALL: Final = ""
"""The name under which the question for all symbols is kept."""


_MARK_ONLY: Final[tuple[Trigger, ...]] = ("mark",)


class _Target:
    """One question that is asked again and again: a source of a symbol, or of all."""

    __slots__ = ("due_ns", "refused_s", "under_way")

    def __init__(self) -> None:
        self.due_ns = 0
        self.refused_s = 0.0
        self.under_way = False


class Poller:
    """Polls blind symbols.

    Attributes:
        polls: answers handed over. `refused`: polls that the budget held back. `failed`: without an answer.
    """

    def __init__(
        self,
        client: RestClient,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        *,
        triggers: Callable[[str], Collection[Trigger]],
    ) -> None:
        """Starts with nothing to poll.

        Args:
            client: what asks.
            inbox: what answers go into.
            audit: told of each symbol's source, and of symbols without any price.
            clock: ours.
            triggers: the sources that the plans of a symbol's positions look at. Empty counts as `mark`.
        """
        self.polls = 0
        self.refused = 0
        self.failed = 0
        self._client = client
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._triggers = triggers
        self._sources: dict[str, SourceNow] = {}
        self._blind_since_ns: dict[str, int] = {}
        self._priced_ns: dict[tuple[Trigger, str], int] = {}
        self._alarmed: set[tuple[Trigger, str]] = set()
        self._targets: dict[tuple[Trigger, str], _Target] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    @property
    def sources(self) -> Mapping[str, SourceNow]:
        """Where each symbol's prices come from now: every symbol that was ever blind and is still watched."""
        return self._sources

    @property
    def blind(self) -> Collection[str]:
        """The symbols that are polled."""
        return self._blind_since_ns.keys()

    # Switching --------------------------------------------------------------------------------

    def to_rest(self, symbol: str, reason: str) -> None:
        """Polls a symbol from now on. Harmless when repeated."""
        if symbol in self._blind_since_ns:
            return
        self._blind_since_ns[symbol] = self._clock.now_ns()
        self._switch(symbol, "rest", reason)
        self._wake.set()

    def to_stream(self, symbol: str, reason: str) -> None:
        """Stops polling a symbol: its stream delivers. Harmless when repeated."""
        if self._stop(symbol):
            self._switch(symbol, "stream", reason)

    def forget(self, symbol: str) -> None:
        """Stops polling a symbol that is not watched any more."""
        self._stop(symbol)
        self._sources.pop(symbol, None)

    def _stop(self, symbol: str) -> bool:
        if self._blind_since_ns.pop(symbol, None) is None:
            return False
        for source in ENDPOINTS:
            self._targets.pop((source, symbol), None)
            self._priced_ns.pop((source, symbol), None)
            self._end_alarm(source, symbol, "the stream prices it again")
        return True

    def _switch(self, symbol: str, source: SourceNow, reason: str) -> None:
        self._sources[symbol] = source
        # Ticks were missed on the way to REST, and between its polls.
        self._inbox.link(
            Link(
                state="source",
                stream="market",
                reason=reason,
                symbol=symbol,
                source=source,
                gap=True,
            )
        )
        self._audit.publish(
            SourceChanged(symbol=symbol, source=source, reason=reason), t_ns=self._clock.now_ns()
        )

    # Polling ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Polls until cancelled; what is under way then is cancelled too."""
        try:
            while True:
                self._wake.clear()
                self._ask_what_is_due()
                try:
                    async with asyncio.timeout(WAKE_S if self._blind_since_ns else None):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ask_what_is_due(self) -> None:
        now_ns = self._clock.now_ns()
        for source, symbols in self._wanted().items():
            endpoint = ENDPOINTS[source]
            self._alarm_old(source, symbols, now_ns)
            for_all = len(symbols) * endpoint.weight > endpoint.weight_all
            for symbol in (ALL,) if for_all else symbols:
                target = self._targets.setdefault((source, symbol), _Target())
                if target.under_way or now_ns < target.due_ns or len(self._tasks) >= REQUESTS_MAX:
                    continue
                target.under_way = True
                target.due_ns = now_ns + round(INTERVAL_S * 1e9)
                task = asyncio.create_task(
                    self._poll(source, symbol, target), name=f"poll {source} {symbol or 'all'}"
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _wanted(self) -> dict[Trigger, list[str]]:
        wanted: dict[Trigger, list[str]] = {}
        # Who waits longest is asked first.
        for symbol in sorted(self._blind_since_ns, key=self._due_ns):
            for source in self._triggers(symbol) or _MARK_ONLY:
                wanted.setdefault(source, []).append(symbol)
        return wanted

    def _due_ns(self, symbol: str) -> int:
        return min(
            (
                target.due_ns
                for source in ENDPOINTS
                if (target := self._targets.get((source, symbol))) is not None
            ),
            default=0,
        )

    async def _poll(self, source: Trigger, symbol: str, target: _Target) -> None:
        endpoint = ENDPOINTS[source]
        try:
            answer = await self._client.get(
                endpoint.path,
                {"symbol": symbol} if symbol else {},
                weight=endpoint.weight if symbol else endpoint.weight_all,
                purpose="poll",
                timeout_s=TIMEOUT_S,
                attempts=1,
            )
        except BudgetExhausted:
            self.refused += 1
            target.due_ns = self._clock.now_ns() + round(SLOWER_S * 1e9)
            return
        except RestFailed:
            self.failed += 1
            return
        finally:
            target.under_way = False
        if failure_of(answer) is not None or not is_json(answer):
            self.failed += 1
            if 400 <= answer.status < 500:
                target.refused_s = min(REFUSED_S_MAX, 2 * target.refused_s or INTERVAL_S)
                target.due_ns = answer.t_ns + round(target.refused_s * 1e9)
            return
        target.refused_s = 0.0
        still_blind = [symbol] if symbol in self._blind_since_ns else []
        if symbol == ALL:
            still_blind = list(self._blind_since_ns)
        if not still_blind:
            # The stream was quicker: an older price must not follow its newer one.
            return
        for name in still_blind:
            self._priced_ns[source, name] = answer.asked_ns
            self._end_alarm(source, name, "REST prices it again")
        self.polls += 1
        self._inbox.rest(answer)

    def _alarm_old(self, source: Trigger, symbols: list[str], now_ns: int) -> None:
        """Tells, once, of every symbol that neither stream nor REST prices."""
        for symbol in symbols:
            key = (source, symbol)
            known_ns = self._priced_ns.get(key, self._blind_since_ns[symbol])
            age_s = (now_ns - known_ns) / 1e9
            if age_s > PRICE_AGE_MAX_S and key not in self._alarmed:
                self._alarmed.add(key)
                text = (
                    f"{symbol} has no {source} price, neither streamed nor over REST, for"
                    f" {age_s:.0f} s; its exits cannot fire. Look at the network and at the exchange"
                )
                self._audit.publish(
                    AlarmRaised(kind="blind", text=text, symbol=symbol, key=f"blind-{symbol}"),
                    t_ns=now_ns,
                )

    def _end_alarm(self, source: Trigger, symbol: str, text: str) -> None:
        """A symbol that was told to have no price has one, or is not looked at any more."""
        if (source, symbol) not in self._alarmed:
            return
        self._alarmed.discard((source, symbol))
        self._audit.publish(
            AlarmRaised(
                kind="blind",
                text=f"{symbol}: {text}",
                symbol=symbol,
                key=f"blind-{symbol}",
                resolved=True,
            ),
            t_ns=self._clock.now_ns(),
        )
