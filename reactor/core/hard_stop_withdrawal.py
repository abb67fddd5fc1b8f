"""The stops that should go: each is cancelled until it is gone."""

from collections.abc import Iterator

from reactor.core.hard_stop_leg import ENDED, Leg, Phase
from reactor.core.hard_stop_refusals import CANCEL_UNKNOWN_ORDER
from reactor.core.hard_stop_values import (
    NEVER_NS,
    Action,
    Cancel,
    SeenStop,
    StopAlarm,
    Timing,
)


class _Leaving:
    """A stop that should go, and how far that has come."""

    __slots__ = ("added_ns", "asked_ns", "leg", "next_ns", "refused_ns", "told", "tries", "why")

    def __init__(self, leg: Leg, why: str, t_ns: int) -> None:
        self.leg = leg
        self.why = why
        self.added_ns = t_ns
        self.tries = 0
        self.next_ns = t_ns
        self.asked_ns: int | None = None  # when the cancellation in flight left
        self.refused_ns: int | None = None  # when it was first said to be unknown
        self.told = False


class Withdrawal:
    """The stops that should go: replaced ones, those of ended epochs, orphans. Each is cancelled until it is.

    A cancellation that the exchange refuses because it knows no such order (-2011) is believed when it says
    so twice, `absent_ns` apart: new orders are invisible for a while. One that hangs in TRIGGERING is tried
    on, and a person is told after `give_up_ns`.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._leaving: dict[str, _Leaving] = {}
        self.due_ns = NEVER_NS

    def __contains__(self, client_id: str) -> bool:
        """Whether this stop is on its way out."""
        return client_id in self._leaving

    def __iter__(self) -> Iterator[Leg]:
        """The stops that have not gone yet."""
        return (item.leg for item in self._leaving.values())

    def add(self, leg: Leg, *, why: str, t_ns: int) -> None:
        """Takes a stop that should go."""
        if leg.client_id not in self._leaving:
            self._leaving[leg.client_id] = _Leaving(leg, why, t_ns)

    def settle(self, t_ns: int) -> list[Action]:
        """What is to be cancelled now; sets `due_ns`."""
        out: list[Action] = []
        self.due_ns = NEVER_NS
        timing = self._timing
        for item in self._leaving.values():
            leg = item.leg
            if leg.phase is Phase.PLACING and t_ns < leg.since_ns + timing.answer_max_ns:
                self._at(leg.since_ns + timing.answer_max_ns)
                continue
            if item.asked_ns is not None:
                if t_ns < item.asked_ns + timing.answer_max_ns:
                    self._at(item.asked_ns + timing.answer_max_ns)
                    continue
                item.asked_ns = None
            if t_ns < item.next_ns:
                self._at(item.next_ns)
                continue
            item.asked_ns, item.tries = t_ns, item.tries + 1
            item.next_ns = t_ns + self._pause_ns(item.tries)
            self._at(t_ns + timing.answer_max_ns)
            out.append(
                Cancel(
                    symbol=leg.symbol, client_id=leg.client_id, algo_id=leg.algo_id, why=item.why
                )
            )
            if item.tries > 1 and not item.told and t_ns >= item.added_ns + timing.give_up_ns:
                item.told = True
                text = (
                    f"hard stop {leg.client_id} ({item.why}) cannot be cancelled; cancel it by hand"
                )
                out.append(
                    StopAlarm(kind="hard_stop_stays", symbol=leg.symbol, side=leg.side, text=text)
                )
        return out

    def _pause_ns(self, tries: int) -> int:
        timing = self._timing
        return min(timing.retry_first_ns << min(tries, 12), timing.retry_max_ns)

    def _at(self, t_ns: int) -> None:
        self.due_ns = min(self.due_ns, t_ns)

    def accepted(self, client_id: str, algo_id: int, t_ns: int) -> None:
        """Its placement was accepted after all."""
        item = self._leaving[client_id]
        item.leg.algo_id = algo_id
        item.leg.enter(Phase.STANDING, t_ns)
        item.next_ns, item.asked_ns = t_ns, None

    def unknown(self, client_id: str, t_ns: int) -> None:
        """Whether its placement was accepted is not known."""
        self._leaving[client_id].leg.enter(Phase.UNKNOWN, t_ns)

    def drop(self, client_id: str) -> bool:
        """It has gone. Returns whether it was waited for."""
        return self._leaving.pop(client_id, None) is not None

    def refused(self, client_id: str, code: int | None, t_ns: int) -> bool:
        """Its cancellation was refused, or what became of that is unknown (no code).

        Returns:
            Whether it is believed to have gone now.
        """
        item = self._leaving.get(client_id)
        if item is None:
            return False
        item.asked_ns = None
        if code not in CANCEL_UNKNOWN_ORDER or item.leg.phase is Phase.TRIGGERING:
            item.next_ns = t_ns + self._pause_ns(item.tries)
            return False
        if item.refused_ns is None:
            item.refused_ns = t_ns
            item.next_ns = t_ns + self._timing.absent_ns
            return False
        if t_ns < item.refused_ns + self._timing.absent_ns:
            item.next_ns = item.refused_ns + self._timing.absent_ns
            return False
        return self.drop(client_id)

    def update(self, seen: SeenStop, t_ns: int) -> bool:
        """The exchange tells of it. Returns whether it has gone."""
        item = self._leaving.get(seen.client_id)
        if item is None:
            return False
        if seen.status in ENDED or seen.status == "TRIGGERED":
            return self.drop(seen.client_id)
        item.leg.algo_id = seen.algo_id
        item.refused_ns = None
        phase = Phase.TRIGGERING if seen.status == "TRIGGERING" else Phase.STANDING
        if item.leg.phase in {Phase.PLACING, Phase.UNKNOWN} and item.asked_ns is None:
            item.next_ns = t_ns
        item.leg.enter(phase, t_ns)
        return False
