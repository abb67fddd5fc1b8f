"""Which prices and candles are asked for: those of open positions, and of symbols that are waited for.

A symbol that comes up while the process runs is subscribed to at once; its candles and one price of each source
that its plan looks at are read over REST, so that a position in it is judged before the stream's first tick.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from reactor.config import Config
from reactor.core.decisions import Closed, Decision, Opened
from reactor.core.market import Source
from reactor.core.sizing import wants_input
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.guard import Guard
from reactor.shell.inbox import Link
from reactor.shell.plan_choice import SIDES, PlanChoice
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.warm_up import Need, WarmUp, need_of
from reactor.shell.rest_seam import Purpose
from reactor.shell.steering_needs import needs_beside

PRICE_PATHS: Final[dict[Source, tuple[str, int]]] = {
    "mark": ("/fapi/v1/premiumIndex", 1),
    "last": ("/fapi/v1/ticker/price", 1),
    "book": ("/fapi/v1/ticker/bookTicker", 2),
}
"""Where one price of each source is read, and what that weighs."""

KEPT_MAX: Final = 100
"""Symbols that are watched on after their position is gone: candles that nobody watches become a hole, and an ATR
over a hole is no ATR. Beyond it, the one that was open longest ago is let go, and read anew when it comes back."""

PRICE_AGAIN_S: Final = 2.0
"""Before a first price that could not be read is asked for again."""

FACT_PATHS: Final[dict[str, tuple[str, int, Purpose, bool]]] = {
    "volume_24h": ("/fapi/v1/ticker/24hr", 1, "history", False),
    "leverage": ("/fapi/v1/symbolConfig", 5, "account", True),
}
"""Where an input of ladder rules is read, what that weighs, what it is for, and whether it is signed."""

WARM_S: Final = 2.0
"""How long the first price of a position waits for candles; its fallback stop protects it meanwhile."""


class Watching:
    """Keeps subscriptions, candles and first prices in step with what is open.

    Attributes:
        symbols: those that are watched though nothing may be open in them.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        config: Config,
        plans: PlanChoice,
        market_feed: MarketFeed,
        warm_up: WarmUp,
        contracts: Contracts,
        rest: RestClient,
        say: Callable[[str], None],
    ) -> None:
        """Begins to listen to the guard.

        Args:
            guard: whose positions are watched.
            config: names symbols and sides.
            plans: say which source a position looks at.
            market_feed: subscribes.
            warm_up: reads candles.
            contracts: which symbols there are.
            rest: reads first prices.
            say: takes one line for the person who started this.
        """
        self.symbols: set[str] = set()
        self._guard = guard
        self._engine = guard.pump.engine
        self._config = config
        self._plans = plans
        self._feed = market_feed
        self._warm_up = warm_up
        self._contracts = contracts
        self._rest = rest
        self._say = say
        self._kept: dict[str, None] = {}
        self._candles: set[Need] = set()
        self._told_facts: set[str] = set()
        self._priced: set[tuple[str, Source]] = set()
        self._refused: set[str] = set()
        self._gap_since_ns = 0
        self._started = False
        self._wake = asyncio.Event()
        guard.after.append(self._after)
        guard.changed.append(self._changed)
        guard.links.append(self._on_link)

    async def begin(self) -> None:
        """Reads candles, then prices, of all that is open or listed; then subscribes."""
        listed = {name for name in self._config.manage.include if name != "*"}
        self.symbols = {symbol for symbol in sorted(listed) if self._may_watch(symbol)}
        await self._read()
        self._started = True
        self.look()

    async def run(self) -> None:
        """Reads what new symbols need, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._read()

    def look(self) -> None:
        """Subscribes to what is needed now, and has the rest read."""
        if not self._started:
            return
        self._keep()
        sources = self._sources()
        self._feed.want(streams_for(sources))
        if sources - self._priced:
            self._wake.set()

    def _keep(self) -> None:
        """Notes what is open now as the newest of what is watched on."""
        open_now = self._guard.symbols() | self._engine.awaited()
        for symbol in sorted(open_now):
            self._kept.pop(symbol, None)
            self._kept[symbol] = None
        for symbol in list(self._kept)[: max(0, len(self._kept) - max(KEPT_MAX, len(open_now)))]:
            del self._kept[symbol]
            if symbol in self.symbols:
                continue
            self._priced = {one for one in self._priced if one[0] != symbol}
            self._candles = {need for need in self._candles if need.symbol != symbol}
            self._warm_up.forget(symbol)

    # What the guard tells ---------------------------------------------------------------------

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        if any(isinstance(decision, Opened | Closed) for decision in decisions):
            self.look()

    def _changed(self, t_ns: int) -> None:
        if self._engine.awaited() - {symbol for symbol, _ in self._priced}:
            self.look()

    def _on_link(self, link: Link, t_ns: int) -> None:
        """A hole in the prices: the candles around it are read again when the stream is back."""
        if link.stream not in {"market", "public"} or link.state not in {"up", "down", "silent"}:
            return
        if link.state in {"down", "silent"}:
            self._gap_since_ns = self._gap_since_ns or t_ns
        elif self._gap_since_ns:
            self._warm_up.fill(self._needs(), since_ns=self._gap_since_ns)
            self._gap_since_ns = 0

    # Reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Candles first: they say where levels lie when the first price comes."""
        for need in self._needs() - self._candles:
            self._candles.add(need)
            self._warm_up.want(need)
        new = sorted(self._sources() - self._priced)
        for symbol in sorted({symbol for symbol, _ in new} - self._told_facts):
            self._told_facts.add(symbol)
            await self._facts(symbol)
        if new:
            await self._warm_up.until_warm(WARM_S)
        for symbol, source in new:
            self._priced.add((symbol, source))
            problem = await self._price(symbol, source)
            if problem and symbol in self._engine.awaited():
                # Nothing protects it until there is a price: the stream's, or this one.
                self._priced.discard((symbol, source))
                asyncio.get_running_loop().call_later(PRICE_AGAIN_S, self._wake.set)
            if problem:
                self._say(f"{symbol}: no first price: {problem}; the stream will bring it")

    async def _facts(self, symbol: str) -> None:
        """Reads what ladder rules of the symbol's plans ask for, once: they size a position when it opens."""
        plans = [self._plans.plan_for(symbol, side) for side in SIDES]
        plans += self._plans.steering().possible_plans(symbol)
        for name, (path, weight, purpose, signed) in FACT_PATHS.items():
            if not any(wants_input(plan, name) for plan in plans):
                continue
            try:
                answer = await self._rest.get(
                    path, {"symbol": symbol}, weight=weight, purpose=purpose, signed=signed
                )
            except (RestFailed, BudgetExhausted) as error:
                self._say(
                    f"{symbol}: {name} is not known ({error}); rules that ask for it are left out"
                )
                continue
            if failure_of(answer) is None:
                self._guard.rest(answer)

    async def _price(self, symbol: str, source: Source) -> str:
        """Reads one price; answers why there is none, empty where there is one."""
        path, weight = PRICE_PATHS[source]
        try:
            answer = await self._rest.get(path, {"symbol": symbol}, weight=weight, purpose="poll")
        except (RestFailed, BudgetExhausted) as error:
            return str(error)
        failure = failure_of(answer)
        if failure is not None:
            return f"{failure.code} {failure.msg}"
        self._guard.rest(answer)
        return ""

    def _sources(self) -> set[tuple[str, Source]]:
        """The price sources that are looked at."""
        sides = self._config.manage.sides
        waited = self.symbols | self._engine.awaited() | self._kept.keys()
        wanted: set[tuple[str, Source]] = {
            (symbol, self._plans.plan_for(symbol, side).trigger)
            for symbol in waited
            for side in sides
        }
        return wanted | {
            (machine.symbol, machine.plan.trigger) for machine in self._guard.positions.values()
        }

    def _needs(self) -> set[Need]:
        """The candles that plans and open positions look at."""
        needs = {
            need_of(self._plans.plan_for(symbol, side), symbol)
            for symbol, _ in self._sources()
            for side in self._config.manage.sides
        }
        for symbol in {symbol for symbol, _ in self._sources()}:
            named = {side: self._plans.plan_for(symbol, side) for side in SIDES}
            needs |= needs_beside(self._plans.steering(), symbol, named)
        return needs | {
            need_of(machine.plan, machine.symbol) for machine in self._guard.positions.values()
        }

    def _may_watch(self, symbol: str) -> bool:
        for line in (self._contracts.why_not(symbol), self._contracts.note(symbol)):
            if line is not None and line not in self._refused:
                self._refused.add(line)
                self._say(line)
        return self._contracts.filters(symbol) is not None


def streams_for(symbols: Iterable[tuple[str, Source]]) -> set[str]:
    """The streams that these symbols and their price sources need; the mark price always."""
    names = set()
    for symbol, source in symbols:
        lower = symbol.lower()
        names.add(f"{lower}@markPrice@1s")
        if source == "last":
            names.add(f"{lower}@aggTrade")
        elif source == "book":
            names.add(f"{lower}@bookTicker")
    return names
