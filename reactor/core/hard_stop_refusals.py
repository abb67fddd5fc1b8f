"""What a refused placement or cancellation of a hard stop means, by the exchange's code.

The codes and their meanings are Binance's (USDⓈ-M error codes), those of the Algo service partly from the
field: -4130 and -4509 are in no official list.
"""

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """What to do about a refused placement."""

    THROUGH = "through"
    """It would trigger at once: read mark and position again, then close or place again."""
    UNKNOWN = "unknown"
    """It may have been executed all the same: ask before placing again."""
    DUPLICATE = "duplicate"
    """An earlier attempt with this id landed: ask for it."""
    TAKEN = "taken"
    """Somebody's closePosition stop is there: look at its trigger."""
    NO_POSITION = "no_position"
    """There is nothing to protect, or not yet: again shortly, then ask for the position."""
    FULL = "full"
    """The account has as many conditional orders as it may have: a person must make room."""
    BUSY = "busy"
    """Too many requests, or a busy exchange: later."""
    AGAIN = "again"
    """Refused for a passing reason (clock, mode, filters): again after a pause, and a person is told."""
    HOPELESS = "hopeless"
    """Keys, permissions, or a kind of order that this account does not take: a person must act."""


_BY_CODE: Final = {
    Refusal.THROUGH: (-2021, -4142),
    Refusal.UNKNOWN: (-1000, -1001, -1006, -1007),
    Refusal.DUPLICATE: (-4116,),
    Refusal.TAKEN: (-4130,),
    Refusal.NO_POSITION: (-4509, -2022, -2024, -4118),
    Refusal.FULL: (-2025, -4045),
    Refusal.BUSY: (-1003, -1008, -1015),
    Refusal.HOPELESS: (-1002, -1022, -2014, -2015, -2017, -4120, -5000),
}
_REFUSALS: Final = {code: kind for kind, codes in _BY_CODE.items() for code in codes}

TOLD_AT_ONCE: Final = frozenset({Refusal.FULL, Refusal.AGAIN, Refusal.HOPELESS})
"""A person is told of these the first time, of the others when they last."""

SLOW: Final = frozenset({Refusal.FULL, Refusal.HOPELESS, Refusal.TAKEN})
"""Time alone mends none of these: tried again slowly."""

THROUGH_MAX: Final = 3
"""Refusals in a row because the trigger is already reached, beyond which no further look is taken."""

TELL_AFTER_REFUSALS: Final = 3
"""Passing refusals in a row before a person is told."""

CANCEL_UNKNOWN_ORDER: Final = frozenset({-2011, -2013})
"""A cancelled order is not known: it ended, or the Algo service lags."""


def refusal_of(code: int | None) -> Refusal:
    """What a refused placement asks for.

    Codes that are not listed are tried again after a pause; so is what never left or was refused without one.
    """
    return Refusal.BUSY if code is None else _REFUSALS.get(code, Refusal.AGAIN)
