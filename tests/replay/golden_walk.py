"""A fixture walked in plain arithmetic: which lines its replay must print, by the texts and nothing else.

Reads a tape with `json`, counts in fractions along the gain axis (x = price of a LONG, −price of a SHORT) and
applies every rule on every tick. It knows what the fixtures need and no more: fills are the tape's own; no
guards, no ratchet, no high volatility, and of ladder sizing the notional alone.
"""

import gzip
import json
import math
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

from backports import zstd
from golden_candles import Candles, Ticks

PLANS = Path(__file__).parents[2] / "reactor" / "plans"
UNKNOWN_NS = 500_000_000
NAMING_NS = 1_000_000_000
SIDES = ("LONG", "SHORT")
OURS = "xr-"
NUMBERS = {"quantity", "entry", "atr", "stop", "price", "remaining", "realized", "r_multiple"}

Line = dict[str, Any]


def read_lines(path: Path) -> list[bytes]:
    """A whole tape's lines."""
    packed = path.read_bytes()
    plain = gzip.decompress(packed) if path.suffix == ".gz" else zstd.decompress(packed)
    return plain.splitlines()


@cache
def fraction(text: str) -> Fraction:
    return Fraction(Decimal(text))


def exact(line: Line) -> Line:
    """A golden line with its numbers as fractions."""
    for key in NUMBERS & set(line):
        line[key] = None if line[key] is None else Fraction(Decimal(line[key]))
    if "targets" in line:
        line["targets"] = [
            [Fraction(Decimal(price)), Fraction(Decimal(close))] for price, close in line["targets"]
        ]
    return line


@cache
def _middle(prices: tuple[Fraction, ...]) -> Fraction:
    return sum(prices, Fraction(0)) / len(prices)


def floor_to(value: Fraction, step: Fraction) -> Fraction:
    return math.floor(value / step) * step


def load_plan(name: str, header: Line) -> Line:
    text = header.get("plans", {}).get(name) or (PLANS / f"{name}.toml").read_text()
    plan: Line = tomllib.loads(text, parse_float=fraction)
    plan["trigger"] = plan.get("trigger", "mark")
    plan["confirm"] = plan.get("confirm_ticks", 2 if plan["trigger"] == "book" else 1)
    return plan


