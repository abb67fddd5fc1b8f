"""The picture at one instant, as values: what `/api/v1/…` answers, and what every table and page is made of.

Numbers that are prices or quantities are decimals, and decimal strings in JSON. What is worst stands first.
"""

from decimal import Decimal
from typing import Any

import msgspec

from reactor.audit import PositionSeen
from reactor.core.decisions import (
    Alarm,
    Closed,
    Decision,
    Exit,
    HeldBack,
    Opened,
    OrdersCancelled,
    PolicyChanged,
    RegimeChanged,
    Side,
    StopMoved,
)
from reactor.core.exact import text
from reactor.watch.health import (
    PROVED,
    Readiness,
    ReadyLimits,
    Trouble,
    position_troubles,
    price_age_ms,
    protection_now,
    readiness,
)
from reactor.watch.histogram import Histogram
from reactor.watch.picture import DecidedAt, Picture, PositionKey, kind_and_reason

ALARM_SHOWN_NS = 3600 * 10**9
"""An alarm that nobody repeated for an hour is history: `alarms` has it no more."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A rung: its price, the fraction that it closes, and whether it did."""

    price: Decimal | None
    fraction: Decimal
    taken: bool


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """A position now.

    Attributes:
        age_ms: of its price, now. `protection_s`: for how long it has been in its state of protection.
        stop_distance, next_distance: as a fraction of the price, positive while not reached.
        naked_s, blind_s: in all since the start of the process.
        r: the initial risk, in price. `r_multiple`: the result so far in such risks.
        troubles: what it lacks.
    """

    symbol: str
    side: Side
    managed: bool
    quantity: Decimal
    entry: Decimal
    plan: str
    epoch: int
    opened_ms: int
    state: str
    paused: bool
    price: Decimal | None
    source: str
    age_ms: int | None
    stop: Decimal | None
    stop_kind: str
    stop_distance: float | None
    next_level: Decimal | None
    next_what: str
    next_distance: float | None
    r: Decimal | None
    r_multiple: Decimal | None
    atr: Decimal | None
    peak: Decimal | None
    targets: tuple[Target, ...]
    hard_stop: Decimal | None
    hard_stop_state: str
    protection: str
    protection_s: float
    naked_s: float
    blind_s: float
    unrealized: Decimal | None
    troubles: tuple[Trouble, ...]


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A socket now."""

    stream: str
    state: str
    reason: str
    for_s: float


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, with a sentence. `decision` is all of it."""

    id: str
    t_ms: int
    symbol: str
    side: str
    kind: str
    reason: str
    text: str
    decision: dict[str, Any]


