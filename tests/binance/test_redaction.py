"""No key reaches a report, wherever it stands and however the message was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.messages import malformed
from reactor.binance.redaction import excerpt, redact, redact_named
from reactor.limits import EXCERPT_CHARS_MAX, REASON_CHARS_MAX

KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"
SHORT = "sim-key-7"


@pytest.mark.parametrize("key", [KEY, SHORT])
@pytest.mark.parametrize(
    "text",
    [
        '{"listenKey":"¤"}',
        '{"e":"listenKeyExpired","E":1,"listenKey":"¤',
        '{"listenKey" : "¤", "x":1}',
        '{"listen\\u004bey":"¤"}',
        '"{\\"listenKey\\":\\"¤\\"}"',
        "wss://h/private/ws?listenKey=¤&events=ALGO_UPDATE",
        '{"params":{"apiKey":"¤","signature":"¤"}}',
        "GET /fapi/v1/order?symbol=A&timestamp=1&signature=¤",
        "X-MBX-APIKEY: ¤",
        "{'api_key': '¤'}",
        '{"stream":"¤","data":{}}',
        '{"stream":"¤',
    ],
)
def test_a_key_is_found_by_its_name(text: str, key: str) -> None:
    assert key not in redact(text.replace("¤", key))
    assert key not in excerpt(text.replace("¤", key).encode())


@pytest.mark.parametrize("text", ['["¤"]', "/private/ws/¤", "got ¤.", '{"x":"¤"}', "¤"])
def test_a_real_key_is_found_by_its_looks(text: str) -> None:
    assert redact(text.replace("¤", KEY)) == text.replace("¤", "…").replace("/private/ws/…", "…")


@given(st.integers(0, 700), st.integers(0, 700))
def test_a_key_at_the_excerpts_edge_does_not_leak(before: int, cut: int) -> None:
    raw = (b"." * before + KEY.encode() + b'"}')[: before + cut]
    shown = excerpt(raw)
    assert KEY[:24] not in shown
    assert len(shown) <= EXCERPT_CHARS_MAX


def test_keys_that_shrink_do_not_pull_the_start_of_the_next_into_sight() -> None:
    raw = b",".join([KEY.encode()] * 40)
    assert set(excerpt(raw)) <= {"…", ","}


def test_what_says_what_the_message_was_stays() -> None:
    kept = '{"stream":"btcusdt@markPrice@1s","data":{"e":"CONDITIONAL_ORDER_TRIGGER_REJECT","p":"81234.50000000"}}'
    assert redact(kept) == kept
    assert (
        redact('{"stream":"ORDER_TRADE_UPDATE","data"') == '{"stream":"ORDER_TRADE_UPDATE","data"'
    )
    assert redact('{"stream":"!markPrice@arr"}') == '{"stream":"!markPrice@arr"}'


@given(st.binary(max_size=2000))
def test_an_excerpt_is_one_short_printable_line(raw: bytes) -> None:
    shown = excerpt(raw)
    assert len(shown) <= EXCERPT_CHARS_MAX
    assert shown.isprintable()


@given(st.text(max_size=1000))
def test_a_reason_is_one_short_printable_line(reason: str) -> None:
    shown = malformed(reason, b"").reason
    assert len(shown) <= REASON_CHARS_MAX
    assert shown.isprintable()


def test_an_excerpt_that_was_cut_says_so() -> None:
    assert excerpt(b"ab " * 100).endswith("…")
    assert excerpt(b"ab") == "ab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /fapi/v1/order?symbol=X&signature=a1b2&timestamp=5", "signature=…&timestamp=5"),
        ("InvalidURL: wss://fstream.binance.com/ws/" + "Kk7" * 20, "binance.com/ws/…"),
        ('{"listenKey":"abc","x":1}', '{"listenKey":"…","x":1}'),
        ("X-MBX-APIKEY: abc", "X-MBX-APIKEY: …"),
        ("/var/lib/exit-reactor/tapes/20261129T172428-0000.jsonl.zst", "exit-reactor/tapes/2026"),
        ("xr-bo3n4-YtjLNf-0001BxJE.00001000000 of /ws/btcusdt@aggTrade", "/ws/btcusdt@aggTrade"),
    ],
)
def test_what_is_named_as_a_key_goes_and_paths_stay(text: str, shown: str) -> None:
    assert shown in redact_named(text)
