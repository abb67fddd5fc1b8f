"""No credential reaches a tape, wherever it stood, and nothing else is changed."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.shell.redact import may_hold_secret, redact
from reactor.shell.tape import CHANNELS, Channel, TapeWriter, open_tape

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
LISTEN = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


class TestByName:
    @pytest.mark.parametrize(
        ("message", "kept"),
        [
            ('{"apiKey":"KEY"}', '{"apiKey":"…"}'),
            ('{"a":[{"listenKey" : "KEY" ,"b":1.50}]}', '{"a":[{"listenKey" : "…" ,"b":1.50}]}'),
            ('{"signature":12345,"s":"X"}', '{"signature":"…","s":"X"}'),
            ('{"signature":{"v":"KEY","w":[1,2]},"s":"X"}', '{"signature":"…","s":"X"}'),
            ('{"signature":["KEY",{"a":{}}]}', '{"signature":"…"}'),
            ('{"APIKEY":"KEY","Signature":""}', '{"APIKEY":"…","Signature":"…"}'),
            ('{"headers":{"X-MBX-APIKEY":"KEY"}}', '{"headers":{"X-MBX-APIKEY":"…"}}'),
            ('{"headers":{"x-mbx-apikey":"KEY"}}', '{"headers":{"x-mbx-apikey":"…"}}'),
            ('[["X-MBX-APIKEY","KEY"],["a","b"]]', '[["X-MBX-APIKEY","…"],["a","b"]]'),
            (r'{"\u0061piKey":"KEY"}', r'{"\u0061piKey":"…"}'),
            (
                '{"url":"/fapi/v1/order?a=1&signature=KEY"}',
                '{"url":"/fapi/v1/order?a=1&signature=…"}',
            ),
            ('{"url":"?listenKey=KEY&events=A/B"}', '{"url":"?listenKey=…&events=A/B"}'),
            ('{"u":"?listenKey=KEY&listenKey=KEY2&x=1"}', '{"u":"?listenKey=…&listenKey=…&x=1"}'),
            ('{"u":"signature=ab%2Bc%3D%3D&x=1"}', '{"u":"signature=…&x=1"}'),
            (r'{"u":"signature=ab\/cd+e==&x=1"}', '{"u":"signature=…&x=1"}'),
            ('{"u":"a%3D1%26signature%3DKEY%26b"}', '{"u":"a%3D1%26signature%3D…%26b"}'),
            (r'{"body":"{\"apiKey\":\"KEY\",\"b\":1}"}', r'{"body":"{\"apiKey\":\"…\",\"b\":1}"}'),
            (
                r'{"b":"{\\\"listenKey\\\": \\\"KEY\\\"}"}',
                r'{"b":"{\\\"listenKey\\\": \\\"…\\\"}"}',
            ),
            ('{"b":"%7B%22apiKey%22%3A%22KEY%22%7D"}', '{"b":"%7B%22apiKey%22%3A%22…%22%7D"}'),
            ('{"log":"X-MBX-APIKEY: KEY\\r\\nHost: x"}', '{"log":"X-MBX-APIKEY: …\\r\\nHost: x"}'),
            (
                "{\"log\":\"{'X-MBX-APIKEY': 'KEY', 'a': 1}\"}",
                "{\"log\":\"{'X-MBX-APIKEY': '…', 'a': 1}\"}",
            ),
            ("{\"log\":\"{b'X-MBX-APIKEY': b'KEY'}\"}", "{\"log\":\"{b'X-MBX-APIKEY': b'…'}\"}"),
            ('"apiKey=KEY"', '"apiKey=…"'),
        ],
    )
    @pytest.mark.parametrize("channel", CHANNELS)
    def test_values_go_and_the_rest_stays(self, message: str, kept: str, channel: Channel) -> None:
        raw = message.replace("KEY2", LISTEN).replace('"KEY', f'"{KEY}').replace("=KEY", f"={KEY}")
        raw = raw.replace(": KEY", f": {KEY}").replace("'KEY", f"'{KEY}").replace("DKEY", f"D{KEY}")
        raw = raw.replace("22KEY", f"22{KEY}")

        assert may_hold_secret(raw.encode(), channel)
        assert redact(raw.encode(), channel).decode() == kept
        assert redact(kept.encode(), channel).decode() == kept

    @pytest.mark.parametrize(
        "message",
        [
            '{"code":-1102,"msg":"Mandatory parameter \'signature\' was not sent, was empty."}',
            '{"code":-1022,"msg":"Signature for this request is not valid."}',
            '{"code":-1125,"msg":"This listenKey does not exist."}',
            '{"stream":"keyusdt@aggTrade","data":{"e":"aggTrade","s":"KEYUSDT","p":"1.0"}}',
            '{"method":"PUT","path":"/fapi/v1/listenKey","params":{},"status":200,"body":{}}',
            '{"a":"\\\\","b":"\\u00e9","c":{},"d":[],"e":[[]],"f":null,"g":-1.5e-7}',
        ],
    )
    @pytest.mark.parametrize("channel", CHANNELS)
    def test_talk_about_keys_stays(self, message: str, channel: Channel) -> None:
        if channel == "private" and '"stream"' in message:
            pytest.skip("a stream's name is a listen key there")
        assert redact(message.encode(), channel).decode() == message


class TestByPlace:
    @pytest.mark.parametrize(
        ("message", "kept"),
        [
            ('{"stream":"LISTEN","data":{"e":"X","stream":"own"}}', '{"stream":"…","data":{"e":"X","stream":"own"}}'),
            ('{"data":{"e":"X"}, "stream" : "short"}', '{"data":{"e":"X"}, "stream" : "…"}'),
            ('{"method":"SUBSCRIBE","params":["LISTEN","short"],"id":1}', '{"method":"SUBSCRIBE","params":["…","…"],"id":1}'),
            ('{"result":["LISTEN"],"id":3}', '{"result":["…"],"id":3}'),
            ('{"stream":"ORDER_TRADE_UPDATE","data":{}}', '{"stream":"ORDER_TRADE_UPDATE","data":{}}'),
            ('{"stream":"ORDERTRADEUPDATE","data":{}}', '{"stream":"…","data":{}}'),
            ('{"result":null,"id":3}', '{"result":null,"id":3}'),
            (r'"{\"stream\":\"LISTEN\",\"data\":{\"e\":\"cut"', r'"{\"stream\":\"…\",\"data\":{\"e\":\"cut"'),
        ],
    )  # fmt: skip
    def test_private_frames(self, message: str, kept: str) -> None:
        raw = message.replace("LISTEN", LISTEN).encode()

        assert may_hold_secret(raw, "private")
        assert redact(raw, "private").decode() == kept

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("wss://fstream.binance.com/private/ws/short", "wss://fstream.binance.com/private/ws/…"),
            ("wss://h/private/stream?streams=short&x=1", "wss://h/private/stream?streams=…&x=1"),
            ("wss://h/ws/LISTEN", "wss://h/ws/…"),
            ("wss://h/stream?streams=btcusdt@aggTrade/LISTEN", "wss://h/stream?streams=btcusdt@aggTrade/…"),
            ("wss://h/market/ws/btcusdt@aggTrade", "wss://h/market/ws/btcusdt@aggTrade"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("channel", ["link", "private", "control", "rest", "order"])
    def test_urls(self, url: str, kept: str, channel: Channel) -> None:
        raw = json.dumps({"url": url.replace("LISTEN", LISTEN)}).encode()

        assert may_hold_secret(raw, channel)
        assert json.loads(redact(raw, channel))["url"] == kept

    def test_a_market_stream_keeps_its_name(self) -> None:
        frame = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","apiKey":"x"}}'
        assert redact(frame, "market") == frame.replace(b'"x"', '"…"'.encode())


secret_values = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=16, max_size=80
)
names = st.sampled_from(["apiKey", "signature", "listenKey", "X-MBX-APIKEY", "APIKEY", "listenkey"])


def _placed(place: str, name: str, secret: str) -> str:
    inner = json.dumps({name: secret, "b": "kept"})
    return {
        "key": json.dumps({"a": [{"deep": {name: secret}}], "b": "kept"}),
        "pretty": json.dumps({name: [secret, {"x": secret}], "b": "kept"}, indent=2),
        "query": json.dumps({"url": f"https://h/p?x=1&{name}={secret}&b=kept"}),
        "query end": json.dumps({"b": "kept", "url": f"?{name}={secret}"}),
        "quoted query": json.dumps({"url": quote(f"?{name}={secret}&b=kept", safe="")}),
        "header text": json.dumps({"log": f"GET / HTTP/1.1\r\n{name}: {secret}\r\nb: kept\r\n"}),
        "json in a string": json.dumps({"body": inner}),
        "json in json in a string": json.dumps({"body": json.dumps({"body": inner})}),
        "percent json": json.dumps({"body": quote(inner)}),
        "pair": json.dumps([[name, secret], ["b", "kept"]]),
        "cut": json.dumps({"b": "kept", name: secret})[:-2],
        "python": json.dumps(str({name: secret, "b": "kept"})),
        "plain text": f"{name}={secret}&b=kept",
    }[place]


places = st.sampled_from(
    ["key", "pretty", "query", "query end", "quoted query", "header text", "json in a string",
     "json in json in a string", "percent json", "pair", "cut", "python", "plain text"]
)  # fmt: skip


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(st.tuples(places, names, secret_values), min_size=1, max_size=4),
    channel=st.sampled_from(CHANNELS),
)
def test_no_key_reaches_the_file(
    tmp_path: Path, entries: list[tuple[str, str, str]], channel: Channel
) -> None:
    content, lines = _recorded(
        tmp_path, channel, [_placed(*entry).encode() for entry in entries], frozenset()
    )

    for _, _, secret in entries:
        assert secret.encode() not in content
    assert len(lines) == len(entries)
    for line in lines:
        assert b"kept" in line
        assert "…".encode() in line


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    secret=secret_values,
    shape=st.sampled_from(
        [
            '{"stream":"%s","data":{"e":"kept"}}',
            '{"url":"wss://h/private/ws/%s","b":"kept"}',
            '{"note":"key %s was refused","b":"kept"}',
            '{"%s":"kept"}',
            "kept %s",
        ]
    ),
)
def test_a_registered_secret_goes_wherever_it_stands(
    tmp_path: Path, secret: str, shape: str
) -> None:
    for channel in CHANNELS:
        if channel in {"market", "public"}:
            continue
        content, lines = _recorded(
            tmp_path, channel, [(shape % secret).encode()], frozenset({secret.encode()})
        )
        assert secret.encode() not in content
        assert b"kept" in lines[0]


def test_a_digit_secret_leaves_numbers_whole(tmp_path: Path) -> None:
    _, lines = _recorded(
        tmp_path, "order", [b'{"i":1234567,"s":"a1234567b"}'], frozenset({b"123456"})
    )
    assert json.loads(lines[0])["m"] == {"i": 1234567, "s": "a…7b"}


def test_the_header_is_cleaned_too(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    TapeWriter(
        path,
        created_ns=0,
        environment="demo",
        extra={"config": {"apiKey": KEY, "hook": f"https://h/{LISTEN[:20]}"}},
        secrets=frozenset({LISTEN[:20].encode()}),
    ).close()

    content = path.read_text()
    assert KEY not in content
    assert LISTEN[:20] not in content
    assert open_tape(path).header.config == {"apiKey": "…", "hook": "https://h/…"}


def _recorded(
    directory: Path, channel: Channel, messages: list[bytes], secrets: frozenset[bytes]
) -> tuple[bytes, list[bytes]]:
    path = directory / "tape.jsonl.zst"
    path.unlink(missing_ok=True)
    with TapeWriter(path, created_ns=0, environment="demo", secrets=secrets) as writer:
        for number, message in enumerate(messages):
            assert writer.write(number, channel, message)
    tape = open_tape(path)
    lines = [raw for _, raw in tape.lines()]
    assert len(list(tape.messages())) == len(messages)
    assert tape.damage == []
    return zstd.decompress(path.read_bytes()), lines
