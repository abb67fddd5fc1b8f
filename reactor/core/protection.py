"""Proof of protection: per managed position, whether everything that should guard it demonstrably does.

    fresh mark price ─┐
    live evaluator ───┼─▶ protected, or what is missing, since when, and for how long
    hard stop ────────┘

Nothing is taken for granted: what was not proven is missing, and no data at all is unhealthy.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import text
from reactor.core.hard_stop_levels import is_tighter
from reactor.core.hard_stop_values import SECOND_NS, HardStopView

SURPLUS_MAX_NS: Final = 10 * SECOND_NS
"""How long a replaced hard stop may still stand beside its successor."""

LAG_MAX_NS: Final = 2 * SECOND_NS
"""How long a hard stop may be behind a stop that moves: it is replaced once a second at most, and that takes its time."""

Evaluator = Literal["live", "missing", "faulted"]
"""Of the engine's machine for this epoch: there and armed, not there, or stopped by a broken invariant."""


class ProtectionState(StrEnum):
    """How well a position is protected, the worst word that applies."""

    PROTECTED = "protected"
    WATCHED = "watched"
    """The engine watches, and no hard stop is to be there: a run that sends nothing."""
    SURPLUS = "surplus"
    """Protected; a hard stop too many has stood for more than ten seconds."""
    BLIND = "blind"
    """No fresh price, or nobody who looks at it; the hard stop stands."""
    NAKED = "naked"
    """No confirmed hard stop of the right size and price; the engine watches."""
    UNPROTECTED = "unprotected"
    """Neither."""


