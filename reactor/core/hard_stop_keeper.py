"""Keeps the hard stop of one epoch standing: what to place, what to replace, what to do when it fails.

A *placement* is a trigger and a quantity, cut into the parts that the exchange takes, numbered. A newer one is
placed while the older stands, and the older goes when every part of the newer is confirmed; so there is no
moment without a stop. Every input ends in `_settle`, which looks at what stands and what is wanted and
says what to do: nothing is remembered as "next step", so no order of answers can lead it astray.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from reactor.core.exact import multiply, subtract, text
from reactor.core.hard_stop_leg import Leg, Phase
from reactor.core.hard_stop_legs import FIRED, UNRESOLVED, Legs, Placement
from reactor.core.hard_stop_levels import (
    PARTS_MAX,
    is_through,
    is_tighter,
    stop_parts,
    total,
    trigger_price,
)
from reactor.core.hard_stop_other import OtherStop
from reactor.core.hard_stop_pace import Pace
from reactor.core.hard_stop_refusals import Refusal, refusal_of
from reactor.core.hard_stop_values import (
    NEVER_NS,
    Action,
    AskOpen,
    AskOrder,
    AskPosition,
    CloseNow,
    HardStopState,
    HardStopView,
    Place,
    Reread,
    SeenStop,
    Standing,
    StopAlarm,
    StopIds,
    Timing,
    WantedStop,
)

THROUGH_MAX: Final = 3
"""Refusals in a row because the trigger is already reached, beyond which no further look is taken."""

PLACEMENTS_OPEN_MAX: Final = 12
"""Placements of one position that may be unresolved at once; beyond it answers are waited for."""

TELL_AFTER_REFUSALS: Final = 3
"""Passing refusals in a row before a person is told."""


class HardStopKeeper:
    """One epoch's hard stop.

    Attributes:
        wanted: the position and the engine's stop, as last told.
        released: stops that should go, and why; the owner collects them after every call.
        due_ns: when `on_time` has something to do.
        pace: how often it may place.
    """

    def __init__(
        self,
        wanted: WantedStop,
        *,
        ids: StopIds,
        timing: Timing,
        t_ns: int,
        state: HardStopState | None = None,
    ) -> None:
        self.wanted = wanted
        self.released: list[tuple[Leg, str]] = []
        self.due_ns = NEVER_NS
        self.pace = Pace(timing)
        self._ids = ids
        self._timing = timing
        self._out: list[Action] = []
        self._legs = Legs()
        self._number = 0
        self._goal: Placement | None = None
        self._confirmed: Placement | None = None  # the newest placement that stood whole
        self._tightest: Decimal | None = None
        self._attempts: dict[tuple[int, int], int] = {}
        self._other = OtherStop()
        self._mark: tuple[Decimal, int] | None = None
        self._tighten_after_ns = 0
        self._through = 0
        self._reread_ns: int | None = None
        self._unseen_absent_ns = timing.unseen_absent_ns
        self._asked_open_ns = 0
        self._closed_ns: int | None = None
        self._reason = ""
        self._told: set[str] = set()
        if state is not None:
            self._restore(state, t_ns)

    def __contains__(self, client_id: str) -> bool:
        """Whether a stop is one of this keeper's."""
        return client_id in self._legs

    # What it is told --------------------------------------------------------------------------

    def want(self, wanted: WantedStop, t_ns: int, *, loosened: bool = False) -> list[Action]:
        """Takes the position's size and the engine's stop.

        Args:
            wanted: of the same epoch.
            t_ns: now.
            loosened: an operator moved the stop away from the price on purpose: the hard stop may follow once.
        """
        self.wanted = wanted
        if loosened:
            self._tightest = self._confirmed = None
            goal = self._goal
            if goal is not None and is_tighter(wanted.side, goal.trigger, self._candidate()):
                self._goal = None
        return self._settle(t_ns)

    def accepted(self, client_id: str, algo_id: int, t_ns: int) -> list[Action]:
        """A placement was accepted. That counts as confirmed: lists may lag behind it."""
        leg = self._legs[client_id]
        leg.algo_id = algo_id
        if leg.phase in UNRESOLVED:
            self._stands(leg, t_ns)
        return self._settle(t_ns)

    def refused(
        self, client_id: str, *, code: int | None, words: str, pause_ns: int, t_ns: int
    ) -> list[Action]:
        """A placement was refused for certain, or, for some codes, perhaps.

        Args:
            client_id: which.
            code: the exchange's, None where it gave none.
            words: what it said.
            pause_ns: how long the exchange asks not to be asked (bans); 0 where it did not say.
            t_ns: now.
        """
        leg = self._legs[client_id]
        kind = refusal_of(code)
        if leg.phase not in UNRESOLVED:
            # Its ALGO_UPDATE said otherwise, and what the exchange tells of an order outranks this.
            return self._settle(t_ns)
        if kind in {Refusal.UNKNOWN, Refusal.DUPLICATE}:
            return self.unknown(client_id, t_ns)
        self._legs.drop(leg)
        self._reason = f"refused: {words}" if code is None else f"refused: {code} {words}".rstrip()
        if kind is Refusal.THROUGH:
            self._refused_as_through(leg, t_ns)
        else:
            self._refused(kind, t_ns)
        self.pace.block(t_ns + pause_ns)
        return self._settle(t_ns)

    def unknown(self, client_id: str, t_ns: int) -> list[Action]:
        """Whether a placement was executed is not known: it is asked for before it is placed again."""
        leg = self._legs[client_id]
        if leg.phase is Phase.PLACING:
            leg.enter(Phase.UNKNOWN, t_ns)
            leg.asks, leg.ask_ns = 0, t_ns
        return self._settle(t_ns)

    def update(self, seen: SeenStop, t_ns: int) -> list[Action]:
        """An ALGO_UPDATE, or the answer to a question for one order."""
        leg = self._legs.get(seen.client_id)
        if leg is None:
            if seen.status not in {"NEW", "TRIGGERING"}:
                return []
            leg = self._adopt(seen, t_ns)
        self._take_over(leg, seen)
        status = seen.status
        if status == "NEW":
            if leg.phase in UNRESOLVED:
                self._stands(leg, t_ns)
        elif status == "TRIGGERING":
            if leg.phase is not Phase.TRIGGERED:
                leg.enter(Phase.TRIGGERING, t_ns)
        elif status == "TRIGGERED":
            leg.enter(Phase.TRIGGERED, t_ns)
        elif status == "FINISHED":
            leg.enter(Phase.TRIGGERED, t_ns)
            if not seen.executed:
                self._failed(leg, "its order was cancelled in the engine", t_ns)
        elif status == "REJECTED" and (leg.phase in FIRED or seen.trigger_time_ms):
            self._rejected(leg, seen.failure, t_ns)
        elif leg.phase is Phase.UNKNOWN:
            self._legs.drop(leg)  # It ended before anybody relied on it.
        else:
            self._gone(leg, f"{status} {seen.failure}".rstrip(), t_ns)
        return self._settle(t_ns)

    def child(self, client_id: str, t_ns: int) -> list[Action]:
        """An order event with a stop's id: the engine has its order, whatever ALGO_UPDATE says so far."""
        self._legs[client_id].enter(Phase.TRIGGERED, t_ns)
        return self._settle(t_ns)

    def not_found(self, client_id: str, asked_ns: int, t_ns: int) -> list[Action]:
        """The exchange does not know an order that was asked for by its id."""
        leg = self._legs[client_id]
        if leg.phase is Phase.UNKNOWN:
            if leg.absent_ns is None:
                leg.absent_ns = asked_ns
                leg.ask_ns = asked_ns + self._timing.lost_after_ns
            elif asked_ns >= leg.absent_ns + self._timing.lost_after_ns:
                # It may be invisible and stand all the same: then it is surplus, seen later, and goes.
                self._legs.drop(leg)
                self._reason = "a placement was lost"
        return self._settle(t_ns)

    def snapshot(self, rows: Iterable[SeenStop], asked_ns: int, t_ns: int) -> list[Action]:
        """The open conditional orders of the symbol, everybody's, as listed."""
        by_id = {row.client_id: row for row in rows}
        trigger = self._tightest or self._candidate()
        if self._other.look(by_id.values(), self.wanted, trigger=trigger):
            self.pace.unblock()  # Nothing there that would do: place ours.
        for leg in self._legs:
            row = by_id.get(leg.client_id)
            if row is not None:
                leg.is_listed = leg.is_verified = True
                self._take_over(leg, row)
                if row.status == "TRIGGERING" and leg.phase not in FIRED:
                    leg.enter(Phase.TRIGGERING, t_ns)
                elif leg.phase in UNRESOLVED:
                    self._stands(leg, t_ns)
            elif leg.phase is Phase.STANDING:
                self._absent(leg, asked_ns, t_ns)
        return self._settle(t_ns)

    def adopt(self, seen: SeenStop, t_ns: int) -> list[Action]:
        """A listed stop of this epoch that is not known here: an earlier life of this process placed it."""
        leg = self._adopt(seen, t_ns)
        leg.is_listed = leg.is_verified = True
        return self._settle(t_ns)

    def mark(self, price: Decimal, t_ns: int) -> None:
        """The mark price of the moment: a tighter stop is held back while it would trigger at once."""
        self._mark = (price, t_ns)

    def reread(self, mark: Decimal | None, quantity: Decimal | None, t_ns: int) -> list[Action]:
        """What was read again after a placement that would have triggered at once; None: not readable."""
        if self._reread_ns is None:
            return []
        self._reread_ns = None
        if mark is not None:
            self._mark = (mark, t_ns)
        if quantity is not None and not quantity:
            self._ask_position("the position is not there any more", t_ns)
        elif mark is None:
            self.pace.block(t_ns + self._timing.retry_first_ns)
        elif is_through(self.wanted.side, self._aimed_at(t_ns), mark):
            self._close_now("the price is beyond the hard stop, which cannot be placed", t_ns)
        return self._settle(t_ns)

    def on_time(self, t_ns: int) -> list[Action]:
        """The clock: call it at `due_ns` or later."""
        return self._settle(t_ns)

    def end(self, why: str) -> None:
        """The epoch ended: every stop of it is released. A triggered one is an order by now, and ends so."""
        for leg in self._legs:
            if leg.phase is not Phase.TRIGGERED:
                self._release(leg, why)

    # What it says -----------------------------------------------------------------------------

    def state(self) -> HardStopState:
        """What a restart needs."""
        wanted, goal = self.wanted, self._goal
        return HardStopState(
            symbol=wanted.symbol,
            side=wanted.side,
            epoch=wanted.epoch,
            opened_ns=wanted.opened_ns,
            placement=self._number,
            tightest=self._tightest,
            trigger=None if goal is None else goal.trigger,
            parts=() if goal is None else goal.parts,
            goal=0 if goal is None else goal.number,
            stops=tuple(leg.record() for leg in self._legs),
        )

    def newest(self) -> Leg | None:
        """The newest confirmed stop, the first part of it where it is split."""
        return self._legs.newest()

    def view(self) -> HardStopView:
        """How the position is protected now, as far as the exchange confirmed it."""
        trigger, quantity = self._legs.cover(self.wanted.side, self.wanted.quantity)
        newest, other = self._legs.newest(), self._other.found
        state: Standing
        if self._legs.any_in(FIRED):
            state = "triggering"
        elif self._legs.is_whole(self._goal):
            state = "standing"
        elif trigger is not None:
            state = "replacing"
        elif other is not None:
            reason = "somebody's closePosition stop stands in the place of ours"
            whole = self.wanted.quantity
            return HardStopView(
                state="standing", trigger=other.trigger, quantity=whole, reason=reason
            )
        elif self._legs.any_in(UNRESOLVED):
            state = "placing"
        else:
            state = "failed" if self._reason else "none"
        return HardStopView(
            state=state,
            trigger=trigger,
            quantity=quantity,
            reason="" if state == "standing" else self._reason,
            client_id="" if newest is None else newest.client_id,
            confirmed_ns=0 if newest is None else newest.since_ns,
        )

    # Settling ---------------------------------------------------------------------------------

    def _settle(self, t_ns: int) -> list[Action]:
        """Brings what stands towards what is wanted; the one place that decides."""
        self.due_ns = NEVER_NS
        self._expire(t_ns)
        self._follow(t_ns)
        if not self._legs.any_in(FIRED):
            self._aim(t_ns)
            self._place(t_ns)
        if self._legs.is_whole(self._goal):
            self._confirm()
        self._ask(t_ns)
        out, self._out = self._out, []
        return out

    def _expire(self, t_ns: int) -> None:
        """A placement without an answer has an unknown outcome."""
        for leg in self._legs:
            if leg.phase is Phase.PLACING:
                until_ns = leg.since_ns + self._timing.answer_max_ns
                if t_ns < until_ns:
                    self._at(until_ns)
                else:
                    leg.enter(Phase.UNKNOWN, t_ns)
                    leg.asks, leg.ask_ns = 0, t_ns

    def _follow(self, t_ns: int) -> None:
        """A triggered stop must close the position soon, or the position is closed without it."""
        for leg in self._legs:
            if leg.phase not in FIRED:
                continue
            until_ns = leg.since_ns + self._timing.triggering_max_ns
            if t_ns < until_ns:
                self._at(until_ns)
            elif leg.phase is Phase.TRIGGERING:
                self._failed(leg, "it hangs in TRIGGERING, without an order in the engine", t_ns)
            else:
                self._ask_position("the hard stop was triggered and the position is open", t_ns)
                self._failed(leg, "it was triggered, and the position is still open", t_ns)

    def _aim(self, t_ns: int) -> None:
        """Decides whether something else should stand."""
        wanted, goal = self.wanted, self._goal
        parts = stop_parts(wanted.quantity, wanted.rules)
        if not parts:
            lack = f"{text(wanted.quantity)} is less than the exchange trades: no hard stop can be placed"
            self._reason = lack
            self._tell("hard_stop_dust", lack)
            return
        trigger, quantity = self._aimed_at(t_ns), total(parts)
        if goal is None:
            self._new_goal(trigger, parts, t_ns)
            return
        grew, shrank = quantity > goal.quantity, quantity < goal.quantity
        gain = subtract(trigger, goal.trigger).copy_abs()
        is_moved = is_tighter(wanted.side, trigger, goal.trigger) and gain > multiply(
            wanted.step_pct, goal.trigger
        )
        if not (grew or shrank or is_moved):
            return
        # In hedge mode a stop larger than the position is refused when it triggers: as urgent as growth.
        urgent = grew or (wanted.hedge and shrank)
        due_ns = self.pace.next_ns(urgent=urgent)
        if t_ns < due_ns:
            self._at(due_ns)
        elif self._legs.any_in(UNRESOLVED) and not urgent:
            pass  # The answer that is waited for settles again.
        elif self._legs.placements() < PLACEMENTS_OPEN_MAX:
            self._new_goal(trigger, parts, t_ns)

    def _new_goal(self, trigger: Decimal, parts: tuple[Decimal, ...], t_ns: int) -> Placement:
        self._number += 1
        self._goal = goal = Placement(self._number, trigger, parts)
        self.pace.placed(t_ns)
        quantity = self.wanted.quantity
        if len(parts) >= PARTS_MAX and goal.quantity < quantity:
            self._tell(
                "hard_stop_partial",
                f"hard stops cover {text(goal.quantity)} of {text(quantity)}: more would be too many orders",
            )
        return goal

    def _candidate(self) -> Decimal:
        wanted = self.wanted
        return trigger_price(
            side=wanted.side, stop=wanted.stop, buffer_pct=wanted.buffer_pct, rules=wanted.rules
        )

    def _aimed_at(self, t_ns: int) -> Decimal:
        """Where the hard stop should trigger: never looser than confirmed, and, once one stands, not at once."""
        side, trigger, floor = self.wanted.side, self._candidate(), self._tightest
        if floor is None:
            return trigger
        if not is_tighter(side, trigger, floor):
            return floor
        if t_ns < self._tighten_after_ns:
            self._at(self._tighten_after_ns)
            return floor
        mark = self._mark
        is_fresh = mark is not None and t_ns - mark[1] <= self._timing.mark_fresh_ns
        if mark is not None and is_fresh and is_through(side, trigger, mark[0]):
            self._at(t_ns + self.pace.move_interval_ns)
            return floor
        return trigger

    def _place(self, t_ns: int) -> None:
        """Places the parts that are missing."""
        goal = self._goal
        missing = [] if goal is None else self._legs.missing(goal)
        if goal is None or not missing:
            return
        until_ns = self.pace.blocked_until_ns
        if self._reread_ns is not None:
            until_ns = max(until_ns, self._reread_ns + self._timing.answer_max_ns)
        if t_ns < until_ns:
            self._at(until_ns)
            return
        self._reread_ns = None
        tightest = self._tightest
        if tightest is not None and is_tighter(self.wanted.side, tightest, goal.trigger):
            # A tighter one was confirmed since this was decided: nothing looser is placed any more.
            goal = self._new_goal(tightest, goal.parts, t_ns)
            missing = self._legs.missing(goal)
        for part in missing:
            self._place_part(goal, part, t_ns)
        self._at(t_ns + self._timing.answer_max_ns)

    def _place_part(self, goal: Placement, part: int, t_ns: int) -> None:
        wanted = self.wanted
        attempt = self._attempts.get((goal.number, part), 0)
        self._attempts[goal.number, part] = attempt + 1
        client_id = self._ids.make(
            symbol=wanted.symbol,
            side=wanted.side,
            epoch=wanted.epoch,
            opened_ns=wanted.opened_ns,
            placement=goal.number,
            part=part,
            attempt=attempt,
        )
        leg = Leg(
            symbol=wanted.symbol,
            side=wanted.side,
            client_id=client_id,
            placement=goal.number,
            part=part,
            attempt=attempt,
            trigger=goal.trigger,
            quantity=goal.parts[part],
            phase=Phase.PLACING,
            t_ns=t_ns,
        )
        self._legs.add(leg)
        self._out.append(
            Place(
                symbol=wanted.symbol,
                side=wanted.side,
                client_id=client_id,
                trigger=leg.trigger,
                quantity=leg.quantity,
                hedge=wanted.hedge,
            )
        )

    def _confirm(self) -> None:
        """The newest placement stands whole: the older ones may go."""
        goal = self._goal
        assert goal is not None
        self._confirmed = goal
        for leg in self._legs.surplus(goal):
            self._release(leg, "replaced")
        for key in [key for key in self._attempts if key[0] != goal.number]:
            del self._attempts[key]

    def _ask(self, t_ns: int) -> None:
        """Asks for what is not known, at growing intervals."""
        for leg in self._legs:
            if leg.phase is Phase.UNKNOWN:
                if t_ns >= leg.ask_ns:
                    self._out.append(AskOrder(symbol=leg.symbol, client_id=leg.client_id))
                    leg.ask_ns = t_ns + (self._timing.lost_after_ns << min(leg.asks, 3))
                    leg.asks += 1
                self._at(leg.ask_ns)
            elif leg.phase is Phase.STANDING:
                self._look_up(leg, t_ns)

    def _look_up(self, leg: Leg, t_ns: int) -> None:
        """Has a fresh stop looked up once, and an absent one a second time."""
        if leg.absent_ns is not None:
            ask_ns = leg.absent_ns + self._patience_ns(leg)
        elif not leg.is_verified:
            ask_ns = leg.since_ns + self._timing.verify_after_ns
        else:
            return
        ask_ns = max(ask_ns, self._asked_open_ns + self._timing.absent_ns)
        if t_ns < ask_ns:
            self._at(ask_ns)
            return
        leg.is_verified = True
        self._asked_open_ns = t_ns
        self._at(t_ns + self._timing.absent_ns)
        self._out.append(AskOpen(symbol=leg.symbol, why="verify"))

    # What happens to a stop -------------------------------------------------------------------

    def _stands(self, leg: Leg, t_ns: int) -> None:
        """A stop is confirmed."""
        leg.enter(Phase.STANDING, t_ns)
        if self._tightest is None or is_tighter(leg.side, leg.trigger, self._tightest):
            self._tightest = leg.trigger
        self.pace.accepted()
        self._through = 0
        self._reason = ""
        self._other.forget()
        self._told.clear()

    def _take_over(self, leg: Leg, seen: SeenStop) -> None:
        """What the exchange says of a stop outranks what was asked for: the goal becomes what is there."""
        leg.stands_as(seen)
        goal = self._goal
        if goal is None or leg.placement != goal.number or leg.part >= len(goal.parts):
            return
        if leg.quantity != goal.parts[leg.part]:
            parts = list(goal.parts)
            parts[leg.part] = leg.quantity
            self._goal = goal = Placement(goal.number, goal.trigger, tuple(parts))
        if is_tighter(leg.side, goal.trigger, leg.trigger):
            self._goal = Placement(goal.number, leg.trigger, goal.parts)

    def _adopt(self, seen: SeenStop, t_ns: int) -> Leg:
        name = self._ids.read(seen.client_id)
        assert name is not None
        leg = Leg.of_seen(seen, name, side=self.wanted.side, t_ns=t_ns)
        self._legs.add(leg)
        self._number = max(self._number, name.placement)  # Ids made of lower numbers may be taken.
        if leg.phase is Phase.STANDING:
            self._stands(leg, t_ns)
        return leg

    def _absent(self, leg: Leg, asked_ns: int, t_ns: int) -> None:
        """A confirmed stop is not in a list that was asked for after its confirmation."""
        if asked_ns <= leg.since_ns:
            return
        if leg.absent_ns is None:
            leg.absent_ns = asked_ns
        elif asked_ns >= leg.absent_ns + self._patience_ns(leg):
            if not leg.is_listed:
                longest_ns = self._timing.unseen_absent_max_ns
                self._unseen_absent_ns = min(2 * self._unseen_absent_ns, longest_ns)
            self._gone(leg, "absent from the exchange's list", t_ns)

    def _patience_ns(self, leg: Leg) -> int:
        return self._timing.absent_ns if leg.is_listed else self._unseen_absent_ns

    def _gone(self, leg: Leg, how: str, t_ns: int) -> None:
        """A stop ended that nobody here cancelled: place it again, and tell."""
        self._legs.drop(leg)
        self._reason = f"the hard stop is gone: {how}"
        self._alarm("hard_stop_gone", self._reason)
        self.pace.died(stood_ns=t_ns - leg.since_ns, t_ns=t_ns)

    def _rejected(self, leg: Leg, failure: str, t_ns: int) -> None:
        """The engine refused a triggered stop's order."""
        if self._legs.fired_quantity(besides=leg) >= self.wanted.quantity:
            self._legs.drop(leg)  # The others close it all: this one was surplus.
        else:
            self._failed(leg, f"it was rejected when it triggered: {failure or 'no reason'}", t_ns)

    def _failed(self, leg: Leg, how: str, t_ns: int) -> None:
        """A triggered stop did not do its work: close without it, and have another one placed."""
        if leg.phase is Phase.TRIGGERING:
            self._release(leg, "stuck")
        else:
            self._legs.drop(leg)
        self._close_now(f"the hard stop failed: {how}", t_ns)

    def _close_now(self, cause: str, t_ns: int) -> None:
        """Closes at market, at most once in `close_again_ns`, and places nothing for as long."""
        wanted = self.wanted
        self._reason = cause
        self.pace.block(t_ns + self._timing.close_again_ns)
        if self._closed_ns is not None and t_ns < self._closed_ns + self._timing.close_again_ns:
            return
        self._closed_ns = t_ns
        self._out.append(
            CloseNow(symbol=wanted.symbol, side=wanted.side, epoch=wanted.epoch, cause=cause)
        )
        self._alarm("hard_stop_failed", f"{cause}; closing at market")

    # Refusals ---------------------------------------------------------------------------------

    def _refused_as_through(self, leg: Leg, t_ns: int) -> None:
        """A placement would have triggered at once."""
        standing = self._confirmed if self._legs.is_whole(self._confirmed) else None
        if standing is not None and is_tighter(leg.side, leg.trigger, standing.trigger):
            # A looser one stands and was not reached, so to close now would be a surprise. The tighter one
            # waits for the price; a larger quantity goes where the standing one is.
            self._tighten_after_ns = t_ns + self.pace.move_interval_ns
            for newer in self._legs:
                if newer.placement > standing.number:
                    self._release(newer, "held back")
            self._goal = standing
            return
        self._through += 1
        if self._through >= THROUGH_MAX:
            self._through = 0
            self._close_now("the price is beyond the hard stop, which cannot be placed", t_ns)
        elif self._reread_ns is None:
            self._reread_ns = t_ns
            self._out.append(Reread(symbol=leg.symbol, side=leg.side))

    def _refused(self, kind: Refusal, t_ns: int) -> None:
        """A placement was refused for a reason that may pass, or that a person must remove."""
        timing = self._timing
        pause_ns = self.pace.refused()
        is_lasting = self.pace.refusals >= TELL_AFTER_REFUSALS
        if kind is Refusal.TAKEN:
            self._other.seek()
            self._out.append(AskOpen(symbol=self.wanted.symbol, why="a closePosition stop stands"))
            pause_ns = timing.slow_ns
        elif kind is Refusal.NO_POSITION:
            if is_lasting:
                self._ask_position("the exchange finds no position for the hard stop", t_ns)
                pause_ns = max(pause_ns, timing.close_again_ns)
        elif kind is Refusal.FULL:
            pause_ns = timing.slow_ns
            self._tell("hard_stop_full", self._reason)
        elif kind is Refusal.HOPELESS:
            pause_ns = timing.slow_ns
            self._tell("hard_stop_refused", self._reason)
        elif kind is Refusal.AGAIN or is_lasting:
            self._tell("hard_stop_refused", self._reason)
        self.pace.block(t_ns + pause_ns)

    # Small things -----------------------------------------------------------------------------

    def _release(self, leg: Leg, why: str) -> None:
        self._legs.drop(leg)
        self.released.append((leg, why))

    def _ask_position(self, why: str, t_ns: int) -> None:
        wanted = self.wanted
        self._out.append(AskPosition(symbol=wanted.symbol, side=wanted.side, why=why))
        self.pace.block(t_ns + self._timing.move_interval_ns)

    def _at(self, t_ns: int) -> None:
        self.due_ns = min(self.due_ns, t_ns)

    def _tell(self, kind: str, words: str) -> None:
        """Alarms once, until a stop stands again."""
        if kind not in self._told:
            self._told.add(kind)
            self._alarm(kind, words)

    def _alarm(self, kind: str, words: str) -> None:
        wanted = self.wanted
        self._out.append(StopAlarm(kind=kind, symbol=wanted.symbol, side=wanted.side, text=words))

    def _restore(self, state: HardStopState, t_ns: int) -> None:
        """Goes on from what the journal holds: what may stand is asked for before anything is placed."""
        self._number = state.placement
        self._tightest = state.tightest
        if state.trigger is not None and state.parts:
            self._goal = Placement(state.goal, state.trigger, state.parts)
        for record in state.stops:
            leg = Leg.of_record(record, symbol=state.symbol, side=state.side, t_ns=t_ns)
            self._legs.add(leg)
            key = record.placement, record.part
            self._attempts[key] = max(self._attempts.get(key, 0), record.attempt + 1)
