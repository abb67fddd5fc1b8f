"""`reactor bench …` as a user types it. What is checked is what was measured, never how fast it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reactor.bench.decide import bench_decide
from reactor.bench.held import Held
from reactor.bench.memory import MemoryOutcome, bench_memory, parse_size
from reactor.bench.replay import bench_replay
from reactor.cli import main
from reactor.errors import ConfigError, InvariantError
from reactor.shell.importers.source import ImportOptions
from reactor.shell.tape_import import import_recordings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["bench", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    (line,) = captured.out.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def check_common(found: dict[str, Any]) -> None:
    assert isinstance(found["noisy"], bool)
    assert found["method"]
    assert found["environment"]["python"]
    assert found["environment"]["cpu_count"] >= 1
    assert all(value > 0 for value in found["ratios"].values())
    assert set(found["bounds"]) <= set(found["ratios"])
    assert all(0 < case["p50_ns"] <= case["p99_ns"] for case in found["cases"])


class TestDecide:
    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = run_json(capsys, "decide", "--rounds", "2")
        check_common(found)
        assert found["bench"] == "decide"
        # A tick does at least what an empty call does.
        assert found["quiet_tick_ns"] > found["empty_call_ns"] > 0
        assert found["quiet_tick_ns_500_symbols"] > found["empty_call_ns"]
        assert 0 < found["exit_p50_ns"] <= found["exit_p99_ns"]
        assert 0 < found["stop_move_p50_ns"] <= found["stop_move_p99_ns"]

    def test_the_tables_name_the_bounds(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "decode", "--rounds", "1"]) == 0
        shown = capsys.readouterr().out
        assert "decode + evaluate / orjson.loads, aggTrade" in shown
        assert "≤ 1.2" in shown
        assert "noise" in shown


class TestDecode:
    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = run_json(capsys, "decode", "--rounds", "2")
        check_common(found)
        assert found["decode_evaluate_ns"] > 0
        assert found["orjson_loads_ns"] > 0


class TestReplay:
    def test_made_up_lines_and_the_calm_walk(self) -> None:
        found = bench_replay(rounds=1, frame_count=3000, tick_count=600_000).as_json()
        check_common(found)
        assert found["frames_per_second"] > 0
        assert found["columnar_ticks_per_second"] > 0
        assert found["frames"] == 3000
        assert found["lines_skipped"] == 0
        assert found["walk_ticks"] == 600_000
        # The walk is numpy's, so what happens on it is known: a LONG's stop, a SHORT that trails.
        assert found["walk_long_last_tick"] == 413_387
        assert found["walk_short_stop_moves"] == 963
        assert found["walk_held_stop_moves"] == 1196

    def test_a_recording(self, tmp_path: Path) -> None:
        source = DATA / "ws_hftbacktest" / "btcusdt_20240808.gz"
        if not source.exists():
            pytest.skip(f"no recording at {source}")
        tape = tmp_path / "btc.jsonl"
        import_recordings("hftbacktest", [source], tape, options=ImportOptions())
        found = bench_replay(tape=tape, rounds=1, tick_count=600_000).as_json()
        check_common(found)
        assert found["trades"] == 21_313
        assert found["trades_identical_decisions"] is True
        assert found["frames"] == 93_954
        # Both ways through the engine move the stop as often.
        for side in ("long", "short"):
            assert found[f"trades_{side}_stop_moves"] == found[f"frames_stop_moves_{side}"] > 50

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["replay", "--tape", "absent.jsonl"], "absent.jsonl"),
            (["replay", "--ticks", "10"], "out of range"),
            (["replay", "--memory", "--size", "much"], "write it as 500MB or 5GB"),
            (["decide", "--rounds", "0"], "out of range"),
        ],
    )
    def test_refusals_are_one_line(
        self, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert says in captured.err
        assert captured.err.count("\n") == 1


class TestMemory:
    def test_a_small_tape(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = run_json(capsys, "replay", "--memory", "--size", "6MB")
        assert 6_000_000 <= found["size_bytes"] < 8_000_000
        assert found["packed_bytes"] * 4 < found["size_bytes"]
        assert found["lines"] > 20_000
        assert found["peak_rss_bytes"] > 1_000_000
        assert found["decisions"] > 1
        if Path("/proc/self/statm").exists():
            assert len(found["rss_bytes"]) == 10
            assert found["growth_bytes"] <= found["growth_bytes_max"]

    @pytest.mark.parametrize(
        ("rss_mb", "peak_mb", "flat"),
        [
            ([40, 41, 40], 60, True),
            ([40, 45, 56], 60, True),
            ([40, 45, 57], 60, False),
            ([40, 40], 201, False),
            ([], 60, True),
        ],
    )
    def test_flat(self, rss_mb: list[int], peak_mb: int, *, flat: bool) -> None:
        found = MemoryOutcome(
            size_bytes=1,
            packed_bytes=1,
            lines=1,
            seconds=1.0,
            rss_bytes=[mb * 10**6 for mb in rss_mb],
            peak_rss_bytes=peak_mb * 10**6,
            decisions=0,
        )
        assert found.flat is flat

    def test_a_full_disk_is_told_before_anything_is_written(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Usage:
            free = 10**6

        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
        with pytest.raises(ConfigError, match="TMPDIR"):
            bench_memory(10**9)

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("5GB", 5 * 10**9),
            ("500 MB", 5 * 10**8),
            ("1.5gb", 1_500_000_000),
            ("1000000", 10**6),
            ("2000000B", 2 * 10**6),
        ],
    )
    def test_sizes(self, text: str, size: int) -> None:
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "GB", "5 XB", "-1GB", "1KB", "2000TB", "nan"])
    def test_sizes_that_are_refused(self, text: str) -> None:
        with pytest.raises(ConfigError):
            parse_size(text)


@pytest.mark.parametrize("price", ["59000.0", "60300.0"])
def test_figures_that_would_lie_are_refused(price: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench of quiet ticks stops when one of them closed all or a part of a position."""

    def quotes(held: Held, count: int) -> list[tuple[str, str]]:
        return [(held.symbols[number % len(held.symbols)], price) for number in range(count)]

    monkeypatch.setattr(Held, "quiet_quotes", quotes)
    with pytest.raises(InvariantError):
        bench_decide(rounds=1)
