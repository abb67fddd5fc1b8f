"""Other programs' recordings become tapes: real files, and every format's corners."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tape_recordings import recording

from reactor.errors import BadInputError, RecordingError, TapeError
from reactor.shell.importers.source import ImportOptions
from reactor.shell.tape import TapeLine, open_tape
from reactor.shell.tape_import import IMPORTERS, ImportReport, import_recordings
from reactor.shell.tape_info import TapeSummary, summarize


def imported(
    source: str, files: list[Path], out: Path, **options: Any
) -> tuple[ImportReport, list[TapeLine]]:
    report = import_recordings(source, files, out, options=ImportOptions(**options))
    tape = open_tape(out)
    lines = [line for _, line in tape.messages()]
    assert tape.damage == []
    assert len(lines) == report.messages
    return report, lines


def frames(lines: list[TapeLine]) -> list[Any]:
    return [json.loads(bytes(line.m)) for line in lines]


def text_file(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    return path


def summary_of(path: Path) -> TapeSummary:
    return summarize(open_tape(path))


def stream_counts(summary: TapeSummary) -> dict[str, int]:
    return {stream.name: stream.messages for stream in summary.streams}


class TestRealRecordings:
    def test_hftbacktest(self, tmp_path: Path) -> None:
        source = recording("ws_hftbacktest", "btcusdt_20240808.gz")
        out = tmp_path / "tape.jsonl.zst"

        report, lines = imported("hftbacktest", [source], out)

        assert report.messages == 93_954
        assert report.dropped == {}
        with gzip.open(source) as file:
            for line, original in zip(lines, file, strict=True):
                t_ns, _, frame = original.rstrip(b"\n").partition(b" ")
                assert line.t == int(t_ns)
                if line.c == "rest":
                    rest = json.loads(bytes(line.m))
                    assert rest["path"] == "/fapi/v1/depth"
                    assert rest["params"] == {"symbol": "BTCUSDT"}
                    assert rest["body"] == json.loads(frame)
                else:
                    assert bytes(line.m) == frame
        summary = summary_of(out)
        assert stream_counts(summary) == {
            "btcusdt@bookTicker": 66_089,
            "btcusdt@depth@0ms": 6_551,
            "btcusdt@trade": 21_313,
            "GET /fapi/v1/depth": 1,
        }
        assert summary.symbols == ["BTCUSDT"]
        assert all(stream.id_gaps == 0 for stream in summary.streams)
        assert summary.damage_count == 0

    def test_cryptofeed(self, tmp_path: Path) -> None:
        files = [
            recording("ws_cryptofeed", "2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz"),
            recording("ws_cryptofeed", "2021-07_BINANCE_FUTURES.0_exchangeInfo.txt.gz"),
        ]
        out = tmp_path / "tape.jsonl.gz"

        report, lines = imported("cryptofeed", files, out)

        assert report.dropped == {}
        assert report.skipped == {"header lines": 2}
        assert report.order == "merged by receive time"
        assert report.channels == {"market": 158, "public": 1377, "rest": 1}
        assert lines[0].c == "rest"
        assert lines[0].t == 1_626_992_740_175_661_000
        assert lines[1].t == 1_626_992_741_062_170_000
        counts: dict[str, int] = {}
        for name, count in stream_counts(summary_of(out)).items():
            kind = name.partition("@")[2]
            counts[kind] = counts.get(kind, 0) + count
        assert counts["bookTicker"] == 613
        assert counts["depth@100ms"] == 764
        assert counts["kline_1m"] == 67
        assert counts["aggTrade"] == 91

    def test_user_jsonl(self, tmp_path: Path) -> None:
        source = recording("user_quantconnect", "sessions.jsonl")

        report, lines = imported("user-jsonl", [source], tmp_path / "tape.jsonl")

        assert report.channels == {"private": 26}
        assert report.dropped == {}
        assert report.backwards > 0
        rows = [json.loads(line) for line in source.read_text().splitlines()]
        assert frames(lines) == [row["msg"] for row in rows]
        assert [line.t for line in lines] == [row["msg"]["E"] * 1_000_000 for row in rows]
        assert summary_of(tmp_path / "tape.jsonl").symbols == ["1000CATUSDT", "ACHUSDT"]

    def test_one_session_of_user_jsonl(self, tmp_path: Path) -> None:
        source = recording("user_quantconnect", "sessions.jsonl")

        report, lines = imported(
            "user-jsonl",
            [source],
            tmp_path / "tape.jsonl",
            session="WebSocketFutureLimitSubmittedFilled",
        )

        assert 0 < report.messages < 26
        assert report.skipped == {"lines of other sessions": 26 - report.messages}
        assert report.backwards == 0
        assert frames(lines)[-1]["o"]["X"] == "FILLED"

    def test_ticks_of_trades_and_book(self, tmp_path: Path) -> None:
        files = [
            recording("ticks_marcosalzer", "BTCUSDT_trades.csv.gz"),
            recording("ticks_marcosalzer", "BTCUSDT_top_of_book.csv.gz"),
        ]
        out = tmp_path / "tape.jsonl.zst"

        report, lines = imported("ticks-csv", files, out)

        assert report.channels == {"market": 11_947, "public": 2_559}
        assert report.dropped == {}
        assert [line.t for line in lines] == sorted(line.t for line in lines)
        sent = frames(lines)
        trades = [frame for frame in sent if frame["e"] == "aggTrade"]
        assert trades[0] == {
            "e": "aggTrade",
            "E": 1771214401422,
            "s": "BTCUSDT",
            "a": 7294395046,
            "p": "68392.6",
            "T": 1771214401422,
            "q": "0.28",
            "m": False,
        }
        books = [frame for frame in sent if frame["e"] == "bookTicker"]
        assert books[0] == {
            "e": "bookTicker",
            "u": 9919968961863,
            "s": "BTCUSDT",
            "b": "68392.5",
            "B": "1.2",
            "a": "68392.6",
            "A": "7.019",
            "T": 1771214399863,
            "E": 1771214399863,
        }
        summary = summary_of(out)
        assert {stream.name: stream.id_gaps for stream in summary.streams} == {
            "btcusdt@aggTrade": 19,
            "btcusdt@bookTicker": 0,
        }

    @pytest.mark.parametrize(("symbol", "rows"), [("BTCUSDT", 220), ("SOLUSDT", 215)])
    def test_ticks_of_mark_and_book(self, tmp_path: Path, symbol: str, rows: int) -> None:
        source = recording("mark_book_mpanac", f"{symbol}_2024-09-21.csv.gz")

        both, lines = imported("ticks-csv", [source], tmp_path / "both.jsonl")
        mark, _ = imported("ticks-csv", [source], tmp_path / "mark.jsonl", streams=("mark",))

        assert both.channels == {"market": rows, "public": rows}
        assert mark.channels == {"market": rows}
        ids = [frame["u"] for frame in frames(lines) if frame["e"] == "bookTicker"]
        assert ids == sorted(set(ids))
        assert any("no ids" in note for note in both.notes)
        assert any("columns not used: snapshot, oi" in note for note in both.notes)

    @pytest.mark.parametrize(
        ("folder", "name", "bars", "interval"),
        [
            ("klines_typhonun", "BTCUSDT_1m.csv.gz", 43_199, "1m"),
            ("klines_typhonun", "ETHUSDT_5m.csv.gz", 10_906, "5m"),
            ("klines_typhonun", "LAYERUSDT_1m.csv.gz", 43_199, "1m"),
            ("klines_roshan7869", "DOGEUSDT_5m_2025-10.csv.gz", 8_928, "5m"),
            ("klines_roshan7869", "SOLUSDT_5m_2025-10.csv.gz", 8_928, "5m"),
            ("klines_catman77", "BTCUSDT_5m_2023-08.csv.gz", 4_320, "5m"),
            ("klines_catman77", "BTCUSDT_5m_2024-01.csv.gz", 2_016, "5m"),
        ],
    )
    def test_candles(
        self, tmp_path: Path, folder: str, name: str, bars: int, interval: str
    ) -> None:
        source = recording(folder, name)

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl.zst")

        assert report.dropped == {}
        assert not any("gaps" in note for note in report.notes)
        length_ms = {"1m": 60_000, "5m": 300_000}[interval]
        rows: list[Any] = []
        for line, answer in zip(lines, frames(lines), strict=True):
            assert answer["method"] == "GET"
            assert answer["status"] == 200
            assert answer["path"] == "/fapi/v1/klines"
            assert answer["params"]["symbol"] == name.partition("_")[0]
            assert answer["params"]["interval"] == interval
            assert len(answer["body"]) <= 1500
            assert line.t == (answer["body"][-1][0] + length_ms) * 1_000_000
            rows += answer["body"]
        assert len(rows) == bars
        with gzip.open(source, "rt") as file:
            next(file)
            for row, text in zip(rows, file, strict=True):
                open_ms, *values = text.rstrip("\n").split(",")
                assert row == [int(open_ms), *values, int(open_ms) + length_ms - 1]


AGG_HEADER = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
)
AGG_ROWS = "7,61800.10,0.500,11,12,1723075200001,true\n8,61800.2,1,13,13,1723075200050,false\n"
AGG_FRAMES = [
    {
        "e": "aggTrade",
        "E": 1723075200001,
        "s": "BTCUSDT",
        "a": 7,
        "p": "61800.10",
        "T": 1723075200001,
        "q": "0.500",
        "f": 11,
        "l": 12,
        "m": True,
    },
    {
        "e": "aggTrade",
        "E": 1723075200050,
        "s": "BTCUSDT",
        "a": 8,
        "p": "61800.2",
        "T": 1723075200050,
        "q": "1",
        "f": 13,
        "l": 13,
        "m": False,
    },
]


class TestBinanceTrades:
    @pytest.mark.parametrize(
        "content",
        [
            AGG_HEADER + AGG_ROWS,
            AGG_ROWS,
            "\ufeff" + AGG_HEADER + AGG_ROWS.replace("true", "True").replace("false", "False"),
            (AGG_HEADER + AGG_ROWS).replace("\n", "\r\n"),
            AGG_ROWS.replace("\n", ",true\n"),
            AGG_ROWS.replace("0001,", "0001000,").replace("0050,", "0050000,"),
            (
                "price,agg_trade_id,is_buyer_maker,transact_time,last_trade_id,first_trade_id,"
                "quantity\n61800.10,7,true,1723075200001,12,11,0.500\n"
                "61800.2,8,false,1723075200050,13,13,1\n"
            ),
        ],
        ids=[
            "header",
            "no header",
            "bom, Python booleans",
            "crlf",
            "spot",
            "microseconds",
            "order",
        ],
    )
    @pytest.mark.parametrize("packing", ["csv", "csv.gz", "zip"])
    def test_agg_trades(self, tmp_path: Path, content: str, packing: str) -> None:
        name = "BTCUSDT-aggTrades-2024-08-08"
        if packing == "zip":
            source = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{name}.csv", content)
        else:
            source = text_file(tmp_path, f"{name}.{packing}", content)

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        assert frames(lines) == AGG_FRAMES
        assert [line.t for line in lines] == [1723075200001000000, 1723075200050000000]
        assert {line.c for line in lines} == {"market"}
        assert report.dropped == {}

    def test_raw_trades(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path,
            "ETHUSDT-trades-2024-08-08.csv",
            "id,price,qty,quote_qty,time,is_buyer_maker\n5,2500.1,2,5000.2,1723075200001,true\n",
        )

        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        assert frames(lines) == [
            {
                "e": "trade",
                "E": 1723075200001,
                "T": 1723075200001,
                "s": "ETHUSDT",
                "t": 5,
                "p": "2500.1",
                "q": "2",
                "m": True,
            }
        ]

    def test_bad_rows_are_counted_and_located(self, tmp_path: Path) -> None:
        bad = ["x,1,1,1,1,1723075200001,true", "9,NaN,1,1,1,1723075200001,true", "9,1,1,1,1,,true",
               "9,0,1,1,1,1723075200001,true", "9,-1,1,1,1,1723075200001,true", "9,1,1",
               "9,1,1,1,1,1723075200001,maybe", "9,1e999999999,1,1,1,1723075200001,true"]  # fmt: skip
        source = text_file(
            tmp_path, "BTCUSDT-aggTrades-x.csv", AGG_HEADER + AGG_ROWS + "\n".join(bad)
        )

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        assert frames(lines) == AGG_FRAMES
        assert report.dropped == {"not a row of aggTrade": len(bad)}
        assert report.examples == {"not a row of aggTrade": "BTCUSDT-aggTrades-x.csv:4"}

    def test_exponents_become_plain_digits_exactly(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path, "PEPEUSDT-aggTrades-x.csv", "7,1.23E-6,1e3,1,1,1723075200001,true\n"
        )

        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        assert (frames(lines)[0]["p"], frames(lines)[0]["q"]) == ("0.00000123", "1000")

    @pytest.mark.parametrize(
        ("name", "symbol"),
        [
            ("BTCUSDT-aggTrades-2024.csv", "BTCUSDT"),
            ("BTCUSDT_240927-aggTrades-2024.csv", "BTCUSDT_240927"),
            ("1000PEPEUSDC-aggTrades-2024.csv", "1000PEPEUSDC"),
            ("btcusdt-aggTrades-2024.csv", "BTCUSDT"),
            ("币安人生USDT-aggTrades-2026.csv", "币安人生USDT"),
        ],
    )
    def test_the_symbol_is_the_file_name_s(self, tmp_path: Path, name: str, symbol: str) -> None:
        _, lines = imported(
            "binance-csv", [text_file(tmp_path, name, AGG_ROWS)], tmp_path / "tape.jsonl"
        )
        assert {frame["s"] for frame in frames(lines)} == {symbol}

    def test_the_symbol_can_be_overruled_or_must_be_said(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "trades.csv", AGG_HEADER + AGG_ROWS)

        with pytest.raises(RecordingError, match="--symbol"):
            imported("binance-csv", [source], tmp_path / "tape.jsonl")
        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl", symbol="XUSDT")

        assert {frame["s"] for frame in frames(lines)} == {"XUSDT"}


CANDLE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)


def candle_rows(count: int, *, volume: str = "5.5", start_ms: int = 1723075200000) -> str:
    return "".join(
        f"{start_ms + 300_000 * bar},10.0,10.5,9.5,10.1,{volume},{start_ms + 300_000 * bar + 299_999},"
        f"55.5,300,2.0,20.0,0\n"
        for bar in range(count)
    )


class TestCandles:
    @pytest.mark.parametrize("header", [CANDLE_HEADER, ""])
    def test_batches_end_at_their_last_candle_s_close(self, tmp_path: Path, header: str) -> None:
        source = text_file(tmp_path, "BTCUSDT-5m-2024-08.csv", header + candle_rows(3200))

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        answers = frames(lines)
        assert [len(answer["body"]) for answer in answers] == [1500, 1500, 200]
        assert [line.t for line in lines] == [
            (1723075200000 + 300_000 * bars) * 1_000_000 for bars in (1500, 3000, 3200)
        ]
        assert answers[0]["path"] == "/fapi/v1/klines"
        assert answers[0]["params"] == {
            "symbol": "BTCUSDT",
            "interval": "5m",
            "startTime": "1723075200000",
            "endTime": str(1723075200000 + 300_000 * 1500 - 1),
            "limit": "1500",
        }
        assert answers[0]["body"][0] == [
            1723075200000, "10.0", "10.5", "9.5", "10.1", "5.5", 1723075499999,
            "55.5", 300, "2.0", "20.0", "0",
        ]  # fmt: skip
        assert report.dropped == {}

    def test_mark_price_candles_by_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "markPriceKlines" / "BTCUSDT"
        folder.mkdir(parents=True)
        source = text_file(folder, "BTCUSDT-5m-2024-08.csv", CANDLE_HEADER + candle_rows(3))
        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")
        assert frames(lines)[0]["path"] == "/fapi/v1/markPriceKlines"

    def test_mark_price_candles_by_option(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-5m-2024-08.csv", CANDLE_HEADER + candle_rows(3))
        _, lines = imported(
            "binance-csv", [source], tmp_path / "tape.jsonl", kind="markPriceKlines"
        )
        assert frames(lines)[0]["path"] == "/fapi/v1/markPriceKlines"

    def test_mark_price_candles_have_no_volume_and_that_is_said(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-5m-2024-08.csv", candle_rows(3, volume="0"))
        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")
        assert frames(lines)[0]["path"] == "/fapi/v1/markPriceKlines"
        assert any("taken for mark-price candles" in note for note in report.notes)

    def test_a_folder_s_name_alone_does_not_mislead(self, tmp_path: Path) -> None:
        folder = tmp_path / "aggTrades"
        folder.mkdir()
        source = text_file(folder, "BTCUSDT-5m-2024-08.csv", CANDLE_HEADER + candle_rows(3))
        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")
        assert frames(lines)[0]["path"] == "/fapi/v1/klines"

    def test_damaged_and_repeated_candles_are_dropped(self, tmp_path: Path) -> None:
        start = 1723075200000
        rows = [
            f"{start},10,11,9,10,1",
            f"{start + 60_000},10,9,11,10,1",
            f"{start + 120_000},10,11,9,12,1",
            f"{start + 180_000},10,11,9,10,1",
            f"{start + 180_000},10,11,9,10,1",
            f"{start + 240_000},10,11,9,10,1",
            "total,10,11,9,10,1",
            f"{start + 300_000},10,11,9,nan,1",
        ]
        source = text_file(
            tmp_path, "BTCUSDT.csv", "open_time_ms,open,high,low,close,volume\n" + "\n".join(rows)
        )

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl", interval="1m")

        body = frames(lines)[0]["body"]
        assert [row[0] - start for row in body] == [0, 180_000, 240_000]
        assert report.dropped == {
            "not a candle": 4,
            "a candle not later than the one before": 1,
        }
        assert "BTCUSDT.csv: 1 gaps between candles" in report.notes

    def test_iso_times_and_missing_volume(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path,
            "ETHUSDT.csv",
            "open_time,open,high,low,close\n2024-08-08 00:00:00,1,2,1,2\n2024-08-08 04:00:00,2,2,1,1\n",
        )

        report, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")

        answer = frames(lines)[0]
        assert answer["params"]["interval"] == "4h"
        assert answer["body"][0] == [1723075200000, "1", "2", "1", "2", "0", 1723089599999]
        assert "ETHUSDT.csv: no volumes: written as 0" in report.notes

    def test_one_candle_tells_its_interval_by_its_own_length(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-5m-2024-08.csv", candle_rows(1))
        _, lines = imported("binance-csv", [source], tmp_path / "tape.jsonl")
        assert frames(lines)[0]["params"]["interval"] == "5m"

    def test_an_interval_that_cannot_be_told(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path, "BTCUSDT.csv", "open_time,open,high,low,close\n1723075200000,1,1,1,1\n"
        )
        with pytest.raises(RecordingError, match="--interval"):
            imported("binance-csv", [source], tmp_path / "tape.jsonl")

    def test_index_prices_are_refused(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-indexPriceKlines-5m.csv", candle_rows(3))
        with pytest.raises(RecordingError, match="no prices that a plan can follow"):
            imported("binance-csv", [source], tmp_path / "tape.jsonl")

    def test_candles_and_trades_are_merged(self, tmp_path: Path) -> None:
        candles = text_file(
            tmp_path, "BTCUSDT-5m-2024-08.csv", candle_rows(2, start_ms=1723074600000)
        )
        trades = text_file(tmp_path, "BTCUSDT-aggTrades-2024-08-08.csv", AGG_ROWS)
        report, lines = imported("binance-csv", [trades, candles], tmp_path / "tape.jsonl")
        assert [line.c for line in lines] == ["rest", "market", "market"]
        assert report.order == "merged by receive time"


class TestHftbacktest:
    def test_corners(self, tmp_path: Path) -> None:
        content = (
            b'1700000000000000001 {"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate"}}\n'
            b'1700000000000000002 {"stream":"x","data":{"e":"ORDER_TRADE_UPDATE","o":{}}}\n'
            b'1700000000000000003 {"lastUpdateId":1,"symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[]}\n'
            b"soon {}\n"
            b"99999999999999999999 {}\n"
            b'1700000000000000004 {"cut":\n'
            b"1700000000000000005\n"
            b"\n"
            b'1700000000000000006 {"id":1,"result":null}'
        )
        source = text_file(tmp_path, "btcusd_perp_20240809.gz", content)

        report, lines = imported("hftbacktest", [source], tmp_path / "tape.jsonl")

        assert [(line.t % 10, line.c) for line in lines] == [
            (1, "market"),
            (2, "private"),
            (3, "rest"),
            (6, "market"),
        ]
        assert frames(lines)[1]["stream"] == "…"
        assert frames(lines)[2]["path"] == "/dapi/v1/depth"
        assert frames(lines)[2]["params"] == {"symbol": "BTCUSD_PERP"}
        assert report.dropped == {
            "no receive time at the start of the line": 2,
            "the frame is not whole JSON": 2,
        }

    def test_a_snapshot_of_an_unknown_symbol_is_dropped_and_said(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path, "recording.txt", b'5 {"lastUpdateId":1,"bids":[]}\n6 {"e":"trade"}\n'
        )
        report, lines = imported("hftbacktest", [source], tmp_path / "tape.jsonl")
        assert [line.t for line in lines] == [6]
        assert report.dropped == {"a REST depth snapshot of an unknown symbol": 1}

    def test_a_cut_gzip_gives_what_came_before(self, tmp_path: Path) -> None:
        lines_in = b"".join(b'%d {"e":"trade","t":%d}\n' % (t, t * 7919) for t in range(5000))
        source = tmp_path / "btcusdt_20240808.gz"
        packed = gzip.compress(lines_in, mtime=0)
        source.write_bytes(packed[: len(packed) // 2])

        report, lines = imported("hftbacktest", [source], tmp_path / "tape.jsonl")

        assert 1000 < len(lines) < 5000
        assert [line.t for line in lines] == list(range(len(lines)))
        assert report.dropped["the gzip file is cut here"] == 1


class TestCryptofeed:
    def test_times_are_exact_and_urls_are_taken_apart(self, tmp_path: Path) -> None:
        content = (
            "configuration: {}\n"
            "wss://fstream.binance.com/ws <-> 1.5\n"
            'https://fapi.binance.com/fapi/v1/klines?symbol=BTCUSDT&limit=5 -> 1626992740.1: [[1, "2"]]\n'
            '1626992741.123456789: {"e":"aggTrade"}\n'
            '1626992742: {"e":"bookTicker"}\n'
            "later: {}\n"
            "1626992743.1: cut {\n"
            "https://x/y -> 1626992743.1: <html>\n"
        )
        source = text_file(tmp_path, "feed.txt", content)

        report, lines = imported("cryptofeed", [source], tmp_path / "tape.jsonl")

        assert [(line.t, line.c) for line in lines] == [
            (1626992740100000000, "rest"),
            (1626992741123456789, "market"),
            (1626992742000000000, "public"),
        ]
        assert bytes(lines[0].m) == (
            b'{"method":"GET","path":"/fapi/v1/klines","params":{"symbol":"BTCUSDT","limit":"5"},'
            b'"status":200,"body":[[1, "2"]]}'
        )
        assert report.skipped == {"header lines": 2}
        assert report.dropped == {
            "no receive time at the start of the line": 1,
            "the frame is not whole JSON": 2,
        }


class TestTicks:
    def test_what_is_missing_is_made_or_left_out_and_said(self, tmp_path: Path) -> None:
        source = text_file(
            tmp_path,
            "ticks.csv",
            "timestamp,symbol,price\n1700000000.5,BTCUSDT,1.0\n1700000000.5,ETHUSDT,2\n"
            "1700000001,BTCUSDT,\nnever,BTCUSDT,1\n",
        )

        report, lines = imported("ticks-csv", [source], tmp_path / "tape.jsonl")

        assert [line.t for line in lines] == [1700000000500000000] * 2
        first, second = frames(lines)
        assert first == {
            "e": "aggTrade",
            "E": 1700000000500,
            "s": "BTCUSDT",
            "a": 1700000000500000,
            "p": "1.0",
            "T": 1700000000500,
        }
        assert second["a"] > first["a"]
        assert report.dropped == {"no last price in the row": 1, "no time in the row": 1}
        assert any("ids: those of aggTrade are made" in note for note in report.notes)
        assert any("no exchange time" in note for note in report.notes)

    @pytest.mark.parametrize(
        ("column", "cell"),
        [
            ("ts_ns", "1700000000123000000"),
            ("ts_us", "1700000000123000"),
            ("time_ms", "1700000000123"),
            ("t", "1700000000123"),
            ("timestamp", "1700000000.123"),
            ("timestamp", "2023-11-14T22:13:20.123+00:00"),
            ("datetime", "2023-11-14 22:13:20.123"),
            ("exch_ts_ms", "1700000000123"),
        ],
    )
    def test_times(self, tmp_path: Path, column: str, cell: str) -> None:
        source = text_file(tmp_path, "BTCUSDT.csv", f"{column},mark_price\n{cell},5.0\n")
        _, lines = imported("ticks-csv", [source], tmp_path / "tape.jsonl")
        assert [(line.t, frames([line])[0]["E"]) for line in lines] == [
            (1700000000123000000, 1700000000123)
        ]

    @pytest.mark.parametrize(
        ("content", "options", "says"),
        [
            ("1,2\n", {}, "must name the columns"),
            ("price,qty\n1,2\n", {}, "no time column"),
            ("ts_ms,open\n1,2\n", {}, "it takes price, or best_bid and best_ask, or mark_price"),
            ("ts_ms,price\n1,2\n", {"streams": ("book",)}, "no columns for --stream book"),
        ],
    )
    def test_refusals(
        self, tmp_path: Path, content: str, options: dict[str, Any], says: str
    ) -> None:
        source = text_file(tmp_path, "BTCUSDT.csv", content)
        with pytest.raises(RecordingError, match=says):
            imported("ticks-csv", [source], tmp_path / "tape.jsonl", **options)


class TestSeveralFiles:
    def test_unsorted_files_are_taken_one_after_another(self, tmp_path: Path) -> None:
        first = text_file(tmp_path, "a.txt", b'3 {"e":"trade"}\n1 {"e":"trade"}\n')
        second = text_file(tmp_path, "b.txt", b'2 {"e":"trade"}\n')

        report, lines = imported("hftbacktest", [first, second], tmp_path / "tape.jsonl")

        assert [line.t for line in lines] == [3, 1, 2]
        assert report.order.startswith("one after another")
        assert report.backwards == 1

    def test_the_same_files_give_the_same_bytes(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-aggTrades-2024-08-08.csv", AGG_ROWS)
        tapes = [tmp_path / "one.jsonl.zst", tmp_path / "two.jsonl.zst"]
        for out in tapes:
            imported("binance-csv", [source], out)
        assert tapes[0].read_bytes() == tapes[1].read_bytes()
        header = open_tape(tapes[0]).header
        assert header.created == "2024-08-08T00:00:00.001000000Z"
        assert header.environment == "imported"


class TestRefusals:
    @pytest.mark.parametrize("source", ["hftbacktest", "cryptofeed", "user-jsonl"])
    def test_a_wrong_format(self, tmp_path: Path, source: str) -> None:
        path = text_file(tmp_path, "BTCUSDT.txt", b"something,else\nentirely,\xff\x00\n")
        with pytest.raises(RecordingError, match=r"no message found .*is --from right"):
            imported(source, [path], tmp_path / "tape.jsonl")
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("a.csv", b"", "the file is empty"),
            ("a.csv.gz", b"", "no message found"),
            ("BTCUSDT-aggTrades-1.zip", b"PK not really", "not a readable zip archive"),
            ("BTCUSDT-aggTrades-1.csv", gzip.compress(b"x", mtime=0), "suffix .gz"),
            ("BTCUSDT-what-1.csv", b"a,b\n1,2\n", "--kind"),
            ("BTCUSDT-aggTrades-1.csv", b"agg_trade_id,price\n1,2\n", "no column transact_time"),
        ],
    )
    def test_files_that_cannot_be_used(
        self, tmp_path: Path, name: str, content: bytes, says: str
    ) -> None:
        path = text_file(tmp_path, name, content)
        with pytest.raises(RecordingError) as caught:
            imported("binance-csv", [path], tmp_path / "tape.jsonl")
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_zip_without_a_table(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT-aggTrades-1.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
        with pytest.raises(RecordingError, match=r"no \.csv file"):
            imported("binance-csv", [path], tmp_path / "tape.jsonl")

    def test_a_damaged_zip_gives_what_came_before(self, tmp_path: Path) -> None:
        path = tmp_path / "BTCUSDT-aggTrades-1.zip"
        rows = "".join(
            f"{n},{60000 + n * 7919 % 997}.5,1,1,1,{1723075200000 + n},true\n"
            for n in range(20_000)
        )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("BTCUSDT-aggTrades-1.csv", rows)
        damaged = bytearray(path.read_bytes())
        middle = len(damaged) * 9 // 10
        damaged[middle : middle + 50] = bytes(50)
        path.write_bytes(damaged)

        report, lines = imported("binance-csv", [path], tmp_path / "tape.jsonl")

        assert len(lines) > 1000
        assert report.dropped["the zip data is damaged from here on"] == 1

    def test_missing_and_directory(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match="no such file"):
            imported("cryptofeed", [tmp_path / "nowhere"], tmp_path / "tape.jsonl")
        with pytest.raises(RecordingError, match="a directory"):
            imported("cryptofeed", [tmp_path], tmp_path / "tape.jsonl")

    def test_an_unknown_session_names_the_known_ones(self, tmp_path: Path) -> None:
        path = text_file(tmp_path, "s.jsonl", b'{"session":"A","seq":1,"msg":{"E":1}}\n')
        with pytest.raises(RecordingError, match="no session 'B'; there are: A"):
            imported("user-jsonl", [path], tmp_path / "tape.jsonl", session="B")

    def test_the_output_is_protected(self, tmp_path: Path) -> None:
        source = text_file(tmp_path, "BTCUSDT-aggTrades-1.csv", AGG_ROWS)
        out = text_file(tmp_path, "old.jsonl", b"precious")
        with pytest.raises(TapeError, match="--force"):
            imported("binance-csv", [source], out)
        with pytest.raises(TapeError, match="there is no directory"):
            imported("binance-csv", [source], tmp_path / "no" / "tape.jsonl")
        with pytest.raises(TapeError, match="ends in one of"):
            imported("binance-csv", [source], tmp_path / "tape.json")
        with pytest.raises(BadInputError):
            import_recordings("hftbacktest", [source], out, options=ImportOptions(), overwrite=True)
        assert out.read_bytes() == b"precious"
        with pytest.raises(TapeError, match="one of the files to import"):
            import_recordings("hftbacktest", [out], out, options=ImportOptions(), overwrite=True)

        import_recordings("binance-csv", [source], out, options=ImportOptions(), overwrite=True)

        assert len(list(open_tape(out).lines())) == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "BTCUSDT-aggTrades-1.csv",
            "old.jsonl",
        ]


FUZZ_NAMES = st.sampled_from(
    ["BTCUSDT-aggTrades-1.csv", "BTCUSDT-5m-1.csv", "btcusdt_20240808.gz", "a.zip", "a.jsonl.zst", "x"]
)  # fmt: skip
FUZZ_LINES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            *AGG_ROWS.encode().splitlines(),
            AGG_HEADER.strip().encode(),
            b"open_time,open,high,low,close",
            b"1723075200000,1,2,1,2",
            b"ts_ms,price,best_bid,best_ask,mark_price",
            b"1,-1,1e5000,Infinity,9" + b"9" * 50,
            b"\xd9\xa1\xd9\xa2,\xd9\xa3",
            b'5 {"e":"trade"}',
            b"1.5: {}",
            b"https://[::1 -> 1.5: {}",
            b'{"msg":{"E":"99999999999999999999"}}',
            b'{"msg":{"E":1},"session":5}',
        ]
    ),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.sampled_from(sorted(IMPORTERS)),
    name=FUZZ_NAMES,
    lines=st.lists(FUZZ_LINES, max_size=5),
    packed=st.booleans(),
)
def test_any_bytes_are_imported_or_refused(
    tmp_path: Path, source: str, name: str, lines: list[bytes], packed: bool
) -> None:
    content = b"\n".join(lines)
    if packed and name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    path = tmp_path / name
    path.write_bytes(content)
    out = tmp_path / "out.jsonl"
    out.unlink(missing_ok=True)
    try:
        imported(source, [path], out)
    except BadInputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - whether it is raised depends on the example
        assert not out.exists()
