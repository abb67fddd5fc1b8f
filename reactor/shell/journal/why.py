"""Why something was done, or not: levels, the prices that came nearest, and the rules that did or did not fire."""

from decimal import Decimal
from typing import Any

import msgspec

from reactor.shell.journal.explain import happening_line, headline, number
from reactor.shell.journal.policy_words import last_regime, regime_headline
from reactor.shell.journal.reading import Reader, Record, clock_text
from reactor.shell.journal.samples import MINUTE_NS, Approach, Sample


def why(reader: Reader, symbol: str, *, from_ns: int, to_ns: int) -> Record:
    """Collects what the journal knows of a symbol within a span of time.

    Args:
        reader: of the journal.
        symbol: as Binance writes it.
        from_ns: the span's first instant, nanoseconds since the Unix epoch.
        to_ns: its last.
    """
    decisions = reader.rows(
        "SELECT id, t_ns, side, epoch, kind, body FROM decisions WHERE symbol = ?"
        " AND t_ns BETWEEN ? AND ? ORDER BY row",
        symbol,
        from_ns,
        to_ns,
    )
    minutes = reader.rows(
        "SELECT * FROM samples WHERE symbol = ? AND minute_ns BETWEEN ? AND ? ORDER BY minute_ns",
        symbol,
        from_ns - from_ns % MINUTE_NS,
        to_ns,
    )
    epochs = reader.rows(
        "SELECT * FROM epochs WHERE symbol = ? AND opened_ns <= ? AND coalesce(ended_ns, ?) >= ?"
        " ORDER BY epoch",
        symbol,
        to_ns,
        to_ns,
        from_ns,
    )
    for epoch in epochs:
        state = epoch.pop("state")
        epoch["plan"] = None if state is None else state["plan"]["name"]
        epoch["trigger"] = None if state is None else state["plan"]["trigger"]
    sides = [row["side"] for row in (*epochs, *minutes)]
    return {
        "symbol": symbol,
        "from_ns": from_ns,
        "to_ns": to_ns,
        # What holds for the symbol and is of no one position: regimes, words from outside.
        "regime": last_regime(reader, symbol, until_ns=from_ns),
        "decisions": [row for row in decisions if row["side"] is None],
        "positions": [
            _position(side, decisions, minutes, epochs) for side in sorted(dict.fromkeys(sides))
        ],
        "happenings": reader.rows(
            "SELECT t_ns, kind, symbol, side, body FROM happenings WHERE t_ns BETWEEN ? AND ?"
            " AND symbol IN (?, '') AND kind NOT IN ('reconciled', 'recording') ORDER BY row LIMIT 1000",
            from_ns,
            to_ns,
            symbol,
        ),
    }


def _position(
    side: str, decisions: list[Record], minutes: list[Record], epochs: list[Record]
) -> Record:
    looked = [row for row in minutes if row["side"] == side]
    samples = [msgspec.convert(row["body"], Sample, strict=False) for row in looked]
    return {
        "side": side,
        "epochs": [row for row in epochs if row["side"] == side],
        "decisions": [row for row in decisions if row["side"] == side],
        "nearest_stop": _nearest([sample.stop for sample in samples]),
        "nearest_level": _nearest([sample.level for sample in samples]),
        "minutes": [
            {"t_ns": row["minute_ns"], **_minute(sample)}
            for row, sample in zip(looked, samples, strict=True)
        ],
    }


def _nearest(approaches: list[Approach | None]) -> Record | None:
    known = [approach for approach in approaches if approach is not None]
    if not known:
        return None
    return msgspec.structs.asdict(min(known, key=lambda approach: approach.gap))


def _minute(sample: Sample) -> Record:
    minute = msgspec.structs.asdict(sample)
    for name in ("low", "high", "stop", "level"):
        if minute[name] is not None:
            minute[name] = msgspec.structs.asdict(minute[name])
    return minute


# In words -----------------------------------------------------------------------------------------

MINUTES_SHOWN = 30


def in_words(found: Record) -> list[str]:
    """The lines that a person reads."""
    lines = [
        f"{found['symbol']} from {clock_text(found['from_ns'])} to {clock_text(found['to_ns'])} UTC"
    ]
    if found["regime"] is not None:
        lines.append(f"{regime_headline(found['regime'])} when it began")
    lines += _decisions(found["decisions"])
    if not found["positions"]:
        lines += ["", "no position of it was guarded then, as far as this journal knows"]
    for position in found["positions"]:
        lines += _words_of(position)
    if found["happenings"]:
        lines += ["", "meanwhile:"]
        lines += [f"  {happening_line(row)}" for row in found["happenings"]]
    return lines