class Guarded(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is known of one managed position at one instant.

    Attributes:
        symbol, side, epoch: which. `quantity`: what is open.
        mark_age_ms: of the last mark price; None where there never was one.
        evaluator: of the engine's machine for exactly this epoch.
        hard_stop: as the keeper of hard stops says; None where hard stops are switched off.
        sends: whether this run places hard stops at all; a dry run has none to prove.
        trigger: the least that the hard stop's trigger must be worth, None where any will do: a looser one
            (farther from the price) is no proof, unless it has been so for less than `LAG_MAX_NS`.
    """

    symbol: str
    side: Side
    epoch: int
    quantity: Decimal
    mark_age_ms: int | None
    evaluator: Evaluator
    hard_stop: HardStopView | None
    trigger: Decimal | None = None
    sends: bool = True


class Protection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A position's protection.

    Attributes:
        state: one word. `reasons`: everything that is missing, in words.
        naked_seconds, blind_seconds: of the present stretch; 0 while there is none.
        naked_seconds_total, blind_seconds_total: of the epoch so far.
        is_changed: whether state or reasons differ from the last look.
        is_alarm: whether a person should be told now: at the crossing, and again every `repeat_s`.
    """

    symbol: str
    side: Side
    epoch: int
    state: ProtectionState
    reasons: tuple[str, ...]
    naked_seconds: float
    blind_seconds: float
    naked_seconds_total: float
    blind_seconds_total: float
    is_changed: bool
    is_alarm: bool


class _Stretch:
    """A state that lasts: when it began, and how much there was before."""

    __slots__ = ("_before_ns", "_seen_ns", "_since_ns")

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._seen_ns = 0
        self._before_ns = 0

    def look(self, *, holds: bool, t_ns: int) -> None:
        if self._since_ns is not None and not holds:
            self._before_ns += t_ns - self._since_ns
            self._since_ns = None
        elif self._since_ns is None and holds:
            self._since_ns = t_ns
        self._seen_ns = t_ns

    def present_ns(self) -> int:
        return 0 if self._since_ns is None else self._seen_ns - self._since_ns

    def total_ns(self) -> int:
        return self._before_ns + self.present_ns()


class _Watch:
    """What is remembered of one epoch between looks."""

    __slots__ = ("alarmed_ns", "behind_ns", "blind", "epoch", "last", "naked")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.naked = _Stretch()
        self.blind = _Stretch()
        self.last: tuple[ProtectionState, tuple[str, ...]] | None = None
        self.alarmed_ns: int | None = None
        self.behind_ns: int | None = None

    def lags(self, *, is_behind: bool, t_ns: int) -> bool:
        """Whether the hard stop has been behind the stop for longer than it takes to follow."""
        if not is_behind:
            self.behind_ns = None
        elif self.behind_ns is None:
            self.behind_ns = t_ns
        return self.behind_ns is not None and t_ns - self.behind_ns >= LAG_MAX_NS


class ProofOfProtection:
    """Looks at every managed position, counts, and says what changed.

    Call `look` every five seconds, and on every change of a hard stop: the seconds are as exact as that.
    """

    def __init__(
        self,
        *,
        blind_ms: int = 3000,
        grace_s: float = 2.0,
        repeat_s: float = 60.0,
        stale_s: float = 15.0,
    ) -> None:
        """Nothing was looked at yet: unhealthy.

        Args:
            blind_ms: a mark price older than this is not fresh.
            grace_s: how long a position may be naked or blind before a person is told. A hard stop takes its
                round trip, so an epoch's first moments are counted and shown, and not alarmed.
            repeat_s: between two alarms about the same position.
            stale_s: without a look for so long, health is not proven any more.
        """
        self._blind_ms = blind_ms
        self._grace_ns = round(grace_s * SECOND_NS)
        self._repeat_ns = round(repeat_s * SECOND_NS)
        self._stale_ns = round(stale_s * SECOND_NS)
        self._watches: dict[tuple[str, Side], _Watch] = {}
        self._looked_ns: int | None = None
        self._is_sound = False

    def look(self, positions: Iterable[Guarded] | None, t_ns: int) -> tuple[Protection, ...]:
        """Looks at all managed positions.

        Args:
            positions: all of them; None where it is not known which there are.
            t_ns: now.

        Returns:
            Each one's protection, in the order given. Positions that are not there any more are forgotten.
        """
        self._looked_ns = t_ns
        if positions is None:
            self._is_sound = False
            return ()
        found = tuple(self._look(position, t_ns) for position in positions)
        keys = {(item.symbol, item.side) for item in found}
        for key in [key for key in self._watches if key not in keys]:
            del self._watches[key]
        good = {ProtectionState.PROTECTED, ProtectionState.WATCHED, ProtectionState.SURPLUS}
        self._is_sound = all(
            item.state in good or not self._is_overdue(self._watches[item.symbol, item.side])
            for item in found
        )
        return found

    def is_healthy(self, t_ns: int) -> bool:
        """Whether protection is proven: looked at lately, positions known, none naked or blind beyond grace."""
        looked_ns = self._looked_ns
        return self._is_sound and looked_ns is not None and t_ns - looked_ns <= self._stale_ns

    def _is_overdue(self, watch: _Watch) -> bool:
        return max(watch.naked.present_ns(), watch.blind.present_ns()) >= self._grace_ns

    def _look(self, position: Guarded, t_ns: int) -> Protection:
        key = position.symbol, position.side
        watch = self._watches.get(key)
        if watch is None or watch.epoch != position.epoch:
            watch = self._watches[key] = _Watch(position.epoch)
        blind = self._why_blind(position)
        naked = _why_naked(position) if position.sends else []
        behind = _why_behind(position) if position.sends else []
        if watch.lags(is_behind=bool(behind), t_ns=t_ns):
            naked += behind
        surplus = _why_surplus(position, t_ns)
        watch.naked.look(holds=bool(naked), t_ns=t_ns)
        watch.blind.look(holds=bool(blind), t_ns=t_ns)
        state = _state(naked=bool(naked), blind=bool(blind), surplus=bool(surplus))
        if state is ProtectionState.PROTECTED and not position.sends:
            state = ProtectionState.WATCHED
        reasons = (*naked, *blind, *surplus)
        is_changed = watch.last != (state, reasons)
        watch.last = state, reasons
        return Protection(
            symbol=position.symbol,
            side=position.side,
            epoch=position.epoch,
            state=state,
            reasons=reasons,
            naked_seconds=watch.naked.present_ns() / SECOND_NS,
            blind_seconds=watch.blind.present_ns() / SECOND_NS,
            naked_seconds_total=watch.naked.total_ns() / SECOND_NS,
            blind_seconds_total=watch.blind.total_ns() / SECOND_NS,
            is_changed=is_changed,
            is_alarm=self._is_alarm(watch, state, t_ns),
        )

    def _is_alarm(self, watch: _Watch, state: ProtectionState, t_ns: int) -> bool:
        if state in {ProtectionState.PROTECTED, ProtectionState.WATCHED}:
            watch.alarmed_ns = None
            return False
        if state is not ProtectionState.SURPLUS and not self._is_overdue(watch):
            return False
        if watch.alarmed_ns is not None and t_ns < watch.alarmed_ns + self._repeat_ns:
            return False
        watch.alarmed_ns = t_ns
        return True

    def _why_blind(self, position: Guarded) -> list[str]:
        reasons: list[str] = []
        age_ms = position.mark_age_ms
        if age_ms is None:
            reasons.append("no mark price was ever seen")
        elif age_ms > self._blind_ms:
            # Without the age: what is compared from look to look should not change with every one.
            reasons.append(f"the mark price is older than {self._blind_ms} ms")
        if position.evaluator == "missing":
            reasons.append("no machine evaluates this epoch")
        elif position.evaluator == "faulted":
            reasons.append("its machine was stopped by a broken invariant")
        return reasons


def _state(*, naked: bool, blind: bool, surplus: bool) -> ProtectionState:
    if naked and blind:
        return ProtectionState.UNPROTECTED
    if naked:
        return ProtectionState.NAKED
    if blind:
        return ProtectionState.BLIND
    return ProtectionState.SURPLUS if surplus else ProtectionState.PROTECTED


def _why_naked(position: Guarded) -> list[str]:
    stop = position.hard_stop
    if stop is None:
        return ["hard stops are switched off"]
    if stop.state == "triggering":
        return ["the hard stop has triggered and the position is open"]
    if stop.trigger is None:
        detail = f": {stop.reason}" if stop.reason else ""
        return [f"no hard stop is confirmed ({stop.state}{detail})"]
    reasons: list[str] = []
    if stop.quantity < position.quantity:
        reasons.append(f"the hard stop closes {text(stop.quantity)} of {text(position.quantity)}")
    return reasons


def _why_behind(position: Guarded) -> list[str]:
    """That the hard stop triggers too far from the price, if it does."""
    stop, least = position.hard_stop, position.trigger
    trigger = None if stop is None else stop.trigger
    if trigger is None or least is None or not is_tighter(position.side, least, trigger):
        return []
    return [f"the hard stop triggers at {text(trigger)}, beyond {text(least)}"]


def _why_surplus(position: Guarded, t_ns: int) -> list[str]:
    stop = position.hard_stop
    since_ns = None if stop is None else stop.surplus_since_ns
    if since_ns is None or t_ns - since_ns <= SURPLUS_MAX_NS:
        return []
    return ["a hard stop too many stands"]