class Epoch:
    """One life of a position."""

    def __init__(
        self, symbol: str, side: str, plan: Line, steps: tuple[Fraction, Fraction], t_ns: int
    ) -> None:
        self.symbol, self.side, self.plan = symbol, side, plan
        self.tick_size, self.lot = steps
        self.opened_ns = t_ns
        self.sign = 1 if side == "LONG" else -1
        self.quantity = self.initial = self.entry = self.r = Fraction(0)
        self.stop: Fraction | None = None
        self.kind = "stop_loss"
        self.taken: set[int] = set()
        self.rungs: list[tuple[Fraction | None, Fraction]] = []
        self.scale: Fraction | None = None
        self.closes: list[Fraction] = []
        self.nearest = self.farthest = Fraction(0)
        self.harvests = 0
        self.through = 0
        self.break_even_due = False
        self.peak: Fraction | None = None
        # Orders: what is under way, what a partial fill left, and when an unknown close is sent again.
        self.partial: Line | None = None
        self.full: Line | None = None
        self.rest: tuple[Fraction, Fraction, list[str]] | None = None
        self.again_ns: int | None = None
        self.fills: list[Fraction] = []
        self.unpriced = Fraction(0)
        self.reason = ""
        self.ended_ns: int | None = None

    def sized(self, notional: Fraction) -> tuple[Fraction, list[Fraction]]:
        """The ladder's scale and fractions; of its inputs a fixture tells the notional alone."""
        if self.scale is None:
            self.scale = Fraction(1)
            self.closes = [Fraction(target["close"]) for target in self.plan.get("targets", [])]
            ladder = self.plan.get("ladder", {})
            self.nearest, self.farthest = map(Fraction, ladder.get("clamp_pct", (0, 0)))
            for rule in ladder.get("rule", []):
                if rule["input"] == "notional":
                    assert rule["op"] == ">="
                    if notional >= rule["value"]:
                        self.scale *= rule["scale"]
                        self.closes = [Fraction(close) for close in rule.get("close", self.closes)]
        return self.scale, self.closes

    def set_levels(self, quantity: Fraction, entry: Fraction, atr: Fraction | None) -> bool:
        """At the opening and after an add; answers whether the stop has moved."""
        plan, tick = self.plan, self.tick_size
        self.quantity, self.entry = quantity, entry
        self.initial = max(self.initial, quantity)
        stop = plan["stop"]
        if "pct" in stop:
            self.r = stop["pct"] * entry
        else:
            fallback = stop.get("fallback_pct", Fraction(1, 100)) * entry
            self.r = fallback if atr is None else stop["atr"] * atr
        x0 = self.sign * entry
        self.rungs = []
        scale, closes = self.sized(quantity * entry)
        for target, close in zip(plan.get("targets", []), closes, strict=True):
            if "pct" in target:
                distance = target["pct"] * entry
            else:
                distance = target["r"] * self.r if "r" in target else target["atr"] * (atr or 0)
            distance = max(distance * scale, self.nearest * entry)
            distance = min(distance, self.farthest * entry) if self.farthest else distance
            self.rungs.append((-floor_to(-(x0 + distance), tick), close))
        wanted = floor_to(x0 - self.r, tick)
        if self.stop is None or wanted > self.stop:
            self.stop, self.kind = wanted, "stop_loss"
            return True
        return False

    def price(self, x: Fraction) -> Fraction:
        return self.sign * x

    def line(self, what: str, t_ns: int, tick: int, **more: Any) -> Line:
        start = {"type": what, "t": t_ns, "tick": tick, "symbol": self.symbol, "side": self.side}
        return {**start, **more}

    def stop_line(self, x: Fraction, t_ns: int, tick: int) -> Line:
        assert self.stop is not None
        return self.line(
            "stop", t_ns, tick, kind=self.kind, stop=self.price(self.stop), price=self.price(x)
        )

    # The rules --------------------------------------------------------------------------------

    def on_tick(
        self, x: Fraction, atr: Callable[[], Fraction | None], t_ns: int, tick: int
    ) -> Iterator[Line]:
        assert self.stop is not None
        if self.full is not None:
            return
        rest, self.rest = self.rest, None
        if rest is not None and x >= rest[1]:
            yield self.reduce(rest[0], rest[2], rest[1], x, t_ns, tick)
        self.through = self.through + 1 if x <= self.stop else 0
        if self.through >= self.plan["confirm"]:
            yield self.close(self.kind, x, t_ns, tick)
            return
        if self.partial is None:
            yield from self.take_profits(x, t_ns, tick)
        if self.quantity > (Fraction(0) if self.partial is None else self.partial["quantity"]):
            before = self.stop
            self.move_stop(x, atr)
            if self.stop != before:
                yield self.stop_line(x, t_ns, tick)

    def take_profits(self, x: Fraction, t_ns: int, tick: int) -> Iterator[Line]:
        left, total, reasons, level = self.quantity, Fraction(0), [], None
        is_whole = sum(close for _, close in self.rungs) == 1
        for index, (rung_x, close) in enumerate(self.rungs):
            if index in self.taken or rung_x is None or x < rung_x or not left:
                continue
            self.taken.add(index)
            is_last = is_whole and index == len(self.rungs) - 1
            part = left if is_last else min(left, floor_to(close * self.initial, self.lot))
            left, total, level = left - part, total + part, rung_x
            reasons.append("take_profit")
        harvest = self.plan.get("harvest")
        while harvest is not None and left:
            due = self.sign * self.entry + (self.harvests + 1) * harvest["trigger_pct"] * self.entry
            if x < due:
                break
            self.harvests += 1
            self.break_even_due = True
            part = floor_to(harvest["fraction"] * left, self.lot)
            left, total = left - part, total + part
            level = due if level is None else max(level, due)
            reasons.append("harvest")
        if total:
            assert level is not None
            yield self.reduce(total, list(dict.fromkeys(reasons)), level, x, t_ns, tick)

    def reduce(
        self,
        quantity: Fraction,
        reasons: list[str],
        level: Fraction,
        x: Fraction,
        t_ns: int,
        tick: int,
    ) -> Line:
        self.partial = {"quantity": quantity, "reasons": reasons, "level": level}
        return self.exit_line(quantity, self.quantity - quantity, reasons, x, t_ns, tick)

    def close(self, reason: str, x: Fraction, t_ns: int, tick: int) -> Line:
        self.full = {"x": x, "tick": tick, "reason": reason}
        return self.exit_line(self.quantity, Fraction(0), [reason], x, t_ns, tick)

    def exit_line(
        self,
        quantity: Fraction,
        remaining: Fraction,
        reasons: list[str],
        x: Fraction,
        t_ns: int,
        tick: int,
    ) -> Line:
        assert self.stop is not None
        return self.line(
            "exit",
            t_ns,
            tick,
            reasons=reasons,
            price=self.price(x),
            quantity=quantity,
            remaining=remaining,
            stop=self.price(self.stop),
        )

    def move_stop(self, x: Fraction, atr: Callable[[], Fraction | None]) -> None:
        plan, x0 = self.plan, self.sign * self.entry
        table = plan.get("break_even", {})
        if "at_r" in table and x >= x0 + table["at_r"] * self.r:
            self.break_even_due = True
        if self.break_even_due:
            offset = table.get("offset_pct", Fraction(1, 1000))
            self.offer(floor_to(x0 + offset * self.entry, self.tick_size), "break_even", x)
        trailing = plan.get("trailing")
        if trailing is None:
            return
        if self.peak is None:
            if trailing["activate"] == "in_profit":
                if x <= x0:
                    return
            elif len(self.taken) < trailing["value"]:
                return
            self.peak = x
        self.peak = max(self.peak, x)
        if "pct" in trailing:
            distance = trailing["pct"] * abs(self.peak)
        else:
            distance = trailing["atr"] * (atr() or 0)
        self.offer(floor_to(self.peak - distance, self.tick_size), "trailing_stop", x)

    def offer(self, stop: Fraction, kind: str, x: Fraction) -> None:
        assert self.stop is not None
        if self.stop < stop < x:
            self.stop, self.kind = stop, kind

    def closed(self, reason: str, t_ns: int) -> Line:
        realized = None if self.unpriced else sum(self.fills, Fraction(0))
        multiple = None
        if realized is not None:
            exact = Decimal(str(float(realized / (self.initial * self.r))))
            multiple = Fraction(exact.quantize(Decimal("0.00000001")))
        return {
            "type": "closed",
            "t": t_ns,
            "symbol": self.symbol,
            "side": self.side,
            "reason": reason,
            "realized": realized,
            "r_multiple": multiple,
        }


