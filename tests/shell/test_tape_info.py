"""What `tape info` finds on a tape."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from reactor.shell.tape import Tape, TapeWriter, open_tape
from reactor.shell.tape_info import STREAMS_MAX, StreamSummary, TapeSummary, summarize
from reactor.shell.tape_info_tables import render

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def tape_of(directory: Path, lines: Sequence[tuple[float, str, Any]], **header: Any) -> Tape:
    path = directory / "tape.jsonl"
    with path.open("w") as file:
        file.write(json.dumps({"tape": 1, **header}) + "\n")
        for seconds, way, message in lines:
            channel, _, direction = way.partition(" ")
            line = {"t": T0 + int(seconds * SECOND), "c": channel, "m": message}
            if direction:
                line["d"] = direction
            file.write(json.dumps(line) + "\n")
    return open_tape(path)


def streams_of(summary: TapeSummary) -> dict[str, StreamSummary]:
    return {stream.name: stream for stream in summary.streams}


def shown(summary: TapeSummary, *, every_stream: bool = False) -> str:
    page = io.StringIO()
    Console(file=page, width=160).print(render(summary, every_stream=every_stream))
    return page.getvalue()


class TestStreams:
    def test_names_from_envelopes_and_from_events(self, tmp_path: Path) -> None:
        trade = {"e": "trade", "s": "ETHUSDT", "t": 1}
        tape = tape_of(
            tmp_path,
            [
                (0, "market", {"stream": "btcusdt@aggTrade", "data": {"e": "aggTrade", "s": "BTCUSDT"}}),
                (1, "market", {"e": "aggTrade", "s": "BTCUSDT", "a": 1}),
                (2, "market", {"e": "markPriceUpdate", "s": "BTCUSDT"}),
                (3, "public", {"e": "bookTicker", "s": "BTCUSDT", "a": "1.0", "u": 5}),
                (4, "public", trade),
                (5, "market", {"e": "kline", "s": "BTCUSDT", "k": {"i": "5m", "t": 1}}),
                (6, "market", {"stream": "!markPrice@arr@1s", "data": [{"s": "AUSDT"}, {"s": "BUSDT"}]}),
                (7, "market", [{"e": "markPriceUpdate", "s": "CUSDT"}]),
                (8, "private", {"e": "ORDER_TRADE_UPDATE", "o": {"s": "DUSDT"}}),
                (9, "private", {"stream": "…", "data": {"e": "ACCOUNT_UPDATE", "a": {"P": [{"s": "EUSDT"}]}}}),
                (10, "private", {"e": "CONDITIONAL_ORDER_TRIGGER_REJECT", "or": {"s": "FUSDT"}}),
                (11, "rest", {"method": "GET", "path": "/fapi/v1/klines", "params": {"symbol": "GUSDT", "interval": "5m"}}),
                (12, "rest", {"method": "GET", "path": "/fapi/v1/time", "params": {}}),
                (13, "order out", {"method": "order.place", "params": {"symbol": "HUSDT"}}),
                (14, "order", {"id": 1, "status": 200, "result": {"symbol": "IUSDT"}}),
                (15, "link", {"up": True}),
                (16, "market", {"result": None, "id": 1}),
                (17, "market", "not a frame"),
                (18, "market", [1, 2]),
                (19, "market", {"e": 5, "s": []}),
                (20, "market", 7),
            ],
        )  # fmt: skip

        summary = summarize(tape)

        assert {name: stream.messages for name, stream in streams_of(summary).items()} == {
            "btcusdt@aggTrade": 2,
            "btcusdt@markPrice": 1,
            "btcusdt@bookTicker": 1,
            "ethusdt@trade": 1,
            "btcusdt@kline_5m": 1,
            "!markPrice@arr@1s": 1,
            "!markPrice@arr": 1,
            "ORDER_TRADE_UPDATE": 1,
            "ACCOUNT_UPDATE": 1,
            "CONDITIONAL_ORDER_TRIGGER_REJECT": 1,
            "GET /fapi/v1/klines GUSDT 5m": 1,
            "GET /fapi/v1/time": 1,
            "order.place": 1,
            "order": 1,
            "link": 1,
            "(no event)": 5,
        }
        assert summary.symbols == [
            *("AUSDT", "BTCUSDT", "BUSDT", "CUSDT", "DUSDT", "ETHUSDT", "EUSDT", "FUSDT"),
            *("GUSDT", "HUSDT", "IUSDT"),
        ]
        assert summary.channels == {
            "link": 1,
            "market": 11,
            "order": 1,
            "order out": 1,
            "private": 3,
            "public": 2,
            "rest": 2,
        }
        assert summary.messages == 21
        assert (summary.first_ns, summary.last_ns) == (T0, T0 + 20 * SECOND)
        assert summary.damage_count == 0

    def test_silences_and_gaps(self, tmp_path: Path) -> None:
        def agg(id_: int, event_ms: int) -> dict[str, Any]:
            return {"e": "aggTrade", "s": "BTCUSDT", "a": id_, "E": event_ms}

        tape = tape_of(
            tmp_path,
            [
                (0, "market", agg(10, 1)),
                (1, "market", agg(11, 2)),
                (6, "market", agg(15, 3)),
                (7, "market", agg(15, 3)),
                (10, "market", agg(14, 1)),
                (10, "market", agg(16, 2)),
                (12, "public", {"e": "trade", "s": "BTCUSDT", "t": 5}),
                (20, "public", {"e": "trade", "s": "BTCUSDT", "t": 8}),
            ],
        )

        streams = streams_of(summarize(tape))

        trades = streams["btcusdt@aggTrade"]
        assert [(gap.duration_ns / SECOND, (gap.start_ns - T0) / SECOND) for gap in trades.silences] == [
            (5, 1),
            (3, 7),
            (1, 6),
        ]  # fmt: skip
        assert (trades.id_gaps, trades.ids_missing, trades.ids_backwards) == (2, 4, 2)
        assert trades.events_backwards == 1
        raw = streams["btcusdt@trade"]
        assert (raw.id_gaps, raw.ids_missing) == (1, 2)

    def test_time_running_backwards(self, tmp_path: Path) -> None:
        frame = {"e": "trade", "s": "BTCUSDT"}
        tape = tape_of(tmp_path, [(at, "public", frame) for at in (5, 3, 9, 8.5, 10)])

        summary = summarize(tape)

        assert (summary.backwards, summary.backwards_max_ns) == (2, 2 * SECOND)
        assert (summary.first_ns, summary.last_ns) == (T0 + 3 * SECOND, T0 + 10 * SECOND)
        assert "runs backwards 2 times, by at most 2.000 s" in shown(summary)

    def test_the_number_of_streams_is_bounded(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.jsonl.zst"
        with TapeWriter(path, created_ns=0, environment="x") as writer:
            for number in range(STREAMS_MAX + 50):
                writer.write(number, "market", b'{"stream":"s%d","data":{"e":"x"}}' % number)

        summary = summarize(open_tape(path))

        assert len(summary.streams) == STREAMS_MAX + 1
        assert streams_of(summary)["(further streams)"].messages == 50


class TestWhatIsShown:
    def test_header_and_damage(self, tmp_path: Path) -> None:
        tape = tape_of(
            tmp_path,
            [(0, "market", {"stream": "[red]x", "data": {"e": "x"}}), (1, "market", {})],
            created="2026-11-20T00:00:00Z",
            environment="demo",
            config={"a": 1},
            plans={"trend_follow": "…"},
            journal=[],
        )
        with tape.path.open("ab") as file:
            file.write(b"broken\n" * 12)

        summary = summarize(open_tape(tape.path))
        text = shown(summary)

        assert "2026-11-20T00:00:00Z, demo" in text
        assert "config, plan trend_follow, journal" in text
        assert "[red]x" in text
        assert summary.damage_count == 12
        assert "12 lines" in text
        assert "not JSON" in text
        assert "and 2 more" in text

    def test_an_empty_tape(self, tmp_path: Path) -> None:
        summary = summarize(tape_of(tmp_path, []))
        assert summary.messages == 0
        assert "messages only" in shown(summary)

    def test_the_busiest_streams_come_first_to_be_shown(self, tmp_path: Path) -> None:
        lines = [
            (at, "market", {"stream": f"s{number}@x", "data": {"e": "x"}})
            for number in range(60)
            for at in range(1 + number // 50)
        ]
        summary = summarize(tape_of(tmp_path, lines))

        some, every = shown(summary), shown(summary, every_stream=True)
        assert "s59@x" in some
        assert "the busiest 40 of 60 streams" in some
        assert all(f"s{number}@x" in every for number in range(60))
