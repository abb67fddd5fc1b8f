"""What a report knows of a session, and the rows that its page reads it from.

Times in rows are whole microseconds since the session's first second: exact in the page's double
precision, where nanoseconds since the Unix epoch are not. Texts of times keep every digit.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import msgspec

from reactor.replay.report_thinning import StopSteps

_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Epoch(msgspec.Struct, kw_only=True):
    """One life of a position as the lines told it. Numbers are their texts."""

    index: int
    symbol: str
    side: str
    opened_ns: int
    stop_steps: StopSteps
    plan: str | None = None
    quantity: str | None = None
    entry: str | None = None
    atr: str | None = None
    targets: list[tuple[str | None, str | None]] = []
    taken_ns: list[int | None] = []
    remaining: str | None = None
    exits: int = 0
    closed_ns: int | None = None
    reason: str | None = None
    realized: str | None = None
    r_multiple: str | None = None


class Shade(msgspec.Struct, kw_only=True):
    """A band of time behind one symbol's chart."""

    start_ns: int
    end_ns: int
    label: str
    colour_key: str


def utc_text(t_ns: int) -> str:
    """A time as people read it, to the last digit that says something.

    Args:
        t_ns: nanoseconds since the Unix epoch.

    Returns:
        For example `2025-11-20 14:40:00.123`, with six or nine decimals where they are not zeros; a
        time that no calendar has is given in nanoseconds.
    """
    seconds, rest_ns = divmod(t_ns, 1_000_000_000)
    try:
        moment = _EPOCH_START + timedelta(seconds=seconds)
    except OverflowError:
        return f"{t_ns} ns"
    decimals = f"{rest_ns:09d}"
    while len(decimals) > 3 and decimals.endswith("000"):
        decimals = decimals[:-3]
    return f"{moment:%Y-%m-%d %H:%M:%S}.{decimals}"


def take_targets(epoch: Epoch, price: Decimal, t_ns: int) -> None:
    """A rung is taken where the price is at it or beyond: the same comparison as the machine's."""
    for index, (target, _) in enumerate(epoch.targets):
        if target is None or epoch.taken_ns[index] is not None:
            continue
        distance = price - Decimal(target)
        if (distance if epoch.side == "LONG" else -distance) >= 0:
            epoch.taken_ns[index] = t_ns


def shade_row(shade: Shade, base_us: int) -> dict[str, Any]:
    """A band of time as the page reads it."""
    return {
        "from": shade.start_ns // 1000 - base_us,
        "to": shade.end_ns // 1000 - base_us,
        "label": shade.label,
        "key": shade.colour_key,
    }


def epoch_row(epoch: Epoch, base_us: int) -> dict[str, Any]:
    """An epoch as the page reads it: texts as they came, the stop's moves as differences of time."""
    steps = epoch.stop_steps
    kinds: list[tuple[int, str]] = []
    for index, kind in enumerate(steps.kinds):
        if not kinds or kinds[-1][1] != kind:
            kinds.append((index, kind))
    row = {
        key: getattr(epoch, key)
        for key in (
            "symbol",
            "side",
            "plan",
            "quantity",
            "entry",
            "atr",
            "remaining",
            "exits",
            "reason",
            "realized",
            "r_multiple",
        )
    }
    return row | {
        "from": epoch.opened_ns // 1000 - base_us,
        "to": None if epoch.closed_ns is None else epoch.closed_ns // 1000 - base_us,
        "opened_utc": utc_text(epoch.opened_ns),
        "closed_utc": None if epoch.closed_ns is None else utc_text(epoch.closed_ns),
        "targets": [
            [price, fraction, None if taken_ns is None else taken_ns // 1000 - base_us]
            for (price, fraction), taken_ns in zip(epoch.targets, epoch.taken_ns, strict=True)
        ],
        "stop_times": _differences([t_ns // 1000 - base_us for t_ns in steps.times]),
        "stops": steps.stops,
        "kinds": kinds,
    }


def compact_prices(times: list[int], prices: list[float], base_us: int) -> dict[str, Any]:
    """Points as differences of whole numbers, a third of their plain size, without losing a digit.

    Prices become whole multiples of a power of ten, which a reader divides by: whole numbers below
    2^53 and powers of ten up to 10^22 are exact in double precision, so the quotient is the very
    float that went in. Prices too long for that stay as they are (`scale` is null).
    """
    row: dict[str, Any] = {"t": _differences([t_ns // 1000 - base_us for t_ns in times])}
    exact = [Decimal(repr(price)) for price in prices]
    scale = max((max(-int(price.as_tuple().exponent), 0) for price in exact), default=0)
    if scale <= 22 and all(abs(price.scaleb(scale)) < 2**53 for price in exact):
        return row | {"scale": scale, "p": _differences([int(p.scaleb(scale)) for p in exact])}
    return row | {"scale": None, "p": prices}


def _differences(numbers: list[int]) -> list[int]:
    return [number - before for before, number in pairwise([0, *numbers])]
