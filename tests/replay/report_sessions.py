"""Made-up sessions for the picture's tests: lines as a replay prints them, and the ticks between."""

import random
from pathlib import Path
from typing import Any

from reactor.replay.report import Report

START_NS = 1_763_640_000_123_456_789
SECOND_NS = 1_000_000_000


def opened(**other: Any) -> dict[str, Any]:
    return {
        "type": "opened",
        "t": START_NS,
        "symbol": "BTCUSDT",
        "side": "LONG",
        "quantity": "0.182",
        "entry": "88126.16",
        "plan": "trend_follow",
        "atr": "100.8571",
        "stop": "87974.8",
        "targets": [["88428.8", "0.5"], ["88580.1", "0.5"]],
    } | other


def stop(t_ns: int, price: str, kind: str = "trailing_stop", **other: Any) -> dict[str, Any]:
    return {
        "type": "stop",
        "t": t_ns,
        "tick": 1,
        "symbol": "BTCUSDT",
        "side": "LONG",
        "kind": kind,
        "stop": price,
        "price": "88500",
    } | other


def exit_line(t_ns: int, price: str, before: str, reason: str, **other: Any) -> dict[str, Any]:
    return {
        "type": "exit",
        "t": t_ns,
        "tick": 1,
        "symbol": "BTCUSDT",
        "side": "LONG",
        "reasons": [reason],
        "price": price,
        "quantity": "0.091",
        "remaining": "0",
        "stop": before,
    } | other


def closed(t_ns: int, reason: str, **other: Any) -> dict[str, Any]:
    return {
        "type": "closed",
        "t": t_ns,
        "symbol": "BTCUSDT",
        "side": "LONG",
        "reason": reason,
        "realized": "-27.51112",
        "r_multiple": "-0.99867864",
    } | other


def note(t_ns: int, text: str, symbol: str | None = "BTCUSDT") -> dict[str, Any]:
    return {"type": "note", "t": t_ns, "symbol": symbol, "text": text}


def tiny(title: str = "tiny.jsonl", symbol: str = "BTCUSDT", plan: str = "trend_follow") -> Report:
    """One position, six ticks, one exit."""
    report = Report(title=title)
    prices = ["88126.1", "88130", "88110", "88050.5", "88000", "87974.8"]
    for number, price in enumerate(prices):
        t_ns = START_NS + number * SECOND_NS
        report.price(symbol, t_ns, float(price))
        if number == 0:
            report.line(opened(symbol=symbol, plan=plan))
    end_ns = START_NS + 5 * SECOND_NS
    report.line(exit_line(end_ns, "87974.8", "87974.8", "stop_loss", symbol=symbol))
    report.line(closed(end_ns, "stop_loss", symbol=symbol))
    report.line({"type": "summary", "ticks": 6, "symbols": 1, "skipped": 2, "exits": 1})
    return report


def busy(*, exits: int, stop_moves: int) -> tuple[Report, list[tuple[int, str]]]:
    """One long position with many exits and stop moves; and the stop before each of the exits."""
    report = Report(title="busy.jsonl")
    random_ = random.Random(7)
    price, stop_price, t_ns = 3500.0, 3465.0, START_NS
    before: list[tuple[int, str]] = []
    report.line(opened(symbol="ETHUSDT", quantity="1000", entry="3500", stop="3465", targets=[]))
    for move in range(stop_moves):
        t_ns += random_.randrange(1, SECOND_NS)
        price += random_.random() * 0.02
        stop_price += 0.01
        report.price("ETHUSDT", t_ns, round(price, 2))
        if move % (stop_moves // exits) == 0:
            stands = f"{stop_price - 0.01:.2f}"
            before.append((t_ns, stands))
            line = exit_line(t_ns, f"{price:.2f}", stands, "harvest", symbol="ETHUSDT")
            report.line(line | {"quantity": "1", "remaining": str(999 - len(before))})
        report.line(stop(t_ns, f"{stop_price:.2f}", symbol="ETHUSDT"))
    return report, before


def hedge() -> Report:
    """Both sides of one symbol at once, one of them still open at the end, with bands and notes."""
    report = Report(title="hedge.jsonl")
    for number in range(400):
        t_ns = START_NS + number * SECOND_NS
        report.price("SOLUSDT", t_ns, 150 + (number % 50) / 100 + number / 1000)
        if number == 0:
            report.line(
                opened(symbol="SOLUSDT", entry="150.12", stop="149.5", targets=[["151.5", "1"]])
            )
            short = {"side": "SHORT", "plan": "fast_tp", "targets": [[None, "1"]]}
            report.line(opened(symbol="SOLUSDT", entry="150.4", stop="151.2", **short))
    for number, kind in ((100, "break_even"), (200, "trailing_stop"), (300, "manual")):
        price = f"{150 + number / 1000}"
        report.line(stop(START_NS + number * SECOND_NS, price, kind, symbol="SOLUSDT"))
    end_ns = START_NS + 350 * SECOND_NS
    report.line(exit_line(end_ns, "150.31", "150.3", "manual", symbol="SOLUSDT"))
    report.line(closed(end_ns, "manual", symbol="SOLUSDT", realized="3.45", r_multiple="0.306"))
    report.line(note(START_NS + 60 * SECOND_NS, "no price for 4.2 s", "SOLUSDT"))
    report.line(note(0, "a line was cut", ""))
    report.shade("SOLUSDT", START_NS, START_NS + 200 * SECOND_NS, "BULL", "BULL")
    report.shade("SOLUSDT", START_NS + 200 * SECOND_NS, end_ns, "odd", "some other key")
    return report


def small_prices() -> Report:
    """A price with five zeros after the point, and no exit."""
    report = Report(title="small.jsonl")
    for number in range(300):
        t_ns = START_NS + number * SECOND_NS
        report.price("PEPEUSDT", t_ns, round(0.00001234 + (number % 17) * 1e-8, 8))
        if number == 0:
            levels = {"entry": "0.00001234", "stop": "0.00001221", "targets": [["0.0000126", "1"]]}
            report.line(opened(symbol="PEPEUSDT", quantity="81037277", atr=None, **levels))
    return report


def write(report: Report, folder: Path, name: str) -> Path:
    path = folder / f"{name}.html"
    report.write(path)
    return path
