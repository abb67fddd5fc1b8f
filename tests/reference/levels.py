"""The prices that a plan yields for one position, and what happens to them when they are computed anew."""

from fractions import Fraction

from reactor.core.plan import Target
from reference.epoch import Epoch, Rung
from reference.sides import (
    is_at_target,
    is_better_stop,
    is_stop_safe,
    price_in_loss_by,
    price_in_profit_by,
    profit,
    round_stop,
    round_target,
)
from reference.terms import Terms

DEFAULT_BREAK_EVEN_OFFSET = Fraction(1, 1000)


def set_initial_levels(epoch: Epoch, terms: Terms) -> None:
    decide_initial_volatility(epoch, terms)
    epoch.r = stop_distance(epoch, terms)
    epoch.stop = initial_stop(epoch, terms)
    for rung in epoch.rungs:
        rung.price = target_price(epoch, rung.target, terms)
        rung.distance = target_distance(epoch, rung.target, terms) or Fraction(0)


def decide_initial_volatility(epoch: Epoch, terms: Terms) -> None:
    table = terms.plan.high_volatility
    if table is None or epoch.atr is None or epoch.volatility_is_known:
        return
    epoch.volatility_is_known = True
    epoch.in_high_volatility = epoch.atr >= Fraction(table.threshold) * epoch.entry


def stop_distance(epoch: Epoch, terms: Terms) -> Fraction:
    """R: the distance of the initial stop before rounding."""
    stop = terms.plan.stop
    fallback = Fraction(stop.fallback_pct) * epoch.entry
    if stop.pct is not None:
        return Fraction(stop.pct) * epoch.entry
    if epoch.atr is None:
        return fallback
    assert stop.atr is not None
    multiple = Fraction(stop.atr)
    if terms.plan.high_volatility is not None and epoch.in_high_volatility:
        multiple = Fraction(terms.plan.high_volatility.stop_atr)
    distance = multiple * epoch.atr
    if epoch.side == "LONG" and distance >= epoch.entry:
        return fallback
    return distance


def initial_stop(epoch: Epoch, terms: Terms) -> Fraction:
    exact = price_in_loss_by(epoch.side, epoch.entry, epoch.r)
    return round_stop(epoch.side, exact, terms.tick)


def target_distance(epoch: Epoch, target: Target, terms: Terms) -> Fraction | None:
    if target.pct is not None:
        distance = Fraction(target.pct) * epoch.entry
    elif target.r is not None:
        distance = Fraction(target.r) * epoch.r
    else:
        assert target.atr is not None
        if epoch.atr is None:
            return None
        distance = Fraction(target.atr) * epoch.atr
    distance *= epoch.ladder_scale
    ladder = terms.plan.ladder
    if ladder is not None and ladder.clamp_pct is not None:
        nearest, farthest = ladder.clamp_pct
        distance = max(distance, Fraction(nearest) * epoch.entry)
        distance = min(distance, Fraction(farthest) * epoch.entry)
    if terms.plan.high_volatility is not None and epoch.has_shrunk:
        distance *= Fraction(terms.plan.high_volatility.target_scale)
    return distance


def target_price(epoch: Epoch, target: Target, terms: Terms) -> Fraction | None:
    distance = target_distance(epoch, target, terms)
    if distance is None:
        return None
    price = price_in_profit_by(epoch.side, epoch.entry, distance)
    return round_target(epoch.side, price, terms.tick)


def break_even_price(epoch: Epoch, terms: Terms) -> Fraction:
    offset = DEFAULT_BREAK_EVEN_OFFSET
    table = terms.plan.break_even
    if table is not None and table.offset_pct is not None:
        offset = Fraction(table.offset_pct)
    exact = price_in_profit_by(epoch.side, epoch.entry, offset * epoch.entry)
    return round_stop(epoch.side, exact, terms.tick)


def recompute(
    epoch: Epoch, price: Fraction | None, terms: Terms, *, tick_follows: bool = False
) -> None:
    """Stop, R and rungs anew; no price move caused it, so nothing of it may close the position."""
    epoch.r = stop_distance(epoch, terms)
    stop = initial_stop(epoch, terms)
    if is_better_stop(epoch.side, stop, epoch.stop):
        # reading: what a candle makes that a tick closed moves among that tick's own stop moves.
        if not tick_follows and (price is None or is_stop_safe(epoch.side, stop, price)):
            epoch.stop, epoch.kind = stop, "stop_loss"
        elif epoch.held_stop is None or is_better_stop(epoch.side, stop, epoch.held_stop):
            epoch.held_stop = stop
    recompute_rungs(epoch, price, terms)


def recompute_rungs(epoch: Epoch, price: Fraction | None, terms: Terms) -> None:
    # reading: the governor's shrinking is held back like every other recomputation.
    for rung in epoch.rungs:
        if rung.taken:
            continue
        target = target_price(epoch, rung.target, terms)
        if target is None:
            rung.price = rung.held_price = None
        elif price is not None and is_at_target(epoch.side, price, target):
            rung.held_price = target
            rung.held_distance = target_distance(epoch, rung.target, terms) or Fraction(0)
            if target == rung.price:
                rung.distance = rung.held_distance
        else:
            rung.price, rung.held_price = target, None
            rung.distance = target_distance(epoch, rung.target, terms) or Fraction(0)


def let_held_rungs_in(epoch: Epoch, price: Fraction) -> None:
    for rung in epoch.rungs:
        held = rung.held_price
        if held is not None and not rung.taken and not is_at_target(epoch.side, price, held):
            rung.price, rung.held_price = held, None
            rung.distance = rung.held_distance


def nearest_first(epoch: Epoch) -> list[Rung]:
    """The rungs that have a price, nearest first; those on one price as they lay before rounding."""

    def place(rung: Rung) -> tuple[Fraction, Fraction]:
        assert rung.price is not None
        return profit(epoch.side, epoch.entry, rung.price), rung.distance

    return sorted((rung for rung in epoch.rungs if rung.price is not None), key=place)
