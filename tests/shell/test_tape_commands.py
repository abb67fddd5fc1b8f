"""`reactor tape …` as a user types it."""

import argparse
import json
from pathlib import Path

import pytest

from reactor.errors import BadInputError, ConfigError, TapeError
from reactor.shell.tape_commands import add_tape_commands

ROWS = "7,61800.10,0.500,11,12,1723075200001,true\n8,NaN,1,13,13,1723075200050,false\n"


def reactor(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="reactor")
    add_tape_commands(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["tape", *arguments])
    code = parsed.run(parsed)
    assert isinstance(code, int)
    return code


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "BTCUSDT-aggTrades-2024-08-08.csv"
    path.write_text(ROWS)
    return str(path)


@pytest.fixture
def tape(tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]) -> str:
    out = str(tmp_path / "tape.jsonl.zst")
    assert reactor("import", "--from", "binance-csv", source, "--out", out) == 0
    capsys.readouterr()
    return out


class TestImport:
    def test_it_says_what_it_did(
        self, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = str(tmp_path / "tape.jsonl.zst")

        assert reactor("import", "--from", "binance-csv", source, "--out", out) == 0

        captured = capsys.readouterr()
        assert captured.err == ""
        assert captured.out.splitlines() == [
            f"{out}: 1 messages (1 market), one file",
            "dropped: 1 × not a row of aggTrade (first: BTCUSDT-aggTrades-2024-08-08.csv:2)",
            (
                "note: BTCUSDT-aggTrades-2024-08-08.csv: aggTrade of BTCUSDT; receive and event "
                "times are those of the trades"
            ),
        ]

    def test_json(self, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
        out = str(tmp_path / "tape.jsonl")
        reactor("import", "--from", "binance-csv", source, "--out", out, "--json")

        report = json.loads(capsys.readouterr().out)

        assert report["messages"] == 1
        assert report["dropped"] == {"not a row of aggTrade": 1}

    def test_force(self, source: str, tape: str) -> None:
        with pytest.raises(TapeError, match="--force"):
            reactor("import", "--from", "binance-csv", source, "--out", tape)
        assert reactor("import", "--from", "binance-csv", source, "--out", tape, "--force") == 0

    @pytest.mark.parametrize(
        ("source_format", "option", "value"),
        [
            ("hftbacktest", "--session", "x"),
            ("binance-csv", "--stream", "book"),
            ("cryptofeed", "--symbol", "BTCUSDT"),
            ("ticks-csv", "--kind", "klines"),
            ("user-jsonl", "--interval", "5m"),
        ],
    )
    def test_an_option_without_use_is_refused(
        self, source_format: str, option: str, value: str
    ) -> None:
        with pytest.raises(ConfigError, match=f"{option} has no use with --from {source_format}"):
            reactor("import", "--from", source_format, option, value, "x", "--out", "y.jsonl")

    def test_an_unknown_format(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            reactor("import", "--from", "tardis", "x", "--out", "y.jsonl")
        assert caught.value.code == 2
        assert "hftbacktest" in capsys.readouterr().err


class TestInfo:
    def test_tables(self, tape: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert reactor("info", tape) == 0
        text = capsys.readouterr().out
        assert "btcusdt@aggTrade" in text
        assert "2024-08-08 00:00:00.001" in text

    def test_json_is_one_object_a_tape(self, tape: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert reactor("info", "--json", tape, tape) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["messages"] for line in lines] == [1, 1]
        assert lines[0]["symbols"] == ["BTCUSDT"]

    def test_no_tape(self, source: str) -> None:
        with pytest.raises(BadInputError, match="not a tape"):
            reactor("info", source)


@pytest.mark.parametrize("command", [["--help"], ["import", "--help"], ["info", "--help"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        reactor(*command)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    if len(command) > 1:
        assert f"examples:\n  reactor tape {command[0]} " in text
