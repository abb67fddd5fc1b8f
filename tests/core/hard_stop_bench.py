"""A keeper of hard stops on a bench: time by hand, answers by hand, and what it asked for."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

from reactor.core.decisions import Side
from reactor.core.exact import text
from reactor.core.hard_stop import HardStops
from reactor.core.hard_stop_values import (
    SECOND_NS,
    Action,
    Cancel,
    HardStopState,
    HardStopView,
    Place,
    SeenStop,
    StopAlarm,
    StopRules,
    WantedStop,
)
from reactor.shell.hard_stop_names import HardStopNames

START_NS = 1_795_000_000 * SECOND_NS
OPENED_NS = START_NS - 5 * SECOND_NS
NAMES = HardStopNames("bench")
RULES = StopRules(
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    quantity_min=Decimal("0.001"),
    quantity_max=Decimal(120),
    price_max=Decimal(1_000_000),
)
Kind = TypeVar("Kind")


def of(kind: type[Kind], actions: Iterable[object]) -> list[Kind]:
    return [action for action in actions if isinstance(action, kind)]


class Bench:
    """`log` is everything that was asked for; `new` what the last call asked for."""

    def __init__(self, *, state: HardStopState | None = None, **wanted: Any) -> None:
        self.t_ns = START_NS
        self.stops = HardStops(ids=NAMES)
        if state is not None:
            self.stops.restore([state])
        self.log: list[Action] = []
        self.new: list[Action] = []
        self.algo_id = 1000
        self.wanted = WantedStop(
            symbol="BTCUSDT",
            side=wanted.pop("side", "LONG"),
            epoch=wanted.pop("epoch", 1),
            opened_ns=wanted.pop("opened_ns", OPENED_NS),
            quantity=Decimal(wanted.pop("quantity", "0.5")),
            stop=Decimal(wanted.pop("stop", "100")),
            buffer_pct=Decimal(wanted.pop("buffer", "0.005")),
            step_pct=Decimal(wanted.pop("step", "0.001")),
            hedge=wanted.pop("hedge", False),
            rules=wanted.pop("rules", RULES),
        )
        assert not wanted
        self.did(self.stops.want(self.wanted, self.t_ns))

    def did(self, actions: list[Action]) -> list[Action]:
        self.new = actions
        self.log += actions
        return actions

    # What happens -----------------------------------------------------------------------------

    def want(self, *, loosened: bool = False, **changes: Any) -> list[Action]:
        fields = {f: getattr(self.wanted, f) for f in self.wanted.__struct_fields__}
        for name, value in changes.items():
            fields[name] = Decimal(value) if name in {"quantity", "stop"} else value
        self.wanted = WantedStop(**fields)
        return self.did(self.stops.want(self.wanted, self.t_ns, loosened=loosened))

    def wait(self, seconds: float) -> list[Action]:
        """Lets time pass, waking the keeper whenever it asked to be woken."""
        end_ns = self.t_ns + round(seconds * SECOND_NS)
        found: list[Action] = []
        while self.stops.due_ns <= end_ns:
            assert self.stops.due_ns > self.t_ns or not found or self.new, "it spins"
            self.t_ns = max(self.t_ns, self.stops.due_ns)
            found += self.did(self.stops.on_time(self.t_ns))
            assert self.stops.due_ns > self.t_ns, "it asks to be woken for nothing"
        self.t_ns = end_ns
        self.new = found
        return found

    def accept(self, place: Place | None = None) -> list[Action]:
        place = place or self.placed()
        self.algo_id += 1
        return self.did(self.stops.accepted(place.client_id, self.algo_id, self.t_ns))

    def refuse(self, code: int | None, place: Place | None = None, **extra: Any) -> list[Action]:
        place = place or self.placed()
        found = self.stops.refused(place.client_id, code=code, text="no", t_ns=self.t_ns, **extra)
        return self.did(found)

    def cancel_done(self) -> None:
        for cancel in of(Cancel, self.log):
            self.did(self.stops.cancelled(cancel.client_id, self.t_ns))

    def tell(self, status: str, place: Place | None = None, **extra: Any) -> list[Action]:
        """An ALGO_UPDATE."""
        return self.did(self.stops.update(self.seen(place, status=status, **extra), self.t_ns))

    def seen(self, place: Place | None = None, *, status: str = "NEW", **extra: Any) -> SeenStop:
        place = place or self.placed()
        fields: dict[str, Any] = {
            "client_id": place.client_id,
            "algo_id": self.algo_id,
            "symbol": place.symbol,
            "side": "SELL" if place.side == "LONG" else "BUY",
            "trigger": place.trigger,
            "quantity": place.quantity,
        }
        return SeenStop(status=status, **(fields | extra))

    def list_shows(self, *rows: SeenStop, asked_ns: int | None = None) -> list[Action]:
        asked = self.t_ns if asked_ns is None else asked_ns
        found = self.stops.snapshot(rows, symbol="BTCUSDT", asked_ns=asked, t_ns=self.t_ns)
        return self.did(found)

    # What there is ----------------------------------------------------------------------------

    def placed(self) -> Place:
        """The last placement that was asked for."""
        return of(Place, self.log)[-1]

    def places(self) -> list[tuple[str, str]]:
        return [(text(p.trigger), text(p.quantity)) for p in of(Place, self.log)]

    def alarms(self) -> list[str]:
        return [alarm.kind for alarm in of(StopAlarm, self.log)]

    def view(self) -> HardStopView:
        side: Side = self.wanted.side
        return self.stops.view("BTCUSDT", side)

    def state(self) -> HardStopState:
        state = self.stops.state("BTCUSDT", self.wanted.side)
        assert state is not None
        return state


def standing(**wanted: Any) -> Bench:
    """A bench whose first stop stands and was seen in a list."""
    bench = Bench(**wanted)
    for place in of(Place, bench.log):
        bench.accept(place)
    bench.wait(1.5)
    bench.list_shows(*(bench.seen(place) for place in of(Place, bench.log)))
    bench.log.clear()
    return bench
