"""Keeps the hard stop of one epoch standing: what to place, what to replace, what to do when it fails.

A *placement* is a trigger and a quantity, cut into the parts that the exchange takes, numbered. A newer one is
placed while the older stands, and the older goes when every part of the newer is confirmed; so there is no
moment without a stop. Every input ends in `settle`, which looks at what stands and what is wanted and
says what to do: nothing is remembered as "next step", so no order of answers can lead it astray.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from reactor.core.exact import text
from reactor.core.hard_stop_aim import Aim
from reactor.core.hard_stop_issue import Issue
from reactor.core.hard_stop_leg import FIRED_PHASES, Leg, Phase
from reactor.core.hard_stop_legs import FIRED, UNRESOLVED, Legs, Placement
from reactor.core.hard_stop_levels import (
    PARTS_MAX,
    is_through,
    is_tighter,
    stop_parts,
    total,
)
from reactor.core.hard_stop_lookups import Lookups
from reactor.core.hard_stop_other import OtherStop
from reactor.core.hard_stop_pace import Pace
from reactor.core.hard_stop_refusals import (
    SLOW,
    TELL_AFTER_REFUSALS,
    THROUGH_MAX,
    TOLD_AT_ONCE,
    Refusal,
    refusal_of,
)
from reactor.core.hard_stop_requests import Requests
from reactor.core.hard_stop_values import (
    NEVER_NS,
    Action,
    AskOpen,
    HardStopState,
    HardStopView,
    Reread,
    SeenStop,
    StopIds,
    Timing,
    WantedStop,
)
from reactor.core.hard_stop_view import view_of

PLACEMENTS_OPEN_MAX: Final = 12
"""Placements of one position that may be unresolved at once; beyond it answers are waited for."""


class HardStopKeeper:
    """One epoch's hard stop.

    Attributes:
        wanted: the position and the engine's stop, as last told.
        released: stops that should go, and why; the owner collects them after every call.
        due_ns: when `settle` has something to do.
        pace: how often it may place. `legs`: its stops; not to be changed from outside.
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
        self._issue = Issue(ids)
        self._timing = timing
        self._requests = Requests(timing)
        self._aim_at = Aim(timing)
        self._lookups = Lookups(timing)
        self.legs = Legs()
        self._goal: Placement | None = None
        self._confirmed: Placement | None = None  # the newest placement that stood whole
        self._other = OtherStop()
        self._through = 0
        self._reread_ns: int | None = None
        self._reason = ""
        if state is not None:
            self._restore(state, t_ns)

    def __contains__(self, client_id: str) -> bool:
        """Whether a stop is one of this keeper's."""
        return client_id in self.legs

    # What it is told --------------------------------------------------------------------------

    def want(self, wanted: WantedStop, t_ns: int, *, loosened: bool = False) -> list[Action]:
        """Takes the position's size and the engine's stop, of the same epoch.

        `loosened`: an operator moved the stop; where that is away from the price, the hard stop follows once.
        """
        self.wanted = wanted
        goal, trigger = self._goal, self._aim_at.behind(wanted)
        if loosened and goal is not None and is_tighter(wanted.side, goal.trigger, trigger):
            self._aim_at.loosen()
            self._confirmed = self._goal = None
        return self.settle(t_ns)

    def accepted(self, client_id: str, algo_id: int, t_ns: int) -> list[Action]:
        """A placement was accepted. That counts as confirmed: lists may lag behind it."""
        leg = self.legs[client_id]
        leg.algo_id = algo_id
        if leg.phase in UNRESOLVED:
            self._stands(leg, t_ns)
        return self.settle(t_ns)

    def refused(
        self, client_id: str, *, code: int | None, words: str, pause_ns: int, t_ns: int
    ) -> list[Action]:
        """A placement was refused for certain, or, for some codes, perhaps.

        `code` is the exchange's, None where it gave none; `pause_ns` how long it asks not to be asked.
        """
        leg = self.legs[client_id]
        kind = refusal_of(code)
        if leg.phase not in UNRESOLVED:
            # Its ALGO_UPDATE said otherwise, and what the exchange tells of an order outranks this.
            return self.settle(t_ns)
        if kind in {Refusal.UNKNOWN, Refusal.DUPLICATE}:
            return self.unknown(client_id, t_ns)
        self.legs.drop(leg)
        self._reason = f"refused: {words}" if code is None else f"refused: {code} {words}".rstrip()
        if kind is Refusal.THROUGH:
            self._refused_as_through(leg, t_ns)
        else:
            self._refused(kind, t_ns)
        self.pace.block(t_ns + pause_ns)
        return self.settle(t_ns)

    def unknown(self, client_id: str, t_ns: int) -> list[Action]:
        """Whether a placement was executed is not known: it is asked for before it is placed again."""
        leg = self.legs[client_id]
        if leg.phase is Phase.PLACING:
            leg.ask(t_ns)
        return self.settle(t_ns)

    def update(self, seen: SeenStop, t_ns: int) -> list[Action]:
        """An ALGO_UPDATE, or the answer to a question for one order."""
        leg = self.legs.get(seen.client_id)
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
            self.legs.drop(leg)  # It ended before anybody relied on it.
        else:
            self._gone(leg, f"{status} {seen.failure}".rstrip(), t_ns)
        return self.settle(t_ns)

    def child(self, client_id: str, t_ns: int) -> list[Action]:
        """An order event with a stop's id: the engine has its order, whatever ALGO_UPDATE says so far."""
        self.legs[client_id].enter(Phase.TRIGGERED, t_ns)
        return self.settle(t_ns)

    def not_found(self, client_id: str, asked_ns: int, t_ns: int) -> list[Action]:
        """The exchange does not know an order that was asked for by its id."""
        leg = self.legs[client_id]
        if leg.phase is Phase.UNKNOWN and self._lookups.is_lost(leg, asked_ns):
            # It may be invisible and stand all the same: then it is surplus, seen later, and goes.
            self.legs.drop(leg)
            self._reason = "a placement was lost"
        return self.settle(t_ns)

    def snapshot(self, rows: Iterable[SeenStop], asked_ns: int, t_ns: int) -> list[Action]:
        """The open conditional orders of the symbol, everybody's, as listed."""
        by_id = {row.client_id: row for row in rows}
        trigger = self._aim_at.tightest or self._aim_at.behind(self.wanted)
        if self._other.look(by_id.values(), self.wanted, trigger=trigger):
            self.pace.unblock()  # Nothing there that would do: place ours.
        for leg in self.legs:
            row = by_id.get(leg.client_id)
            if row is not None:
                leg.is_listed = leg.is_verified = True
                self._take_over(leg, row)
                if row.status in FIRED_PHASES and leg.phase is not Phase.TRIGGERED:
                    leg.enter(FIRED_PHASES[row.status], t_ns)
                elif leg.phase in UNRESOLVED:
                    self._stands(leg, t_ns)
            elif leg.phase is Phase.STANDING and self._lookups.is_gone(leg, asked_ns):
                self._gone(leg, "absent from the exchange's list", t_ns)
        return self.settle(t_ns)

    def adopt(self, seen: SeenStop, t_ns: int) -> list[Action]:
        """A listed stop of this epoch that is not known here: an earlier life of this process placed it."""
        leg = self._adopt(seen, t_ns)
        leg.is_listed = leg.is_verified = True
        return self.settle(t_ns)

    def mark(self, price: Decimal, t_ns: int) -> None:
        """The mark price of the moment: a tighter stop is held back while it would trigger at once."""
        self._aim_at.mark(price, t_ns)

    def reread(self, mark: Decimal | None, quantity: Decimal | None, t_ns: int) -> list[Action]:
        """What was read again after a placement that would have triggered at once; None: not readable."""
        if self._reread_ns is None:
            return []
        self._reread_ns = None
        if mark is not None:
            self._aim_at.mark(mark, t_ns)
        if quantity is not None and not quantity:
            self._ask_position("the position is not there any more", t_ns)
        elif mark is None:
            self.pace.block(t_ns + self._timing.retry_first_ns)
        elif is_through(self.wanted.side, self._aimed_at(t_ns), mark):
            self._close_now("the price is beyond the hard stop, which cannot be placed", t_ns)
        return self.settle(t_ns)

    def end(self, why: str) -> None:
        """The epoch ended: every stop of it is released. A triggered one is an order by now, and ends so."""
        for leg in self.legs:
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
            placement=self._issue.number,
            tightest=self._aim_at.tightest,
            trigger=None if goal is None else goal.trigger,
            parts=() if goal is None else goal.parts,
            goal=0 if goal is None else goal.number,
            stops=tuple(leg.record() for leg in self.legs),
        )

    def view(self) -> HardStopView:
        """How the position is protected now, as far as the exchange confirmed it."""
        return view_of(
            self.legs,
            goal=self._goal,
            wanted=self.wanted,
            other=self._other.found,
            reason=self._reason,
        )

    # Settling ---------------------------------------------------------------------------------

    def settle(self, t_ns: int) -> list[Action]:
        """Brings what stands towards what is wanted: the one place that decides. Call it at `due_ns`."""
        self.due_ns = NEVER_NS
        self._at(self.legs.expire(t_ns, answer_max_ns=self._timing.answer_max_ns))
        self._follow(t_ns)
        if not self.legs.any_in(FIRED):
            self._aim(t_ns)
            self._place(t_ns)
        if self.legs.is_whole(self._goal):
            self._confirm()
        questions, ask_ns = self._lookups.due(self.legs, t_ns)
        self._requests.add(*questions)
        self._at(ask_ns)
        return self._requests.take()

    def _follow(self, t_ns: int) -> None:
        """A triggered stop must close the position soon, or the position is closed without it."""
        for leg in self.legs:
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
            self._requests.alarm_once(self.wanted, "hard_stop_dust", lack)
            return
        trigger, quantity = self._aimed_at(t_ns), total(parts)
        if goal is None:
            self._new_goal(trigger, parts, t_ns)
            return
        grew, shrank = quantity > goal.quantity, quantity < goal.quantity
        is_moved = self._aim_at.is_worth_moving(wanted, placed=goal.trigger, trigger=trigger)
        if not (grew or shrank or is_moved or self._is_outdone(goal)):
            return
        # In hedge mode a stop larger than the position is refused when it triggers: as urgent as growth.
        urgent = grew or (wanted.hedge and shrank)
        due_ns = self.pace.next_ns(urgent=urgent)
        if t_ns < due_ns:
            self._at(due_ns)
        elif self.legs.any_in(UNRESOLVED) and not urgent:
            pass  # The answer that is waited for settles again.
        elif self.legs.placements() < PLACEMENTS_OPEN_MAX:
            self._new_goal(trigger, parts, t_ns)

    def _new_goal(self, trigger: Decimal, parts: tuple[Decimal, ...], t_ns: int) -> Placement:
        self._goal = goal = self._issue.placement(trigger, parts)
        self.pace.placed(t_ns)
        quantity = self.wanted.quantity
        if len(parts) >= PARTS_MAX and goal.quantity < quantity:
            self._requests.alarm_once(
                self.wanted,
                "hard_stop_partial",
                f"hard stops cover {text(goal.quantity)} of {text(quantity)}: more would be too many orders",
            )
        return goal

    def _aimed_at(self, t_ns: int) -> Decimal:
        trigger, again_ns = self._aim_at.at(
            self.wanted, t_ns, interval_ns=self.pace.move_interval_ns
        )
        self._at(again_ns)
        return trigger

    def _place(self, t_ns: int) -> None:
        """Places the parts that are missing."""
        goal = self._goal
        missing = [] if goal is None else self.legs.missing(goal)
        if goal is None or not missing:
            return
        until_ns = self.pace.blocked_until_ns
        if self._reread_ns is not None:
            until_ns = max(until_ns, self._reread_ns + self._timing.answer_max_ns)
        if t_ns < until_ns:
            self._at(until_ns)
            return
        self._reread_ns = None
        tightest = self._aim_at.tightest
        if tightest is not None and is_tighter(self.wanted.side, tightest, goal.trigger):
            # A tighter one was confirmed since this was decided: nothing looser is placed any more.
            goal = self._new_goal(tightest, goal.parts, t_ns)
            missing = self.legs.missing(goal)
        for part in missing:
            leg = self._issue.leg(goal, part, self.wanted, t_ns)
            self.legs.add(leg)
            self._requests.place(leg, self.wanted)
        self._at(t_ns + self._timing.answer_max_ns)

    def _is_outdone(self, goal: Placement) -> bool:
        """Whether a tighter stop was confirmed after this placement had left: it was on its way meanwhile."""
        tightest = self._aim_at.tightest
        return tightest is not None and is_tighter(self.wanted.side, tightest, goal.trigger)

    def _confirm(self) -> None:
        """The newest placement stands whole: the older ones may go, but for those that outdo it."""
        goal = self._goal
        assert goal is not None
        self._confirmed = goal
        is_outdone = self._is_outdone(goal)
        for leg in self.legs.surplus(goal):
            if not is_outdone or not is_tighter(leg.side, leg.trigger, goal.trigger):
                self._release(leg, "replaced")
        self._issue.settled(goal)

    # What happens to a stop, and to a placement ---------------------------------------------

    def _stands(self, leg: Leg, t_ns: int) -> None:
        """A stop is confirmed."""
        leg.enter(Phase.STANDING, t_ns)
        self._aim_at.confirmed(leg.side, leg.trigger)
        self.pace.accepted()
        self._through = 0
        self._reason = ""
        self._other.forget()
        self._requests.stands_again()

    def _take_over(self, leg: Leg, seen: SeenStop) -> None:
        """What the exchange says of a stop outranks what was asked for: the goal becomes what is there."""
        leg.stands_as(seen)
        if self._goal is not None:
            self._goal = self._goal.with_leg(leg)

    def _adopt(self, seen: SeenStop, t_ns: int) -> Leg:
        name = self._ids.read(seen.client_id)
        assert name is not None
        leg = Leg.of_seen(seen, name, side=self.wanted.side, t_ns=t_ns)
        self.legs.add(leg)
        self._issue.met(name.placement)
        if leg.phase is Phase.STANDING:
            self._stands(leg, t_ns)
        return leg

    def _gone(self, leg: Leg, how: str, t_ns: int) -> None:
        """A stop ended that nobody here cancelled: place it again, and tell."""
        self.legs.drop(leg)
        self._reason = f"the hard stop is gone: {how}"
        self._requests.alarm(self.wanted, "hard_stop_gone", self._reason)
        self.pace.died(stood_ns=t_ns - leg.since_ns, t_ns=t_ns)

    def _rejected(self, leg: Leg, failure: str, t_ns: int) -> None:
        """The engine refused a triggered stop's order."""
        if self.legs.fired_quantity(besides=leg) >= self.wanted.quantity:
            self.legs.drop(leg)  # The others close it all: this one was surplus.
        else:
            self._failed(leg, f"it was rejected when it triggered: {failure or 'no reason'}", t_ns)

    def _failed(self, leg: Leg, how: str, t_ns: int) -> None:
        """A triggered stop did not do its work: close without it, and have another one placed."""
        if leg.phase is Phase.TRIGGERING:
            self._release(leg, "stuck")
        else:
            self.legs.drop(leg)
        self._close_now(f"the hard stop failed: {how}", t_ns)

    def _close_now(self, cause: str, t_ns: int) -> None:
        """Closes at market, at most once in `close_again_ns`, and places nothing for as long."""
        self._reason = cause
        self.pace.block(t_ns + self._timing.close_again_ns)
        self._requests.close(self.wanted, cause, t_ns)

    def _refused_as_through(self, leg: Leg, t_ns: int) -> None:
        """A placement would have triggered at once."""
        standing = self._confirmed if self.legs.is_whole(self._confirmed) else None
        if standing is not None and is_tighter(leg.side, leg.trigger, standing.trigger):
            # A looser one stands and was not reached, so to close now would be a surprise. The tighter one
            # waits for the price; a larger quantity goes where the standing one is.
            self._aim_at.hold_back(t_ns + self.pace.move_interval_ns)
            for newer in self.legs:
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
            self._requests.add(Reread(symbol=leg.symbol, side=leg.side))

    def _refused(self, kind: Refusal, t_ns: int) -> None:
        """A placement was refused for a reason that may pass, or that a person must remove."""
        pause_ns = self.pace.refused()
        is_lasting = self.pace.refusals >= TELL_AFTER_REFUSALS
        if kind is Refusal.TAKEN:
            self._other.seek()
            self._requests.add(AskOpen(symbol=self.wanted.symbol, why="-4130"))
        elif kind is Refusal.NO_POSITION:
            if is_lasting:
                self._ask_position("the exchange finds no position for the hard stop", t_ns)
                pause_ns = max(pause_ns, self._timing.close_again_ns)
        elif kind in TOLD_AT_ONCE or is_lasting:
            alarm = "hard_stop_full" if kind is Refusal.FULL else "hard_stop_refused"
            self._requests.alarm_once(self.wanted, alarm, self._reason)
        self.pace.block(t_ns + (self._timing.slow_ns if kind in SLOW else pause_ns))

    def _release(self, leg: Leg, why: str) -> None:
        self.legs.drop(leg)
        self.released.append((leg, why))

    def _ask_position(self, why: str, t_ns: int) -> None:
        self._requests.ask_position(self.wanted, why)
        self.pace.block(t_ns + self._timing.move_interval_ns)

    def _at(self, t_ns: int) -> None:
        self.due_ns = min(self.due_ns, t_ns)

    def _restore(self, state: HardStopState, t_ns: int) -> None:
        """Goes on from what the journal holds: what may stand is asked for before anything is placed."""
        self._issue.restore(state)
        self._aim_at.tightest = state.tightest
        if state.trigger is not None and state.parts:
            self._goal = Placement(state.goal, state.trigger, state.parts)
        for record in state.stops:
            leg = Leg.of_record(record, symbol=state.symbol, side=state.side, t_ns=t_ns)
            self.legs.add(leg)
