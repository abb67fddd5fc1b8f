"""Seeded price scenarios: a walk for each symbol, bent by what the scenario is about.

The last price follows the walk; the mark price follows the last with a lag, so that in a crash the last
falls further than the mark, as it does in life.
"""

import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from reactor.sim import funding
from reactor.sim.decimals import floor_to
from reactor.sim.market import Market

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

STEP_MS = 200
SIGMA = 0.00004  # of the price, a step
MARK_PULL = 0.35  # share of the distance to the last price that the mark makes up each second
MINUTE_S = 60.0


class Shape:
    """How a scenario bends the walk: a factor on the price, and what else happens at a time."""

    def __init__(
        self,
        text: str,
        factor: Callable[[float], float],
        *,
        sigma: float = SIGMA,
        halted: Callable[[float], bool] | None = None,
        funding_rate: Callable[[float], float] | None = None,
    ) -> None:
        self.text = text
        self.factor = factor
        self.sigma = sigma
        self.halted = halted
        self.funding_rate = funding_rate


def _trend(t_s: float) -> float:
    """Rise 1.5 % in five minutes, fall it in the next five."""
    phase = t_s % 600
    return 1 + 0.015 * (phase / 300 if phase < 300 else 2 - phase / 300)


def _flash_crash(t_s: float) -> float:
    """Fall 10 % within ten seconds once in five minutes, first after one; regain most in thirty."""
    phase = (t_s - MINUTE_S) % 300 if t_s >= MINUTE_S else -1.0
    if phase < 0:
        return 1.0
    if phase < 10:
        return 1 - 0.10 * phase / 10
    if phase < 40:
        return 0.90 + 0.08 * (phase - 10) / 30
    return 0.98 + 0.02 * min(1.0, (phase - 40) / 120)


def _gap(t_s: float) -> float:
    """Jump 3 % down and up again, once a minute, with nothing in between."""
    return 0.97 if int(t_s // MINUTE_S) % 2 else 1.0


def _whipsaw(t_s: float) -> float:
    """Swing 1 % around the walk every twenty seconds."""
    return 1 + 0.01 * math.sin(t_s * 2 * math.pi / 20)


def _is_halted(t_s: float) -> bool:
    return t_s % 180 >= 120


def _halt(t_s: float) -> float:
    """Reopen 1.5 % away after each halt."""
    return 1 - 0.015 * (int(t_s // 180) % 2)


def _spike(t_s: float) -> float:
    return 0.0075 if t_s >= 30 else 0.0001


SHAPES: Final[dict[str, Shape]] = {
    "calm": Shape("a quiet walk", lambda _: 1.0),
    "trend": Shape("up 1.5 % in five minutes, and down again", _trend),
    "flash_crash": Shape("10 % down in ten seconds, most of it back in thirty", _flash_crash),
    "gap": Shape("jumps of 3 % without a trade in between", _gap),
    "whipsaw": Shape("swings of 1 % every twenty seconds", _whipsaw),
    "halt": Shape("two minutes of trade, one of silence", _halt, halted=_is_halted),
    "funding_spike": Shape(
        "funding of 0.75 % paid every minute", lambda _: 1.0, funding_rate=_spike
    ),
    "still": Shape("nothing moves but what the control door moves", lambda _: 1.0, sigma=0.0),
}


class Scenario:
    """A price source for every symbol."""

    def __init__(
        self,
        name: str,
        *,
        start_ms: int,
        seed: int,
        speed: float = 1.0,
        step_ms: int = STEP_MS,
        symbols: frozenset[str] | None = None,
    ) -> None:
        self.name = name
        self._shape = SHAPES[name]
        self._start_ms = start_ms
        self._speed = speed
        self._step_ms = step_ms
        # A coarser walk wanders as far in the same time.
        self._sigma = self._shape.sigma * math.sqrt(step_ms / STEP_MS)
        self._random = random.Random(seed)  # noqa: S311 -- simulation, not secrecy
        self._steps = 0
        self._walk: dict[str, float] = {}
        self._symbols = symbols
        self._second = -1

    def next_due_ms(self) -> int | None:
        """Return when the next step is due."""
        if self.name == "still":
            return None
        return self._start_ms + int((self._steps + 1) * self._step_ms / self._speed)

    def move(self, exchange: "Exchange") -> None:
        """Make one step."""
        self._steps += 1
        t_s = self._steps * self._step_ms / 1000
        second = int(t_s)
        whole, self._second = second != self._second, second
        halted = self._shape.halted is not None and self._shape.halted(t_s)
        for symbol, market in exchange.markets.items():
            if self._symbols is not None and symbol not in self._symbols:
                continue
            self._step(exchange, market, t_s, whole=whole, halted=halted)
            if whole and self._shape.funding_rate is not None:
                market.funding_rate = Decimal(str(self._shape.funding_rate(t_s)))
                if second and second % 60 == 0:
                    funding.pay(exchange, market)

    def _step(
        self, exchange: "Exchange", market: Market, t_s: float, *, whole: bool, halted: bool
    ) -> None:
        rules = market.rules
        symbol = rules.symbol
        if self._shape.halted is not None:
            market.status = "TRADING_HALT" if halted else "TRADING"
        value = self._walk.get(symbol, float(rules.start_price))
        value *= 1 + self._random.gauss(0.0, self._sigma)
        self._walk[symbol] = value
        size = self._random.uniform(0.05, 1.5)
        if not halted:
            wanted = Decimal(repr(round(value * self._shape.factor(t_s), 8)))
            price = max(rules.tick * 2, floor_to(wanted, rules.tick))
            rising = price > market.last
            quantity = floor_to(market.book.depth * Decimal(str(round(size, 3))) / 10, rules.step)
            bid = price - rules.tick if rising else price
            depth = market.book.depth
            exchange.quote(symbol, bid, depth, bid + rules.tick, depth)
            exchange.trade(symbol, price, max(rules.step, quantity), buyer_maker=not rising)
        if whole:
            distance = market.last - market.mark
            moved = market.mark + distance * Decimal(str(MARK_PULL))
            mark = moved.quantize(Decimal("0.00000001"))
            index = (mark * Decimal("1.0001")).quantize(Decimal("0.00000001"))
            exchange.mark(symbol, mark, index)
