"""Exit Reactor: exits for Binance USDⓈ-M futures positions, decided on every tick.

The library in one breath: an `Engine` is given plans, positions and ticks, and answers each call with
decisions, which are values. It does no I/O and reads no clock; what is done with a decision is the
caller's business.

    engine = Engine(plan_for=lambda symbol, side: load_plan("trend_follow"))
    engine.expect("BTCUSDT", "LONG", Decimal("0.182"), Decimal("60000"))
    decisions = engine.on_mark("BTCUSDT", "60000.0", t_event_ms, t_recv_ns)

The names below are the public ones. They are imported when first asked for, so that the command line
answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reactor.core.candles import Candle
    from reactor.core.decisions import (
        Alarm,
        Closed,
        Decision,
        Exit,
        HeldBack,
        Opened,
        OrdersCancelled,
        OutcomeAsked,
        PolicyChanged,
        Reason,
        RegimeChanged,
        Side,
        StopKind,
        StopMoved,
    )
    from reactor.core.engine import Engine
    from reactor.core.events import PositionReport
    from reactor.core.ladder import Filters
    from reactor.core.levels import Levels, levels
    from reactor.core.lifecycle import Event
    from reactor.core.orders import Fills
    from reactor.core.plan import Plan, plan_from_toml
    from reactor.errors import BadInputError, PlanError, ReactorError
    from reactor.plans import load_plan, shipped_plan_names

__version__ = "0.1.0"

__all__ = (
    "Alarm",
    "BadInputError",
    "Candle",
    "Closed",
    "Decision",
    "Engine",
    "Event",
    "Exit",
    "Fills",
    "Filters",
    "HeldBack",
    "Levels",
    "Opened",
    "OrdersCancelled",
    "OutcomeAsked",
    "Plan",
    "PlanError",
    "PolicyChanged",
    "PositionReport",
    "ReactorError",
    "Reason",
    "RegimeChanged",
    "Side",
    "StopKind",
    "StopMoved",
    "levels",
    "load_plan",
    "plan_from_toml",
    "shipped_plan_names",
)

_ROOMS = {
    "reactor.core.candles": ("Candle",),
    "reactor.core.decisions": (
        "Alarm",
        "Closed",
        "Decision",
        "Exit",
        "HeldBack",
        "Opened",
        "OrdersCancelled",
        "OutcomeAsked",
        "PolicyChanged",
        "Reason",
        "RegimeChanged",
        "Side",
        "StopKind",
        "StopMoved",
    ),
    "reactor.core.engine": ("Engine",),
    "reactor.core.events": ("PositionReport",),
    "reactor.core.levels": ("Levels", "levels"),
    "reactor.core.lifecycle": ("Event",),
    "reactor.core.ladder": ("Filters",),
    "reactor.core.orders": ("Fills",),
    "reactor.core.plan": ("Plan", "plan_from_toml"),
    "reactor.errors": ("BadInputError", "PlanError", "ReactorError"),
    "reactor.plans": ("load_plan", "shipped_plan_names"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


if not TYPE_CHECKING:  # so that type checkers still know which names there are

    def __getattr__(name: str) -> object:
        """Imports a public name when it is first asked for."""
        room = _ROOM_OF.get(name)
        if room is None:
            raise AttributeError(f"module 'reactor' has no attribute {name!r}")
        value: object = getattr(import_module(room), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
