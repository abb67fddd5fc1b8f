"""`reactor bench sim`: a short run of it, with the real server in its own process."""

from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the simulated exchange needs its sockets")

from reactor.bench import sim


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sim, "FRAMES_S", 0.2)
    monkeypatch.setattr(sim, "ORDERS_S", 0.2)
    monkeypatch.setattr(sim, "TICKS", 20)
    monkeypatch.setattr(sim, "TAPE_LINES", 2000)
    return sim.bench_sim(rounds=1)


def test_every_figure_is_measured(found: Any) -> None:
    told = found.as_json()
    for name in (
        "book_ticker_frames_per_second",
        "agg_trade_frames_per_second",
        "orders_per_second",
    ):
        assert told[name] > 0
    order, tick = found.timings
    assert tick.samples == 20
    assert 0 < tick.p50_ns <= tick.p99_ns
    assert order.p50_ns > 0


def test_frames_are_counted_whole() -> None:
    short, long = b"\x81\x02hi", b"\x81\x7e\x01\x00" + b"x" * 256
    huge = b"\x81\x7f" + (70_000).to_bytes(8, "big") + b"x" * 70_000
    sent = short + long + huge + short
    assert sim._whole(sent) == (4, b"")
    for cut in (*range(300), *range(len(sent) - 20, len(sent))):
        count, rest = sim._whole(sent[:cut])
        assert sim._whole(rest + sent[cut:]) == (4 - count, b"")
