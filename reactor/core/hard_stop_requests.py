"""What one epoch's keeper asks for: collected during a call, taken at its end."""

from reactor.core.hard_stop_leg import Leg
from reactor.core.hard_stop_values import (
    Action,
    AskPosition,
    CloseNow,
    Place,
    StopAlarm,
    Timing,
    WantedStop,
)


class Requests:
    """The actions of one call, and how often a person was told of what."""

    __slots__ = ("_closed_ns", "_out", "_timing", "_told")

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._out: list[Action] = []
        self._closed_ns: int | None = None
        self._told: set[str] = set()

    def take(self) -> list[Action]:
        """Everything since the last time."""
        out, self._out = self._out, []
        return out

    def add(self, *actions: Action) -> None:
        """Asks for these."""
        self._out.extend(actions)

    def place(self, leg: Leg, wanted: WantedStop) -> None:
        """Asks for a stop to be placed."""
        self.add(
            Place(
                symbol=leg.symbol,
                side=leg.side,
                client_id=leg.client_id,
                trigger=leg.trigger,
                quantity=leg.quantity,
                hedge=wanted.hedge,
            )
        )

    def close(self, wanted: WantedStop, cause: str, t_ns: int) -> None:
        """Asks for the position to be closed, at most once in `close_again_ns`, and tells a person."""
        if self._closed_ns is not None and t_ns < self._closed_ns + self._timing.close_again_ns:
            return
        self._closed_ns = t_ns
        self.add(CloseNow(symbol=wanted.symbol, side=wanted.side, epoch=wanted.epoch, cause=cause))
        self.alarm(wanted, "hard_stop_failed", f"{cause}; closing at market")

    def ask_position(self, wanted: WantedStop, why: str) -> None:
        """Asks whether the position is still there."""
        self.add(AskPosition(symbol=wanted.symbol, side=wanted.side, why=why))

    def alarm(self, wanted: WantedStop, kind: str, text: str) -> None:
        """Tells a person."""
        self.add(StopAlarm(kind=kind, symbol=wanted.symbol, side=wanted.side, text=text))

    def alarm_once(self, wanted: WantedStop, kind: str, text: str) -> None:
        """Tells a person, once until a stop stands again."""
        if kind not in self._told:
            self._told.add(kind)
            self.alarm(wanted, kind, text)

    def stands_again(self) -> None:
        """What is wrong from now on is news."""
        self._told.clear()
