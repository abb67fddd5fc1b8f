"""Whether this process can be relied on now: alive, and ready, each with its reasons.

*Alive* is what a restart could mend: the loop turns. *Ready* is what a person should know: every managed
position has a fresh price and its hard stop, the account is listened to, and something was heard at all.
No data is not ready; nothing is ever fine because nobody said otherwise.
"""

from typing import Final

import msgspec

from reactor.core.decisions import Side
from reactor.watch.picture import Picture, PositionKey, SeenPosition
from reactor.watch.pulse import Pulse

PROVED: Final = frozenset({"protected", "surplus", "watched"})
"""States of protection in which nothing is missing; a surplus hard stop is being cancelled, and a run that sends
nothing has none."""

LOOP_STILL_S_MAX: Final = 30.0
"""The longest that the loop's own pulse may be missing; the slowest disk was never a tenth of that."""


class ReadyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something counts against being ready.

    Attributes:
        price_age_ms_max: of a managed position's price: what the poller keeps to while a stream is gone.
        unprotected_s_max: how long a position may be without proof of its hard stop: two rounds of asking.
        private_down_s_max: how long the account's own stream may be down: a reconnect with its backoff.
        reconciled_s_max: how old the last comparison with the exchange may be. None where only those that found
            something are told: then their age says nothing.
        hard_stops: whether there are to be hard stops at all: false unless live, or where they are switched off.
    """

    price_age_ms_max: int = 5000
    unprotected_s_max: float = 10.0
    private_down_s_max: float = 30.0
    reconciled_s_max: float | None = None
    hard_stops: bool = True


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. `kind` is a stable word."""

    kind: str
    text: str
    symbol: str = ""
    side: str = ""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to rely on this process; `reasons` why not, `notes` what works less well."""

    ready: bool
    reasons: tuple[Trouble, ...] = ()
    notes: tuple[Trouble, ...] = ()


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process does anything at all."""

    alive: bool
    text: str
    loop_late_ms: float
    events: int


def liveness(picture: Picture, pulse: Pulse, *, now_ns: int) -> Liveness:
    """Whether the loop turns, by the pulse's clock: its beat is no older than `LOOP_STILL_S_MAX`."""
    still_s = pulse.still_ns(now_ns) / 1e9
    alive = still_s <= LOOP_STILL_S_MAX
    text = "the loop turns" if alive else f"the loop's pulse is missing for {still_s:.0f} s"
    return Liveness(
        alive=alive, text=text, loop_late_ms=pulse.late_max_ns / 1e6, events=picture.number
    )


def readiness(picture: Picture, limits: ReadyLimits, *, now_ns: int) -> Readiness:
    """Whether everything that is managed is guarded, by the clock that stamped the events."""
    reasons = _process_troubles(picture, limits, now_ns)
    for key in sorted(picture.positions):
        reasons.extend(position_troubles(picture, key, limits, now_ns=now_ns))
    return Readiness(ready=not reasons, reasons=tuple(reasons), notes=tuple(_notes(picture)))


def position_troubles(
    picture: Picture, key: PositionKey, limits: ReadyLimits, *, now_ns: int
) -> list[Trouble]:
    """What a managed position of the picture lacks; nothing for one that is not ours."""
    seen = picture.positions[key]
    if not seen.position.managed:
        return []
    symbol, side = key
    troubles = []
    age_ms = price_age_ms(seen, now_ns=now_ns)
    if age_ms is None:
        troubles.append(_trouble("no_price", "no price was ever heard", symbol, side))
    elif age_ms > limits.price_age_ms_max:
        text = f"its price is {age_ms / 1000:.1f} s old"
        troubles.append(_trouble("stale_price", text, symbol, side))
    if limits.hard_stops:
        state, for_s = protection_now(picture, key, now_ns=now_ns)
        if state not in PROVED and for_s > limits.unprotected_s_max:
            text = f"{state or 'its protection was never proved'} for {for_s:.0f} s"
            troubles.append(_trouble("unprotected", text, symbol, side))
    return troubles


def price_age_ms(seen: SeenPosition, *, now_ns: int) -> int | None:
    """How old a position's price is now: as old as it was told to be, and the time since then."""
    age_ms = seen.position.age_ms
    if age_ms is None or seen.position.price is None:
        return None
    return age_ms + max(0, now_ns - seen.t_ns) // 1_000_000


def protection_now(picture: Picture, key: PositionKey, *, now_ns: int) -> tuple[str, float]:
    """A position's protection: its state, and for how many seconds it has been that."""
    seen = picture.positions[key]
    told = picture.protection.get(key)
    if told is None or not told.state:
        return seen.position.protection, max(0, now_ns - seen.first_ns) / 1e9
    return told.state, max(0, now_ns - told.since_ns) / 1e9


def _process_troubles(picture: Picture, limits: ReadyLimits, now_ns: int) -> list[Trouble]:
    if picture.started is None:
        return [_trouble("no_data", "nothing was heard yet: the process has not started up")]
    troubles = []
    if picture.stopped is not None:
        troubles.append(_trouble("stopped", f"the process ends: {picture.stopped}"))
    last = picture.reconciliation
    if last is None:
        text = "no data: the account was never compared with the exchange"
        troubles.append(_trouble("no_data", text))
    elif (
        limits.reconciled_s_max is not None and (now_ns - last.t_ns) / 1e9 > limits.reconciled_s_max
    ):
        text = f"the account was last compared with the exchange {(now_ns - last.t_ns) / 1e9:.0f} s ago"
        troubles.append(_trouble("not_reconciled", text))
    private = picture.links.get("private")
    if private is None:
        down_s = (now_ns - picture.started_ns) / 1e9
        state = "never up"
    else:
        down_s = (now_ns - private.since_ns) / 1e9 if private.state != "up" else 0.0
        state = private.state
    if down_s > limits.private_down_s_max:
        text = f"the account's own stream is {state} for {down_s:.0f} s"
        troubles.append(_trouble("private_down", text))
    return troubles


def _notes(picture: Picture) -> list[Trouble]:
    notes = [
        _trouble("link_down", f"the {stream} socket is {link.state}")
        for stream, link in sorted(picture.links.items())
        if link.state != "up"
    ]
    notes += [
        _trouble("source", f"prices come from {source.source}", symbol)
        for symbol, source in sorted(picture.sources.items())
        if source.source != "stream" and any(held == symbol for held, _ in picture.positions)
    ]
    notes += [
        _trouble("degraded", f"{part}: {reason}" if reason else part)
        for part, reason in sorted(picture.degraded.items())
    ]
    notes += [
        _trouble("paused", "paused by an operator", symbol, side)
        for (symbol, side), seen in sorted(picture.positions.items())
        if seen.position.managed and seen.position.paused
    ]
    return notes


def _trouble(kind: str, text: str, symbol: str = "", side: Side | str = "") -> Trouble:
    return Trouble(kind=kind, text=text, symbol=symbol, side=side)
