"""What one epoch's hard stop amounts to, in one value."""

from reactor.core.hard_stop_legs import FIRED, UNRESOLVED, Legs, Placement
from reactor.core.hard_stop_values import HardStopView, SeenStop, Standing, WantedStop


def view_of(
    legs: Legs,
    *,
    goal: Placement | None,
    wanted: WantedStop,
    other: SeenStop | None,
    reason: str,
) -> HardStopView:
    """How a position is protected now, as far as the exchange confirmed it.

    Args:
        legs: the stops that stand or are on their way.
        goal: the placement that should stand.
        wanted: the position.
        other: somebody's closePosition stop that stands in the place of ours.
        reason: what went wrong last.
    """
    trigger, quantity = legs.cover(wanted.side, wanted.quantity)
    newest = legs.newest()
    state: Standing
    if legs.any_in(FIRED):
        state = "triggering"
    elif legs.is_whole(goal):
        state, reason = "standing", ""
    elif trigger is not None:
        state = "replacing"
    elif other is not None:
        state, reason = "standing", "somebody's closePosition stop stands in the place of ours"
        trigger, quantity = other.trigger, wanted.quantity
    elif legs.any_in(UNRESOLVED):
        state = "placing"
    else:
        state = "failed" if reason else "none"
    return HardStopView(
        state=state,
        trigger=trigger,
        quantity=quantity,
        reason=reason,
        client_id="" if newest is None else newest.client_id,
        confirmed_ns=0 if newest is None else newest.since_ns,
    )