def _words_of(position: Record) -> list[str]:
    lines = [""]
    for epoch in position["epochs"]:
        end = "open"
        if epoch["ended_ns"] is not None:
            end = f"ended {clock_text(epoch['ended_ns'])} by {epoch['cause']}"
        lines.append(
            f"{position['side']}, epoch {epoch['epoch']}: plan {epoch['plan'] or '-'} on"
            f" {epoch['trigger'] or '-'} prices, opened {clock_text(epoch['opened_ns'])}, {end}"
        )
    lines += [f"  {line}" for line in _verdicts(position)]
    lines += _decisions(position["decisions"])
    lines += _minutes(position["minutes"])
    return lines


def _verdicts(position: Record) -> list[str]:
    """Which rule fired, and how near the others came."""
    exits = [row for row in position["decisions"] if row["kind"] == "exit"]
    reasons = [reason for row in exits for reason in row["body"]["reasons"]]
    fired = ", ".join(dict.fromkeys(reasons))
    lines = [f"fired: {fired}" if fired else "no rule fired"]
    for name, what in (("nearest_stop", "the stop"), ("nearest_level", "the next level")):
        lines.append(_approach(position[name], what))
    priceless = sum(minute["priceless"] for minute in position["minutes"])
    if priceless:
        lines.append(f"{priceless} looks found no price at all: nothing could fire then")
    if any(minute["paused"] for minute in position["minutes"]):
        lines.append("paused: rungs, harvests and trailing did not act; stops and guards did")
    return lines


def _approach(nearest: Record | None, what: str) -> str:
    if nearest is None:
        return f"nothing is known of how near the price came to {what}"
    gap, level = nearest["gap"], nearest["level"]
    how = "reached it" if gap <= 0 else f"was {number(gap)} short of it ({_per_cent(gap, level)})"
    age = "" if nearest["age_ms"] is None else f", {nearest['age_ms']} ms old"
    return (
        f"nearest to {what}: {number(nearest['price'])} {how}: {nearest['what']} {number(level)},"
        f" at {clock_text(nearest['t_ns'])} ({nearest['source']}{age})"
    )


def _per_cent(gap: Decimal, level: Decimal) -> str:
    return f"{gap / level * 100:.3f} %" if level else "-"


def _decisions(decisions: list[Record]) -> list[str]:
    lines = []
    moves: list[Record] = []
    for row in [*decisions, None]:
        if row is not None and row["kind"] == "stop":
            moves.append(row)
            continue
        if moves:
            lines.append(_stop_moves(moves))
            moves = []
        if row is not None and row["kind"] != "cancel_orders":
            said = headline(row["body"])
            lines.append(f"  {clock_text(row['t_ns'])} {said}  [{row['id']}]")
    return lines


def _stop_moves(moves: list[Record]) -> str:
    first, last = moves[0], moves[-1]
    to = f"{number(last['body']['stop'])} ({last['body']['kind']})"
    if len(moves) == 1:
        return f"  {clock_text(first['t_ns'])} stop to {to}  [{first['id']}]"
    return (
        f"  {clock_text(first['t_ns'])} stop moved {len(moves)} times until"
        f" {clock_text(last['t_ns'])}, to {to}  [{last['id']}]"
    )


def _minutes(minutes: list[Record]) -> list[str]:
    if not minutes:
        return []
    shown = minutes[-MINUTES_SHOWN:]
    lines = [
        "  minute (UTC)       lowest        highest       stop          next          oldest price"
    ]
    if len(shown) < len(minutes):
        lines.append(f"  … {len(minutes) - len(shown)} minutes before; --json has all")
    for minute in shown:
        cells: list[Any] = [
            None if minute[name] is None else minute[name]["price"] for name in ("low", "high")
        ]
        cells += [minute["last_stop"], minute["next_level"]]
        row = "".join(f" {number(cell):<13}" for cell in cells)
        lines.append(f"  {clock_text(minute['t_ns'])[:16]}  {row} {minute['oldest_ms']} ms")
    return lines
