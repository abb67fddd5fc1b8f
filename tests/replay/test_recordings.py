"""Real recordings, imported and replayed: not one line skipped, and what is known of them comes out."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from replayed import Ran, recording, run

from reactor.core.engine import Engine
from reactor.replay.options import ReplayOptions
from reactor.replay.session import Session
from reactor.replay.walk import open_tapes, walk

Capture = pytest.CaptureFixture[str]
D = Decimal


def imported(capfd: Capture, folder: Path, kind: str, *words: str | Path) -> Path:
    tape = folder / "imported.jsonl.zst"
    ran = run(capfd, "tape", "import", "--force", "--from", kind, *words, "--out", tape)
    assert ran.code == 0, ran.err
    return tape


def replayed(capfd: Capture, tape: Path, *words: str) -> Ran:
    ran = run(capfd, "replay", tape, "--json", *words)
    assert ran.code == 0, ran.err
    assert ran.summary["skipped"] == 0, ran.err
    return ran


def test_trades_and_books_of_hftbacktest(tmp_path: Path, capfd: Capture) -> None:
    tape = imported(
        capfd, tmp_path, "hftbacktest", recording("ws_hftbacktest", "btcusdt_20240808.gz")
    )
    asked = ("--position", "BTCUSDT:SHORT:1@61800", "--atr", "BTCUSDT=60")
    ran = replayed(capfd, tape, *asked, "--trigger", "last")
    # Worked by hand from the trades: +1 R at 61 710, rungs at 61 620 and 61 530, trail of 72.
    assert [(one["type"], one["tick"], one["price"]) for one in ran.lines[1:4]] == [
        ("stop", 5186, "61710"),
        ("exit", 9873, "61620"),
        ("stop", 9873, "61620"),
    ]
    assert ran.summary["ticks"] == 21_313
    assert ran.of("closed")[0]["reason"] == "trailing_stop"
    ran = replayed(capfd, tape, *asked, "--trigger", "book")
    assert ran.summary["ticks"] == 66_089
    assert ran.of("closed")


def test_four_small_symbols_of_cryptofeed(tmp_path: Path, capfd: Capture) -> None:
    source = recording("ws_cryptofeed", "2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz")
    info = recording("ws_cryptofeed", "2021-07_BINANCE_FUTURES.0_exchangeInfo.txt.gz")
    tape = imported(capfd, tmp_path, "cryptofeed", info, source)
    for trigger, count in (("last", 91), ("book", 613)):
        asked = [
            word
            for symbol in ("AKROUSDT", "CTKUSDT", "KEEPUSDT", "SUSHIUSDT")
            for word in ("--position", f"{symbol}:LONG:10@1")
        ]
        ran = replayed(capfd, tape, *asked, "--trigger", trigger)
        assert ran.summary["ticks"] == count
        assert (ran.summary["symbols"], ran.summary["never_ticked"]) == (4, [])
        assert len(ran.of("opened")) == 4


@pytest.mark.parametrize(
    ("session", "held"),
    [
        ("StopMarketSubmitPartiallyFilledFilled", (800, "0.00666")),
        ("StopLimitSubmittedFilled", (800, "0.00665")),
        ("LimitSubmittedFilled", (800, "0.00661")),
        ("MarketSubmittedFilled", (800, "0.006567")),
        ("StopLimitSubmittedExpired", None),
        ("StopMarketSubmittedCanceled", None),
        ("LimitSubmittedCancelled", None),
    ],
)
def test_order_events_alone_move_the_position(
    session: str, held: tuple[int, str] | None, tmp_path: Path, capfd: Capture
) -> None:
    sessions = recording("user_quantconnect", "sessions.jsonl")
    name = f"WebSocketFuture{session}"
    tape = imported(capfd, tmp_path, "user-jsonl", "--session", name, sessions)
    ran = replayed(capfd, tape)
    assert [one["symbol"] for one in ran.of("opened")] == (["ACHUSDT"] if held else [])
    assert ran.summary["never_ticked"] == (["ACHUSDT:LONG"] if held else [])
    play = Session(ReplayOptions(), header=None, emit=lambda _: None, note=lambda _: None)
    walk(play, open_tapes([tape]), speed=0.0, progress=None)
    machines = list(play.engine.positions.values())
    assert [(machine.orders.quantity, machine.entry) for machine in machines] == (
        [(D(held[0]), D(held[1]))] if held else []
    )


def test_the_commission_of_a_partly_filled_order_is_counted(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid: list[Decimal] = []
    monkeypatch.setattr(Engine, "on_cost", lambda _, *what: paid.append(what[-1]))
    sessions = recording("user_quantconnect", "sessions.jsonl")
    name = "WebSocketFutureStopMarketSubmitPartiallyFilledFilled"
    tape = imported(capfd, tmp_path, "user-jsonl", "--session", name, sessions)
    replayed(capfd, tape)
    assert paid == [D("0.0025308"), D("0.0001332")]


def test_trades_and_best_prices_of_a_microstructure_study(tmp_path: Path, capfd: Capture) -> None:
    asked = ("--position", "BTCUSDT:LONG:0.1@68450", "--plan", "challenge_100")
    trades = recording("ticks_marcosalzer", "BTCUSDT_trades.csv.gz")
    tape = imported(capfd, tmp_path, "ticks-csv", trades)
    ran = replayed(capfd, tape, *asked, "--trigger", "last")
    assert ran.summary["ticks"] == 11_947
    # The trail is 0.3 % below a highest price of 68 506.7; the entry's own stop is 1 % away.
    best = max(Decimal(one["stop"]) for one in ran.of("stop"))
    assert best == Decimal("68506.7") * Decimal("0.997")
    top = recording("ticks_marcosalzer", "BTCUSDT_top_of_book.csv.gz")
    tape = imported(capfd, tmp_path, "ticks-csv", top)
    ran = replayed(capfd, tape, *asked, "--trigger", "book")
    # Two snapshots carry the sequence number of the one before.
    assert (ran.summary["ticks"], ran.summary["duplicates"]) == (2_557, 2)


def test_mark_and_book_of_two_symbols_at_once(tmp_path: Path, capfd: Capture) -> None:
    files = [
        recording("mark_book_mpanac", f"{symbol}USDT_2024-09-21.csv.gz")
        for symbol in ("BTC", "SOL")
    ]
    tape = imported(capfd, tmp_path, "ticks-csv", *files)
    asked = ("--position", "BTCUSDT:LONG:1@63000", "--position", "SOLUSDT:SHORT:10@147")
    for trigger in ("mark", "book"):
        ran = replayed(capfd, tape, *asked, "--trigger", trigger)
        assert (ran.summary["ticks"], ran.summary["symbols"]) == (435, 2)
        assert [one["symbol"] for one in ran.of("exit")] == ["SOLUSDT"]


@pytest.mark.parametrize(
    ("parts", "symbol"),
    [
        (("klines_roshan7869", "DOGEUSDT_5m_2025-10.csv.gz"), "DOGEUSDT"),
        (("klines_catman77", "BTCUSDT_5m_2024-01.csv.gz"), "BTCUSDT"),
    ],
)
def test_candles_make_the_atr_of_the_ticks_behind_them(
    parts: tuple[str, str], symbol: str, tmp_path: Path, capfd: Capture
) -> None:
    candles = recording(*parts)
    tape = imported(capfd, tmp_path, "binance-csv", candles, "--symbol", symbol)
    # One tick, a second behind the last candle's end.
    open_time_ms, _, atr = run(capfd, "atr", candles).out.splitlines()[-1].partition(",")
    t_ms = int(open_time_ms) + 300_000 + 1000
    last = json.dumps({"e": "aggTrade", "s": symbol, "p": "1.5", "a": 1, "T": t_ms})
    tail = tmp_path / "tail.jsonl"
    tail.write_text(
        f'{{"tape":1}}\n{{"t":{t_ms * 10**6 + 86_400 * 10**9},"c":"market","m":{last}}}\n'
    )
    ran = run(
        capfd,
        "replay",
        tape,
        tail,
        "--json",
        "--trigger",
        "last",
        "--position",
        f"{symbol}:LONG:1@1.5",
    )
    assert ran.summary["skipped"] == 0, ran.err
    (opened,) = ran.of("opened")
    assert D(opened["atr"]) == D(atr)
