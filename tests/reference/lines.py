"""The output lines of the contract, with exact fractions for prices and quantities."""

from fractions import Fraction
from typing import Any

from reference.epoch import Epoch, Flight
from reference.levels import nearest_first
from reference.terms import Terms

Line = dict[str, Any]


def opened_line(epoch: Epoch, terms: Terms, *, t_ns: int) -> Line:
    priced = nearest_first(epoch)
    waiting = [rung for rung in epoch.rungs if rung.price is None]
    return {
        "type": "opened",
        "t": t_ns,
        "side": epoch.side,
        "quantity": epoch.quantity,
        "entry": epoch.entry,
        "plan": terms.plan.name,
        "atr": epoch.atr,
        "stop": epoch.stop,
        "targets": [[rung.price, rung.fraction] for rung in (*priced, *waiting)],
    }


def stop_line(epoch: Epoch, price: Fraction, *, t_ns: int, tick: int) -> Line:
    return {
        "type": "stop",
        "t": t_ns,
        "tick": tick,
        "side": epoch.side,
        "kind": epoch.kind,
        "stop": epoch.stop,
        "price": price,
    }


def exit_line(
    epoch: Epoch, flight: Flight, price: Fraction, *, t_ns: int, tick: int, stop: Fraction
) -> Line:
    return {
        "type": "exit",
        "t": t_ns,
        "tick": tick,
        "side": epoch.side,
        "reasons": flight.reasons,
        "price": price,
        "quantity": flight.quantity,
        "remaining": epoch.remaining,
        "stop": stop,
    }


def closed_line(epoch: Epoch, reason: str, *, t_ns: int, tick: int, known: bool) -> Line:
    # reading: once somebody else reduced the position, what it realized in all is not known.
    realized = epoch.realized if known else None
    return {
        "type": "closed",
        "t": t_ns,
        "tick": tick,
        "side": epoch.side,
        "reason": reason,
        "realized": realized,
        "r_multiple": None if realized is None else realized / (epoch.initial_quantity * epoch.r),
    }
