"""What the life-cycle of a position's orders is told of a failed request, live and in a replay alike."""

from reactor.binance.failures import Reaction, outcome
from reactor.core.lifecycle import Event


def engine_event(wanted: Reaction) -> Event | None:
    """What the engine is told at once.

    Returns:
        UNKNOWN, REJECTED, or None for a reaction that sends the same exit again: its outcome is still open,
        and where the resends are used up a command says so.
    """
    word = outcome(wanted)
    return None if word is None else Event(word)