class Walk:
    """A whole tape."""

    def __init__(self, lines: list[bytes]) -> None:
        self.header: Line = json.loads(lines[0])
        self.raw = lines[1:]
        self.ticks: dict[tuple[str, str], Ticks] = {}
        self.candles: dict[tuple[str, str], Candles] = {}
        self.epochs: dict[tuple[str, str], Epoch] = {}
        self.ended: list[Epoch] = []
        self.steps: dict[str, tuple[Fraction, Fraction]] = {}
        self.plans: dict[tuple[str, str], Line] = {}
        self.aggregated: set[str] = set()
        self.trade_ids: set[int] = set()
        self.reports: set[str] = set()
        self.requests: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def run(self) -> list[Line]:
        """The lines that a replay of this tape must print, but for the summary."""
        found: list[Line] = []
        for raw in self.raw:
            line = json.loads(raw)
            t_ns = line["t"]
            found += self.timers(t_ns)
            message = line["m"]
            match line["c"], line.get("d", "in"):
                case "market" | "public", _:
                    data = message.get("data", message) if isinstance(message, dict) else message
                    for frame in data if isinstance(data, list) else [data]:
                        found += self.market(frame, t_ns)
                case "private", _:
                    found += self.private(message, t_ns)
                case "rest", _:
                    found += self.rest(message, t_ns)
                case "order", "out":
                    self.requests[message["id"]] = message["params"].get("newClientOrderId", "")
                case "order", "in":
                    self.answer(message, t_ns)
                case "control", _:
                    found += self.control(message, t_ns)
                case "link", _:
                    if message["state"] != "up":
                        for candles in self.candles.values():
                            candles.interrupt()
        return found

    # What a symbol is watched by --------------------------------------------------------------

    def plan(self, symbol: str, side: str) -> Line:
        if (symbol, side) not in self.plans:
            config = self.header.get("config", {})
            one = config.get("symbols", {}).get(symbol, {})
            name = one.get(side.lower()) or one.get("plan") or config.get("plan")
            own = self.header.get("plans", {})
            if name is None:
                name = next(iter(own)) if len(own) == 1 else "trend_follow"
            self.plans[symbol, side] = load_plan(name, self.header)
        return self.plans[symbol, side]

    def watched(self, symbol: str, source: str) -> bool:
        return any(self.plan(symbol, side)["trigger"] == source for side in SIDES)

    def candles_of(self, symbol: str, source: str) -> Candles:
        if (symbol, source) not in self.candles:
            plan = next(
                plan
                for plan in (self.plan(symbol, side) for side in SIDES)
                if plan["trigger"] == source
            )
            smoothing = plan.get("atr", {}).get("method", "wilder")
            self.candles[symbol, source] = Candles(smoothing=smoothing)
        return self.candles[symbol, source]

    def atr(self, symbol: str, plan: Line) -> Fraction | None:
        trailing = plan.get("trailing", {})
        if "atr" not in plan["stop"] and "atr" not in trailing:
            return None
        return self.candles_of(symbol, plan["trigger"]).atr()

    # Prices -----------------------------------------------------------------------------------

    def market(self, frame: Line, t_ns: int) -> Iterator[Line]:
        if frame.get("st", 1) != 1:
            return
        symbol = frame.get("s", "")
        match frame["e"]:
            case "markPriceUpdate":
                yield from self.tick(symbol, "mark", (frame["p"],), frame["E"], frame["E"], t_ns)
            case "aggTrade":
                if symbol not in self.aggregated and self.watched(symbol, "last"):
                    self.aggregated.add(symbol)
                    self.ticks.setdefault((symbol, "last"), Ticks()).last_id = -1
                yield from self.tick(symbol, "last", (frame["p"],), frame["a"], frame["T"], t_ns)
            case "trade" if frame["X"] == "MARKET" and symbol not in self.aggregated:
                yield from self.tick(symbol, "last", (frame["p"],), frame["t"], frame["T"], t_ns)
            case "bookTicker":
                prices = (frame["b"], frame["a"])
                yield from self.tick(symbol, "book", prices, frame["u"], frame["T"], t_ns)

    def tick(
        self, symbol: str, source: str, texts: tuple[str, ...], tick_id: int, t_ms: int, t_ns: int
    ) -> Iterator[Line]:
        if not self.watched(symbol, source):
            return
        ticks = self.ticks.setdefault((symbol, source), Ticks())
        for prices in ticks.accepted(tuple(map(fraction, texts)), tick_id):
            ticks.counted(prices)
            self.candles_of(symbol, source).tick(t_ms, _middle(prices))
            for side in SIDES:
                epoch = self.epochs.get((symbol, side))
                if epoch is not None and epoch.plan["trigger"] == source:
                    x = epoch.sign * (prices[0] if side == "LONG" else prices[-1])
                    atr = partial(self.atr, symbol, epoch.plan)
                    yield from epoch.on_tick(x, atr, t_ns, ticks.count)

    # The account ------------------------------------------------------------------------------

    def private(self, event: Line, t_ns: int) -> Iterator[Line]:
        content = json.dumps(event)
        if content in self.reports:
            return
        self.reports.add(content)
        if event["e"] == "ACCOUNT_UPDATE":
            for row in event["a"]["P"]:
                yield from self.position(row["s"], row["ps"], row["pa"], row["ep"], t_ns)
        elif event["e"] == "ORDER_TRADE_UPDATE":
            order = event["o"]
            if order["x"] == "TRADE":
                yield from self.trade(order, t_ns)
            self.order(order["s"], order["c"], order["X"], fraction(order["z"]))

    def position(
        self, symbol: str, position_side: str, amount: str, entry: str, t_ns: int
    ) -> Iterator[Line]:
        signed = fraction(amount)
        for side in SIDES if position_side == "BOTH" else (position_side,):
            held = abs(signed) if position_side == side or (signed > 0) == (side == "LONG") else 0
            epoch = self.epochs.get((symbol, side))
            if epoch is not None and not held:
                del self.epochs[symbol, side]
                epoch.unpriced += epoch.quantity
                if signed:
                    yield epoch.closed("flip", t_ns)
                else:
                    epoch.ended_ns = t_ns
                    self.ended.append(epoch)
        for side in SIDES if position_side == "BOTH" else (position_side,):
            held = abs(signed) if position_side == side or (signed > 0) == (side == "LONG") else 0
            if held:
                yield from self.held(symbol, side, Fraction(held), fraction(entry), t_ns)

    def held(
        self, symbol: str, side: str, quantity: Fraction, entry: Fraction, t_ns: int
    ) -> Iterator[Line]:
        plan = self.plan(symbol, side)
        ticks = self.ticks.get((symbol, plan["trigger"]))
        epoch = self.epochs.get((symbol, side))
        atr = self.atr(symbol, plan)
        if epoch is None:
            epoch = Epoch(symbol, side, plan, self.steps[symbol], t_ns)
            self.epochs[symbol, side] = epoch
            epoch.set_levels(quantity, entry, atr)
            assert epoch.stop is not None
            yield {
                "type": "opened",
                "t": t_ns,
                "symbol": symbol,
                "side": side,
                "quantity": quantity,
                "entry": entry,
                "plan": plan["name"],
                "atr": atr,
                "stop": epoch.price(epoch.stop),
                "targets": [[epoch.price(x or Fraction(0)), close] for x, close in epoch.rungs],
            }
        elif quantity > epoch.quantity or entry != epoch.entry:
            if epoch.set_levels(quantity, entry, atr):
                assert ticks is not None
                assert ticks.last is not None
                x = epoch.sign * (ticks.last[0] if side == "LONG" else ticks.last[-1])
                yield epoch.stop_line(x, t_ns, ticks.count)
        else:
            epoch.unpriced += epoch.quantity - quantity
            epoch.quantity = quantity

    def trade(self, order: Line, t_ns: int) -> Iterator[Line]:
        if order["t"] in self.trade_ids:
            return
        self.trade_ids.add(order["t"])
        side = "SHORT" if order["S"] == "BUY" else "LONG"
        if order["ps"] not in {"BOTH", side}:
            return
        key = (order["s"], side)
        ended = [epoch for epoch in self.ended if (epoch.symbol, epoch.side) == key]
        epoch = ended[0] if ended else self.epochs.get(key)
        if epoch is None:
            return
        epoch.unpriced -= fraction(order["l"])
        epoch.fills.append(fraction(order["rp"]))
        if ended and not epoch.unpriced:
            self.ended.remove(epoch)
            assert epoch.ended_ns is not None
            yield epoch.closed(self.name(epoch, order), epoch.ended_ns)

    @staticmethod
    def name(epoch: Epoch, order: Line) -> str:
        """What an epoch that this order ended was closed by."""
        client_id = order["c"]
        if client_id.startswith(OURS) and order.get("st") == "ALGO_CONDITION":
            return "hard_stop"
        if client_id.startswith(OURS):
            if epoch.full is not None:
                return str(epoch.full["reason"])
            return epoch.reason
        if client_id.startswith("autoclose-"):
            return "liquidation"
        return "adl" if client_id == "adl_autoclose" else "external"

    def order(self, symbol: str, client_id: str, status: str, filled: Fraction) -> None:
        """News of an order of ours; a slice of a split close decides nothing that matters here."""
        if not client_id.startswith(OURS):
            return
        for side in SIDES:
            epoch = self.epochs.get((symbol, side))
            if epoch is None:
                continue
            if status in {"FILLED", "EXPIRED"}:
                epoch.again_ns = None
                partial, epoch.partial = epoch.partial, None
                if partial is not None:
                    epoch.reason = partial["reasons"][-1]
                    left = partial["quantity"] - filled
                    if status == "EXPIRED" and left:
                        epoch.rest = (left, partial["level"], partial["reasons"])

    def answer(self, message: Line, t_ns: int) -> None:
        result = message.get("result")
        if result is not None:
            filled = fraction(result["executedQty"])
            self.order(result["symbol"], result["clientOrderId"], result["status"], filled)
            return
        for epoch in self.epochs.values():
            # One order is under way at a time in the fixtures whose answers fail.
            if message["error"]["code"] == -1007 and epoch.full is not None:
                epoch.again_ns = t_ns + UNKNOWN_NS

    def rest(self, message: Line, t_ns: int) -> Iterator[Line]:
        path, body, params = message["path"], message["body"], message["params"]
        if path.endswith("/exchangeInfo"):
            for contract in body["symbols"]:
                sizes = {each["filterType"]: each for each in contract["filters"]}
                self.steps[contract["symbol"]] = (
                    fraction(sizes["PRICE_FILTER"]["tickSize"]),
                    fraction(sizes["MARKET_LOT_SIZE"]["stepSize"]),
                )
        elif path.lower().endswith("klines"):
            rows = [(row[0], [fraction(text) for text in row[1:5]]) for row in body]
            sources = ("mark",) if "markPrice" in path else ("last", "book")
            for source in sources:
                if self.watched(params["symbol"], source):
                    self.candles_of(params["symbol"], source).load(rows)
        elif path.endswith("/positionRisk"):
            listed = set()
            for row in body:
                listed.add(row["symbol"])
                yield from self.position(
                    row["symbol"],
                    row["positionSide"],
                    row["positionAmt"],
                    row["entryPrice"],
                    t_ns,
                )
            for symbol, _ in tuple(self.epochs):
                if symbol not in listed:
                    yield from self.position(symbol, "BOTH", "0", "0", t_ns)

    def control(self, message: Line, t_ns: int) -> Iterator[Line]:
        epoch = self.epochs[message["symbol"], message["side"]]
        ticks = self.ticks[message["symbol"], epoch.plan["trigger"]]
        assert ticks.last is not None
        x = epoch.sign * ticks.last[0]
        if message["command"] == "set_stop":
            epoch.stop, epoch.kind = epoch.sign * fraction(message["price"]), "manual"
            yield epoch.stop_line(x, t_ns, ticks.count)
        else:
            yield epoch.close("manual", x, t_ns, ticks.count)

    # The clock --------------------------------------------------------------------------------

    def timers(self, t_ns: int) -> Iterator[Line]:
        for epoch in tuple(self.epochs.values()):
            table = epoch.plan.get("time_stop")
            if table is not None and not epoch.taken and not epoch.harvests and not epoch.full:
                due_ns = epoch.opened_ns + int(table["seconds"] * 1_000_000_000)
                if t_ns >= due_ns:
                    ticks = self.ticks[epoch.symbol, epoch.plan["trigger"]]
                    assert ticks.last is not None
                    yield epoch.close("time_stop", epoch.sign * ticks.last[0], due_ns, ticks.count)
            if epoch.again_ns is not None and t_ns >= epoch.again_ns:
                due_ns, epoch.again_ns = epoch.again_ns, None
                assert epoch.full is not None
                full = epoch.full
                yield epoch.close(full["reason"], full["x"], due_ns, full["tick"])
        for epoch in tuple(self.ended):
            assert epoch.ended_ns is not None
            if t_ns >= epoch.ended_ns + NAMING_NS:
                self.ended.remove(epoch)
                yield epoch.closed("external", epoch.ended_ns)
