"""The rules of one tick: guards, ladder, harvest, and what moves the stop. Each reads as its sentence."""

from fractions import Fraction

from reference.epoch import Epoch
from reference.levels import break_even_price, nearest_first
from reference.sides import (
    better_price,
    floor_to,
    is_at_target,
    is_better_stop,
    is_in_profit,
    is_stop_safe,
    price_in_loss_by,
    profit,
    round_stop,
)
from reference.terms import Terms


def guard(epoch: Epoch, price: Fraction, terms: Terms) -> str | None:
    """The guard that closes the position at this price, if one does."""
    guards = terms.plan.guards
    if guards is None:
        return None
    if guards.liquidation_buffer_pct is not None and _is_near_liquidation(
        epoch, price, Fraction(guards.liquidation_buffer_pct)
    ):
        return "liquidation_guard"
    if guards.max_loss_margin_pct is not None and epoch.margin_per_unit is not None:
        loss = -profit(epoch.side, epoch.entry, price)
        if loss >= Fraction(guards.max_loss_margin_pct) * epoch.margin_per_unit:
            return "loss_guard"
    return None


def _is_near_liquidation(epoch: Epoch, price: Fraction, buffer_pct: Fraction) -> bool:
    liquidation = epoch.liquidation_price
    if liquidation is None or liquidation <= 0:
        return False
    buffer = buffer_pct * epoch.entry
    if epoch.side == "LONG":
        return liquidation < epoch.entry and price <= liquidation + buffer
    return liquidation > epoch.entry and price >= liquidation - buffer


def take_profit(epoch: Epoch, price: Fraction, terms: Terms) -> tuple[Fraction, list[str]]:
    """What the ladder and then the harvest close at this price, and why."""
    left = epoch.remaining
    total = Fraction(0)
    reasons: list[str] = []
    for rung in nearest_first(epoch):
        if left == 0:
            break
        if rung.taken or rung.price is None or not is_at_target(epoch.side, price, rung.price):
            continue
        rung.taken, rung.taken_price = True, rung.price
        epoch.time_stop_due_ns = None
        if _was_the_last(epoch):
            quantity = left
        else:
            quantity = _partial(rung.fraction * epoch.initial_quantity, left, terms)
        left -= quantity
        total += quantity
        if quantity > 0 and "take_profit" not in reasons:
            reasons.append("take_profit")
    harvest = terms.plan.harvest
    if harvest is not None:
        gain = profit(epoch.side, epoch.entry, price) / epoch.entry
        while left > 0 and (epoch.harvests + 1) * Fraction(harvest.trigger_pct) <= gain:
            epoch.harvests += 1
            epoch.harvested_once = True
            epoch.time_stop_due_ns = None
            quantity = _partial(Fraction(harvest.fraction) * left, left, terms)
            left -= quantity
            total += quantity
            if quantity > 0 and "harvest" not in reasons:
                reasons.append("harvest")
    return total, reasons


def _was_the_last(epoch: Epoch) -> bool:
    """Whether the rung just taken was the farthest of a ladder that closes everything.

    # reading: the farthest is the one after which no untaken rung is left; one that waits for an ATR is
    # farther than every other.
    """
    whole = sum((rung.fraction for rung in epoch.rungs), Fraction(0)) == 1
    return whole and all(rung.taken for rung in epoch.rungs)


def _partial(wanted: Fraction, left: Fraction, terms: Terms) -> Fraction:
    quantity = min(floor_to(wanted, terms.step), left)
    # reading: what rounds to nothing is no order that a rest could join.
    if quantity > 0 and left - quantity < terms.min_quantity:
        return left
    return quantity


def move_stop(epoch: Epoch, price: Fraction, *, atr: Fraction | None, terms: Terms) -> None:
    """What was held back, break-even, ratchet and trailing, in this order."""
    held = epoch.held_stop
    if held is not None and is_stop_safe(epoch.side, held, price):
        epoch.held_stop = None
        _offer_stop(epoch, held, "stop_loss", price)
    _remember_break_even(epoch, price, terms)
    if epoch.break_even_is_due:
        _offer_stop(epoch, break_even_price(epoch, terms), "break_even", price)
    _ratchet(epoch, price, terms)
    _trail(epoch, price, atr=atr, terms=terms)


def _offer_stop(epoch: Epoch, stop: Fraction, kind: str, price: Fraction) -> None:
    """Moves the stop if that betters it and is no surprise."""
    if is_better_stop(epoch.side, stop, epoch.stop) and is_stop_safe(epoch.side, stop, price):
        epoch.stop, epoch.kind = stop, kind


def _remember_break_even(epoch: Epoch, price: Fraction, terms: Terms) -> None:
    gain = profit(epoch.side, epoch.entry, price)
    table = terms.plan.break_even
    if table is not None and table.at_r is not None and gain >= Fraction(table.at_r) * epoch.r:
        epoch.break_even_is_due = True
    if (
        table is not None
        and table.at_pct is not None
        and gain >= Fraction(table.at_pct) * epoch.entry
    ):
        epoch.break_even_is_due = True
    # reading: only a harvest that fired is one; a count restarted above zero after an add is none.
    if terms.plan.harvest is not None and epoch.harvested_once:
        epoch.break_even_is_due = True
    if terms.plan.ratchets and epoch.rungs_taken >= 1:
        epoch.break_even_is_due = True


def _ratchet(epoch: Epoch, price: Fraction, terms: Terms) -> None:
    if not terms.plan.ratchets:
        return
    taken = [rung.taken_price for rung in epoch.rungs if rung.taken_price is not None]
    if len(taken) < 2:
        return
    nearest = sorted(taken, key=lambda at: profit(epoch.side, epoch.entry, at))
    # reading: a rung's price that is not strictly before the price does not hide a lesser one.
    for at in nearest[:-1]:
        _offer_stop(epoch, at, "trailing_stop", price)


def _trail(epoch: Epoch, price: Fraction, *, atr: Fraction | None, terms: Terms) -> None:
    trailing = terms.plan.trailing
    if trailing is None:
        return
    if not epoch.trailing:
        if not _activates_trailing(epoch, price, terms):
            return
        epoch.trailing = True
        epoch.peak = price
    assert epoch.peak is not None
    epoch.peak = better_price(epoch.side, epoch.peak, price)
    if trailing.pct is not None:
        distance = Fraction(trailing.pct) * epoch.peak
    else:
        assert trailing.atr is not None
        if atr is None:
            return
        distance = Fraction(trailing.atr) * atr
    stop = price_in_loss_by(epoch.side, epoch.peak, distance)
    _offer_stop(epoch, round_stop(epoch.side, stop, terms.tick), "trailing_stop", price)


def _activates_trailing(epoch: Epoch, price: Fraction, terms: Terms) -> bool:
    trailing = terms.plan.trailing
    assert trailing is not None
    if trailing.activate == "in_profit":
        return is_in_profit(epoch.side, price, epoch.entry)
    assert trailing.value is not None
    if trailing.activate == "at_r":
        gain = profit(epoch.side, epoch.entry, price)
        return gain >= Fraction(trailing.value) * epoch.r
    return epoch.rungs_taken >= trailing.value
