"""Every comparison that a LONG and a SHORT make differently, written out twice."""

import math
from fractions import Fraction
from typing import Literal

Side = Literal["LONG", "SHORT"]


def other_side(side: Side) -> Side:
    if side == "LONG":
        return "SHORT"
    return "LONG"


def price_in_profit_by(side: Side, entry: Fraction, distance: Fraction) -> Fraction:
    if side == "LONG":
        return entry + distance
    return entry - distance


def price_in_loss_by(side: Side, entry: Fraction, distance: Fraction) -> Fraction:
    if side == "LONG":
        return entry - distance
    return entry + distance


def profit(side: Side, entry: Fraction, price: Fraction) -> Fraction:
    if side == "LONG":
        return price - entry
    return entry - price


def is_through_stop(side: Side, price: Fraction, stop: Fraction) -> bool:
    if side == "LONG":
        return price <= stop
    return price >= stop


def is_at_target(side: Side, price: Fraction, target: Fraction) -> bool:
    if side == "LONG":
        return price >= target
    return price <= target


def is_stop_safe(side: Side, stop: Fraction, price: Fraction) -> bool:
    if side == "LONG":
        return stop < price
    return stop > price


def is_better_stop(side: Side, stop: Fraction, than: Fraction) -> bool:
    if side == "LONG":
        return stop > than
    return stop < than


def is_worse_than_entry(side: Side, stop: Fraction, entry: Fraction) -> bool:
    if side == "LONG":
        return stop < entry
    return stop > entry


def is_in_profit(side: Side, price: Fraction, entry: Fraction) -> bool:
    if side == "LONG":
        return price > entry
    return price < entry


def better_price(side: Side, one: Fraction, two: Fraction) -> Fraction:
    if side == "LONG":
        return max(one, two)
    return min(one, two)


def floor_to(value: Fraction, grain: Fraction | None) -> Fraction:
    if grain is None:
        return value
    return math.floor(value / grain) * grain


def ceil_to(value: Fraction, grain: Fraction | None) -> Fraction:
    if grain is None:
        return value
    return math.ceil(value / grain) * grain


def round_stop(side: Side, stop: Fraction, tick: Fraction | None) -> Fraction:
    """Away from the price: a LONG's stop is below it, a SHORT's above."""
    if side == "LONG":
        return floor_to(stop, tick)
    return ceil_to(stop, tick)


def round_target(side: Side, target: Fraction, tick: Fraction | None) -> Fraction:
    """Away from the entry: never closer than computed."""
    if side == "LONG":
        return ceil_to(target, tick)
    return floor_to(target, tick)