class AlarmView(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that nobody has said to be over."""

    kind: str
    text: str
    symbol: str
    first_ms: int
    last_ms: int
    times: int


class LatencyView(msgspec.Struct, frozen=True, kw_only=True):
    """How long a step took, over all symbols and purposes, in microseconds."""

    count: int
    p50_us: float
    p99_us: float
    max_us: float


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known now."""

    version: str
    instance: str
    environment: str
    mode: str
    hedge: bool
    now_ms: int
    started_ms: int
    uptime_s: float
    events: int
    ready: bool
    reasons: tuple[Trouble, ...]
    notes: tuple[Trouble, ...]
    positions: tuple[PositionView, ...]
    links: tuple[LinkView, ...]
    decisions: tuple[DecisionView, ...]
    alarms: tuple[AlarmView, ...]
    reconciled_s: float | None
    differences: int
    recording: str
    latency: dict[str, LatencyView]


def status(
    picture: Picture, limits: ReadyLimits, *, now_ns: int, decisions_max: int = 10
) -> Status:
    """The picture at an instant of the clock that stamped the events, with the newest decisions worth a line."""
    state: Readiness = readiness(picture, limits, now_ns=now_ns)
    started = picture.started
    last = picture.reconciliation
    recording = picture.recording
    return Status(
        version=started.version if started else "",
        instance=started.instance if started else "",
        environment=started.environment if started else "",
        mode=started.mode if started else "",
        hedge=started.hedge if started else False,
        now_ms=now_ns // 1_000_000,
        started_ms=picture.started_ns // 1_000_000,
        uptime_s=max(0, now_ns - picture.started_ns) / 1e9 if started else 0.0,
        events=picture.number,
        ready=state.ready,
        reasons=state.reasons,
        notes=state.notes,
        positions=positions(picture, limits, now_ns=now_ns),
        links=tuple(
            LinkView(
                stream=stream,
                state=link.state,
                reason=link.reason,
                for_s=max(0, now_ns - link.since_ns) / 1e9,
            )
            for stream, link in sorted(picture.links.items())
        ),
        decisions=_last_decisions(picture, count_max=decisions_max),
        alarms=alarms(picture, now_ns=now_ns),
        reconciled_s=max(0, now_ns - last.t_ns) / 1e9 if last else None,
        differences=last.differences if last else 0,
        recording=recording.path if recording and recording.state != "stopped" else "",
        latency=_latency(picture),
    )


def positions(picture: Picture, limits: ReadyLimits, *, now_ns: int) -> tuple[PositionView, ...]:
    """Every position, the worst first: troubled ones, then by name, then those that are not ours."""
    views = [_position(picture, key, limits, now_ns) for key in picture.positions]
    return tuple(sorted(views, key=_rank))


def decisions(picture: Picture, *, count_max: int) -> tuple[DecisionView, ...]:
    """The last decisions, newest first."""
    kept = list(picture.decisions)
    return tuple(_decision(decided) for decided in reversed(kept[max(0, len(kept) - count_max) :]))


def _last_decisions(picture: Picture, *, count_max: int) -> tuple[DecisionView, ...]:
    """The last decisions, newest first; of a stop that moved several times in a row the last, and no clearing up."""
    shown: list[DecidedAt] = []
    newer: dict[tuple[str, str | None], bool] = {}
    for decided in reversed(picture.decisions):
        decision = decided.decision
        if isinstance(decision, OrdersCancelled):
            continue
        key = decision.symbol, decision.side
        moved = isinstance(decision, StopMoved)
        if not (moved and newer.get(key)):
            shown.append(decided)
            if len(shown) == count_max:
                break
        newer[key] = moved
    return tuple(_decision(decided) for decided in shown)


def alarms(picture: Picture, *, now_ns: int) -> tuple[AlarmView, ...]:
    """The alarms of the last hour that nobody said to be over, newest first."""
    return tuple(
        AlarmView(
            kind=active.alarm.kind,
            text=active.alarm.text,
            symbol=active.alarm.symbol,
            first_ms=active.first_ns // 1_000_000,
            last_ms=active.last_ns // 1_000_000,
            times=active.times,
        )
        for active in reversed(picture.alarms.values())
        if now_ns - active.last_ns <= ALARM_SHOWN_NS
    )


def _rank(view: PositionView) -> tuple[int, str, str]:
    kinds = {trouble.kind for trouble in view.troubles}
    if not view.managed:
        rank = 5
    elif "unprotected" in kinds and len(kinds) > 1:
        rank = 0
    elif "unprotected" in kinds:
        rank = 1
    elif kinds:
        rank = 2
    else:
        rank = 4 if view.protection in PROVED else 3
    return rank, view.symbol, view.side


def _position(picture: Picture, key: PositionKey, limits: ReadyLimits, now_ns: int) -> PositionView:
    seen = picture.positions[key]
    told = seen.position
    state, for_s = protection_now(picture, key, now_ns=now_ns)
    clocks = picture.protection.get(key)
    stop_state = picture.hard_stop_states.get(key)
    return PositionView(
        symbol=told.symbol,
        side=told.side,
        managed=told.managed,
        quantity=told.quantity,
        entry=told.entry,
        plan=told.plan,
        epoch=told.epoch,
        opened_ms=told.opened_ns // 1_000_000,
        state=told.state,
        paused=told.paused,
        price=told.price,
        source=told.source,
        age_ms=price_age_ms(seen, now_ns=now_ns),
        stop=told.stop,
        stop_kind=told.stop_kind,
        stop_distance=_distance(told.price, told.stop, ahead=told.side == "SHORT"),
        next_level=told.next_level,
        next_what=told.next_what,
        next_distance=_distance(told.price, told.next_level, ahead=told.side == "LONG"),
        r=told.r,
        r_multiple=r_multiple(told),
        atr=told.atr,
        peak=told.peak,
        targets=tuple(
            Target(price=price, fraction=fraction, taken=taken)
            for price, fraction, taken in told.targets
        ),
        hard_stop=hard_stop_of(picture, key),
        hard_stop_state=stop_state.state if stop_state else "",
        protection=state,
        protection_s=for_s,
        naked_s=clocks.naked_total if clocks else 0.0,
        blind_s=clocks.blind_total if clocks else 0.0,
        unrealized=told.unrealized,
        troubles=tuple(position_troubles(picture, key, limits, now_ns=now_ns)),
    )


def _distance(price: Decimal | None, level: Decimal | None, *, ahead: bool) -> float | None:
    """How far the price has to go to a level, as a fraction of itself; `ahead`: by rising."""
    if price is None or level is None or not price:
        return None
    return float((level - price) / price if ahead else (price - level) / price)


def hard_stop_of(picture: Picture, key: PositionKey) -> Decimal | None:
    """Where a position's exchange-side stop is: as told with the position, else as it was last told itself."""
    told = picture.positions[key].position.hard_stop
    changed = picture.hard_stop_states.get(key)
    return changed.trigger if told is None and changed is not None else told


def r_multiple(told: PositionSeen) -> Decimal | None:
    """How many initial risks a position's price has gained."""
    if told.price is None or not told.r:
        return None
    gain = told.price - told.entry if told.side == "LONG" else told.entry - told.price
    return round(gain / told.r, 4)


def _decision(decided: DecidedAt) -> DecisionView:
    decision = decided.decision
    kind, reason = kind_and_reason(decision)
    content: dict[str, Any] = msgspec.to_builtins(decision)
    return DecisionView(
        id=decided.id,
        t_ms=decided.t_ns // 1_000_000,
        symbol=decision.symbol,
        side=decision.side or "",
        kind=kind,
        reason=reason,
        text=decision_text(decision),
        decision=content,
    )


def decision_text(decision: Decision) -> str:
    """A decision as a phrase."""
    if isinstance(decision, Exit):
        why = "+".join(decision.reasons)
        size = "all" if decision.full else "part"
        return f"close {text(decision.quantity)} ({size}) at {text(decision.price)}: {why}"
    if isinstance(decision, StopMoved):
        return f"stop {text(decision.stop)} ({decision.kind}) at {text(decision.price)}"
    if isinstance(decision, Opened):
        return f"guarded: {text(decision.quantity)} from {text(decision.entry)}, stop {text(decision.stop)}, {decision.plan}"
    if isinstance(decision, Closed):
        result = "" if decision.realized is None else f", {text(decision.realized)} realized"
        return f"closed: {decision.reason}{result}"
    if isinstance(decision, HeldBack):
        return f"{decision.what} {text(decision.level)} waits for the price"
    if isinstance(decision, PolicyChanged):
        return f"policy: {decision.action} {decision.plan} ({decision.why})"
    if isinstance(decision, RegimeChanged):
        return f"regime {decision.regime}, volatility {decision.volatility} ({decision.timeframe})"
    if isinstance(decision, Alarm):
        return decision.what
    return kind_and_reason(decision)[0].replace("_", " ")


def _latency(picture: Picture) -> dict[str, LatencyView]:
    merged: dict[str, Histogram] = {}
    for (step, _, _), histogram in picture.latency.items():
        merged.setdefault(step, Histogram()).add(histogram)
    return {
        step: LatencyView(
            count=histogram.count,
            p50_us=(histogram.quantile_ns(0.5) or 0) / 1000,
            p99_us=(histogram.quantile_ns(0.99) or 0) / 1000,
            max_us=(histogram.quantile_ns(1.0) or 0) / 1000,
        )
        for step, histogram in sorted(merged.items())
    }
