"""The rules for numbers and texts, each against what it must take and what it must refuse."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance import amounts
from reactor.binance.amounts import price
from reactor.errors import DecodeError

GOOD_PRICES = [
    "1",
    "81235.10",
    "0.00000001",
    "1E-7",
    "1e-12",
    "5.",
    ".5",
    "007",
    "1e12",
    "1E+3",
    "1e3",
]
NO_DECIMALS = [
    "NaN", "nan", "sNaN", "inf", "Infinity", "-inf", "", " ", " 1", "1 ", "1_0", "1,0", "1.2.3", ".", "e5",
    "+1", "0x10", "1e", "1e5000", "\u0661", "\uff11", "1\u0660", "1\n", "1\0", "\ud800", "\x1b[31m", "٣", "½",
]  # fmt: skip
WRONG_TYPES: list[Any] = [None, True, 1, 1.5, ["1"], {"p": "1"}, b"1"]
LOOSE_IDS: list[Any] = [7, "7", None, -1, "x", []]
CONTAINERS: list[Any] = [[], {}]
NO_FLAGS: list[Any] = [1, 0, "TRUE", "", None, [], {}]
DECIMAL_RULES = [amounts.price, amounts.price_or_zero, amounts.quantity, amounts.amount]


@pytest.mark.parametrize("text", GOOD_PRICES)
def test_a_price_is_the_exact_decimal_of_its_text(text: str) -> None:
    assert price(text) == Decimal(text)


@pytest.mark.parametrize("rule", DECIMAL_RULES)
@pytest.mark.parametrize("text", NO_DECIMALS)
def test_no_rule_takes_what_is_no_plain_decimal(
    rule: Callable[[object], Decimal], text: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        rule(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("rule", DECIMAL_RULES)
@pytest.mark.parametrize("value", WRONG_TYPES)
def test_a_number_that_is_no_text_is_a_wrong_type(
    rule: Callable[[object], Decimal], value: Any
) -> None:
    with pytest.raises(DecodeError, match="not a string"):
        rule(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", 'price "NaN" is not a positive finite decimal'),
        ("-1", 'price "-1" is not a positive finite decimal'),
        ("0", 'price "0" is not a positive finite decimal'),
        ("0.000", 'price "0.000" is not a positive finite decimal'),
        ("1e308", 'price "1e308" is outside 1E-12 to 1E+12'),
        ("1e-13", 'price "1e-13" is outside 1E-12 to 1E+12'),
        ("1000000000001", 'price "1000000000001" is outside 1E-12 to 1E+12'),
        ("1" * 41, "price of 41 characters is over the limit of 40"),
        ("١", 'price "\\u0661" is not a positive finite decimal'),
    ],
)
def test_a_refused_price_says_why(text: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        price(text)
    assert str(caught.value) == reason


def test_a_price_sent_as_a_json_number_is_refused() -> None:
    with pytest.raises(DecodeError, match="price is a JSON number, not a string"):
        price(81235.1)


@given(st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12))
def test_every_price_in_bounds_survives_unchanged(value: Decimal) -> None:
    text = format(value, "f")
    assert price(text) == value
    assert str(price(text)) == str(Decimal(text))


@given(st.text(max_size=50))
def test_any_text_is_either_a_price_in_bounds_or_refused(text: str) -> None:
    try:
        value = price(text)
    except DecodeError:
        return
    assert Decimal("1e-12") <= value <= Decimal("1e12")
    assert set(text) <= set("0123456789.eE+-")
    assert float(text) == float(value)


def test_zero_means_none_where_a_price_may_be_absent() -> None:
    assert amounts.price_or_zero("0.00000") == 0
    assert not amounts.price_or_zero("-0.0").is_signed()
    assert amounts.price_or_zero("3002.10") == Decimal("3002.10")
    for text in ("-1", "1e13", "1e-13"):
        with pytest.raises(DecodeError):
            amounts.price_or_zero(text)


def test_quantities_have_no_sign_and_a_bound() -> None:
    assert amounts.quantity("0.120") == Decimal("0.120")
    assert not amounts.quantity("-0").is_signed()
    for text in ("-0.1", "1e19"):
        with pytest.raises(DecodeError, match="quantity"):
            amounts.quantity(text)


def test_amounts_keep_their_sign_and_every_digit() -> None:
    digits = "-123456789012345678.12345678901234567890"
    assert str(amounts.amount(digits)) == digits
    for text in ("-1e19", "1e19"):
        with pytest.raises(DecodeError, match="amount"):
            amounts.amount(text)


@pytest.mark.parametrize(
    "text", ["BTCUSDT", "1000SHIBUSDT", "BTCUSDT_260327", "币安人生USDT", "ÅUSDT"]
)
def test_symbols_may_be_non_ascii(text: str) -> None:
    assert amounts.symbol(text) == text


@pytest.mark.parametrize(
    "value", ["", "A" * 41, "BTC USDT", "BTC\n", "\x1b[2J", "\0", "\ud800", None, 5]
)
def test_what_is_no_symbol_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(DecodeError, match="symbol") as caught:
        amounts.symbol(value)
    assert str(caught.value).isprintable()


def test_whole_numbers_may_be_text() -> None:
    assert amounts.whole("10") == amounts.whole(10) == 10
    for value in (True, -1, 2**63, 1.0, "1.0", "-1", "", "9" * 19, None, [1]):
        with pytest.raises(DecodeError, match="whole number"):
            amounts.whole(value)


def test_times_end_with_the_century() -> None:
    assert amounts.time_ms("1795003600000") == 1_795_003_600_000
    with pytest.raises(DecodeError, match="year 2100"):
        amounts.time_ms(1_795_003_600_000_000)


def test_what_nothing_depends_on_is_read_loosely() -> None:
    assert [amounts.loose_id(v) for v in LOOSE_IDS] == [7, 7, 0, 0, 0, 0]
    assert [amounts.loose_text(v) for v in ("a", None, 5, 0.5)] == ["a", "", "5", "0.5"]
    for value in CONTAINERS:
        with pytest.raises(DecodeError, match="where a text belongs"):
            amounts.loose_text(value)


def test_flags_may_be_text() -> None:
    assert [amounts.flag(v) for v in (True, False, "true", "false")] == [True, False, True, False]
    for value in NO_FLAGS:
        with pytest.raises(DecodeError, match="true or false"):
            amounts.flag(value)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("cross", "cross"), ("crossed", "cross"), ("CROSSED", "cross"), ("CROSS", "cross"),
     ("isolated", "isolated"), ("ISOLATED", "isolated"), ("PORTFOLIO", "PORTFOLIO"), (None, "")],
)  # fmt: skip
def test_margin_types_have_one_spelling(sent: Any, meant: str) -> None:
    assert amounts.margin_type(sent) == meant
