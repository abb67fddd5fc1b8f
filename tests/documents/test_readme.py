"""The README does what it says: its commands run, its example prints what stands under it, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.cli import main, parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORDINGS = ROOT.parent / "shared" / "data" / "ws_hftbacktest"

SLOW = {
    "bench": "runs for a while; tests/bench measures it",
    "sim": "serves until it is stopped",
    "demo": "runs for as long as it is told to; tests/live runs it",
    **dict.fromkeys(
        ("doctor", "run", "status", "positions", "pause", "set-stop", "flatten", "explain", "why"),
        "needs an exchange or a running process; tests/acceptance has both",
    ),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def shell_commands() -> list[list[str]]:
    """Every command of the sh blocks, chained ones one by one."""
    rows = [row for block in blocks("sh") for row in block.splitlines()]
    return [shlex.split(part) for row in rows for part in row.split(" && ")]


REACTOR_COMMANDS = [command[1:] for command in shell_commands() if command[0] == "reactor"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README takes for granted: the fixtures, a candle file, a recording."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    rows = [f"{1_700_000_000_000 + i * 300_000},10,{11 + i % 3},9,10\n" for i in range(30)]
    candles = "open_time,open,high,low,close\n" + "".join(rows)
    (tmp_path / "candles.csv").write_text(candles, encoding="utf-8")
    if RECORDINGS.exists():
        (tmp_path / "btcusdt_20240808.gz").symlink_to(RECORDINGS / "btcusdt_20240808.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_command_is_the_main_job_and_the_second_the_tests() -> None:
    first, second = (block.strip() for block in blocks("sh")[:2])
    assert first.startswith("python3 -m venv ")
    assert first.endswith("reactor demo --seconds 60")
    assert second.endswith("python -m pytest")
    assert "\n" not in first + second


@pytest.mark.parametrize("command", REACTOR_COMMANDS, ids=" ".join)
def test_every_command_exists(command: list[str]) -> None:
    assert callable(parser().parse_args(command).run)


def test_every_quick_command_works(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In order: later ones use what earlier ones made."""
    ran = 0
    for command in REACTOR_COMMANDS:
        made_elsewhere = any(word in {"btcusdt_20240808.gz", "btc.jsonl.zst"} for word in command)
        if command[0] in SLOW or (made_elsewhere and not RECORDINGS.exists()):
            continue
        assert main(command) == 0, command
        captured = capsys.readouterr()
        assert captured.out, command
        # Notes about the recording are welcome there, refusals are not.
        assert "reactor: " not in captured.err, command
        ran += 1
    assert ran >= 7
    picture = (desk / "session.html").read_text(encoding="utf-8")
    assert picture.lower().startswith("<!doctype html>")


def test_the_example_prints_what_stands_under_it() -> None:
    (program,) = blocks("python")
    (expected,) = blocks("text")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == expected


DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as they are commonly made."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = document if not name else (document.parent / name).resolve()
        assert file.exists(), f"{document.name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{document.name}: {target}"


def test_every_document_is_listed() -> None:
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        if document.name != "README.md":
            assert f"]({document.name})" in listed, document.name


def test_the_shipped_plans_are_named() -> None:
    for plan in sorted((ROOT / "reactor" / "plans").glob("*.toml")):
        assert f"`{plan.stem}`" in README
