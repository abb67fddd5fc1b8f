"""Sweeps in a few words, and the replay that each position of one must equal."""

from collections.abc import Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from reactor.core.exact import EXACT
from reactor.replay.lines import R_MULTIPLE_DIGITS
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.run import replay
from reactor.sweep.asked import Asked
from reactor.sweep.desk import Played
from reactor.sweep.entries import Entry
from reactor.sweep.grid import parameters
from reactor.sweep.study import Study, study
from reactor.sweep.track_files import inputs

MINUTE_NS = 60 * 10**9
START_NS = 1_790_000_000_000_000_000


def tick_walk(path: Path, *, count: int = 20_000, seed: int = 3, step_ms: int = 700) -> Path:
    """A file of plain ticks: a walk with fat tails, on the dime."""
    chance = np.random.default_rng(seed)
    prices = 60_000 * np.exp(np.cumsum(chance.standard_t(4, count) * 6e-5))
    times = START_NS + np.cumsum(chance.integers(1, step_ms * 2_000_000, count))
    np.savez(path, t=times, price=np.round(prices, 1))
    return path


def sweep(*files: str | Path, sets: Sequence[str], **more: Any) -> Study:
    """A sweep without any output."""
    options: dict[str, Any] = {"every_ns": 30 * MINUTE_NS, "trades_min": 1, **more}
    asked = Asked(
        inputs=tuple(inputs([str(file) for file in files])), parameters=parameters(sets), **options
    )
    return study(asked, note=lambda _: None, progress=lambda _: nullcontext(lambda _: None))


def replayed(
    files: Sequence[Path], found: Study, number: int, entry: Entry, **more: Any
) -> list[dict[str, Any]]:
    """The lines of a replay of one position with one combination."""
    track = found.courses[entry.track].track
    options = ReplayOptions(
        plan=found.grid.combinations[number].plan,
        positions=(AskedPosition(track.symbol, entry.side, entry.quantity, entry.price),),
        open_at_ns=None if entry.opens_at_start else entry.t_ns,
        **more,
    )
    lines: list[dict[str, Any]] = []
    replay(options, list(files), emit=lines.append, note=lambda _: None)
    return lines[:-1]


def told(played: Played) -> list[tuple[Any, ...]]:
    """What a sweep decided for a position, in the terms of `replay_told`."""
    rows: list[tuple[Any, ...]] = []
    if played.opened is not None:
        one = played.opened
        rows.append(("opened", one.t_ns, one.atr, one.stop, one.targets))
    rows += [
        (
            "exit",
            one.t_ns,
            one.tick,
            tuple(map(str, one.reasons)),
            one.price,
            one.quantity,
            one.stop,
        )
        for one in played.exits
    ]
    if played.closed is not None:
        end = played.closed
        assert end.r_multiple is not None
        rows.append(
            (
                "closed",
                end.t_ns,
                str(end.reason),
                end.realized,
                EXACT.quantize(end.r_multiple, R_MULTIPLE_DIGITS),
            )
        )
    return rows


def replay_told(lines: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a replay decided for a position, exactly, without its stop moves."""
    rows: list[tuple[Any, ...]] = []
    for line in lines:
        if line["type"] == "opened":
            targets = tuple((_number(price), Decimal(close)) for price, close in line["targets"])
            rows.append(("opened", line["t"], _number(line["atr"]), Decimal(line["stop"]), targets))
        elif line["type"] == "exit":
            numbers = (Decimal(line[name]) for name in ("price", "quantity", "stop"))
            rows.append(("exit", line["t"], line["tick"], tuple(line["reasons"]), *numbers))
        elif line["type"] == "closed":
            realized, multiple = Decimal(line["realized"]), Decimal(line["r_multiple"])
            rows.append(("closed", line["t"], line["reason"], realized, multiple))
    return rows


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
