"""Exact arithmetic against fractions: nothing may be lost, and every rounding goes where it says."""

from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.core.exact import (
    EXACT,
    add,
    ceil_to,
    divide,
    floor_to,
    from_float,
    multiply,
    nearest,
    places_of,
    subtract,
    text,
)

decimals = st.decimals(
    min_value=Decimal("-1e15"), max_value=Decimal("1e15"), allow_nan=False, places=12
)
steps = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(1, 9999),
    st.integers(-10, 3),
)


@given(decimals, decimals)
def test_sums_differences_and_products_are_exact(a: Decimal, b: Decimal) -> None:
    assert Fraction(add(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(subtract(a, b)) == Fraction(a) - Fraction(b)
    assert Fraction(multiply(a, b)) == Fraction(a) * Fraction(b)


def test_a_product_longer_than_pythons_default_precision_keeps_every_digit() -> None:
    a, b = Decimal("88126.16123456789012345"), Decimal("100.85712345678901")
    assert Fraction(multiply(a, b)) == Fraction(a) * Fraction(b)
    assert Fraction(a * b) != Fraction(a) * Fraction(b)


@given(decimals, decimals.filter(bool))
def test_a_quotient_has_fifty_digits(a: Decimal, b: Decimal) -> None:
    exact = Fraction(a) / Fraction(b)
    assert abs(Fraction(divide(a, b)) - exact) <= abs(exact) * Fraction(1, 10**49)


@given(decimals, steps)
def test_floor_is_the_largest_multiple_not_above(value: Decimal, step: Decimal) -> None:
    rounded = floor_to(value, step)
    assert Fraction(rounded) % Fraction(step) == 0
    assert Fraction(rounded) <= Fraction(value) < Fraction(rounded) + Fraction(step)


@given(decimals, steps)
def test_ceil_is_the_smallest_multiple_not_below(value: Decimal, step: Decimal) -> None:
    rounded = ceil_to(value, step)
    assert Fraction(rounded) % Fraction(step) == 0
    assert Fraction(rounded) - Fraction(step) < Fraction(value) <= Fraction(rounded)


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        ("87974.87435", "0.1", "87974.8", "87974.9"),
        ("-87974.87435", "0.1", "-87974.9", "-87974.8"),
        ("99700", "0.1", "99700", "99700"),
        ("-99700.0", "0.1", "-99700", "-99700"),
        ("0.1237", "0.001", "0.123", "0.124"),
        ("0.0004", "0.001", "0", "0.001"),
        ("-0.0004", "0.001", "-0.001", "0"),
        ("12", "5", "10", "15"),
        ("0", "0.5", "0", "0"),
    ],
)
def test_rounding_by_hand(value: str, step: str, down: str, up: str) -> None:
    assert floor_to(Decimal(value), Decimal(step)) == Decimal(down)
    assert ceil_to(Decimal(value), Decimal(step)) == Decimal(up)


@given(decimals)
def test_without_a_step_nothing_is_rounded(value: Decimal) -> None:
    assert floor_to(value, None) is value
    assert ceil_to(value, None) is value


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_an_atr_enters_as_the_decimal_of_its_shortest_text(value: float) -> None:
    assert str(from_float(value)) == str(Decimal(repr(value)))
    assert float(from_float(value)) == value


def test_a_double_does_not_drag_its_binary_tail_in() -> None:
    assert from_float(0.1) == Decimal("0.1")
    assert Fraction(0.1) != Fraction(Decimal("0.1"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.5", "0.5"),
        ("0.50", "0.5"),
        ("97000", "97000"),
        ("9.7E+4", "97000"),
        ("1E-8", "0.00000001"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0E+7", "0"),
        ("-12.30", "-12.3"),
    ],
)
def test_text_is_what_people_and_exchanges_write(value: str, written: str) -> None:
    assert text(Decimal(value)) == written


@given(decimals)
def test_text_loses_nothing(value: Decimal) -> None:
    written = text(value)
    assert Decimal(written) == value
    assert "E" not in written
    assert written != "-0"


@given(decimals | decimals.map(lambda value: value.scaleb(-20)), st.integers(-12, 3))
def test_cutting_places_off_is_rounding_down_to_a_power_of_ten(
    value: Decimal, exponent: int
) -> None:
    step = Decimal(1).scaleb(exponent)
    places = places_of(step)
    assert places is step
    cut = value.quantize(places, ROUND_FLOOR, EXACT)
    assert cut.as_tuple() == floor_to(value, step).as_tuple()


@pytest.mark.parametrize("step", ["0.5", "0.10", "25", "12E-3", None])
def test_other_steps_are_no_places(step: str | None) -> None:
    assert places_of(None if step is None else Decimal(step)) is None


@given(decimals | decimals.map(lambda value: value.scaleb(-300)))
def test_the_nearest_double_is_what_float_says(value: Decimal) -> None:
    assert nearest(value) == float(value)


@given(
    st.integers(-(10**30), 10**30),
    st.integers(-40, 12),
)
def test_a_text_is_plain_and_says_the_same(digits: int, exponent: int) -> None:
    value = Decimal(digits).scaleb(exponent)
    plain = text(value)
    assert Decimal(plain) == value
    assert plain == (format(EXACT.normalize(value), "f") if value else "0")
    assert not ({"E", "+"} & set(plain))
