"""Whatever is given, a command answers with a clear line and the right exit code, and goes on behind it."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from frames import agg, book, in_envelope, json_bytes, line, mark, ticks, trade
from replayed import Ran, recording, refused, run, tape_bytes

from reactor.shell.compressed import packer_for

Capture = pytest.CaptureFixture[str]

LONG = ("--position", "BTCUSDT:LONG:1@100")
PLAN = 'name = "mine"\ntrigger = "last"\n[stop]\npct = 0.01\n'


@pytest.fixture(name="plan")
def _plan(tmp_path: Path) -> Path:
    """A stop of 1 % on last prices, and nothing else."""
    path = tmp_path / "mine.toml"
    path.write_text(PLAN)
    return path


def packed(raw: bytes, path: Path) -> Path:
    """Writes bytes as the suffix says, all in one block."""
    packer = packer_for(path)
    path.write_bytes(packer.block(raw) + packer.end())
    return path


def replayed(capfd: Capture, tape: Path, plan: Path, *more: str) -> Ran:
    """A replay that must go well: exit code 0, JSON lines, and a summary at their end."""
    ran = run(capfd, "replay", tape, "--plan", plan, "--json", *(more or LONG))
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["type"] == "summary"
    assert all(said.strip() and said.isprintable() for said in ran.err.splitlines())
    return ran


# Files that are no tapes --------------------------------------------------------------------------

NO_TAPES: list[tuple[str, bytes, str]] = [
    ("empty.jsonl", b"", "the file is empty"),
    ("empty.jsonl.gz", b"", "the file is empty"),
    ("empty.jsonl.zst", b"", "the file is empty"),
    ("blank.jsonl", b"\n\n\n", "nothing in it"),
    ("text.jsonl", b"Dear diary,\ntoday\n", "not a tape"),
    ("number.jsonl", b"1\n", "not a tape"),
    ("list.jsonl", b"[1,2]\n", "not a tape"),
    ("object.jsonl", b'{"hello":1}\n', "not a tape"),
    ("binary.jsonl", bytes(range(256)) * 9, "not a tape"),
    ("nested.jsonl", b"[" * 100_000 + b"\n", "not a tape"),
    ("headless.jsonl", json_bytes(line(0, agg("1", 1, 0))) + b"\n", "the header is missing"),
    ("newer.jsonl", b'{"tape":99}\n', "newer than this program knows"),
    ("zero.jsonl", b'{"tape":0}\n', "does not exist"),
    ("header.jsonl", b'{"tape":1,"plans":[]}\n', "header is wrong"),
    ("hft.jsonl", b'1723161255088176367 {"stream":"x","data":{}}\n', "--from hftbacktest"),
    ("plain.jsonl.zst", b'{"tape":1}\n', "not what the suffix .zst says"),
    ("packed.jsonl", gzip.compress(b'{"tape":1}\n'), "the suffix .gz"),
    ("cut.jsonl", b'{"tape":1', "no complete first line"),
]


@pytest.mark.parametrize(
    ("name", "content", "why"), NO_TAPES, ids=[name for name, _, _ in NO_TAPES]
)
def test_what_is_no_tape_is_refused(
    name: str, content: bytes, why: str, tmp_path: Path, capfd: Capture
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    said = refused(capfd, "replay", path, *LONG)
    assert why in said
    assert name in said


def test_what_is_no_file_is_refused(tmp_path: Path, capfd: Capture) -> None:
    assert "no such file" in refused(capfd, "replay", tmp_path / "none.jsonl")
    assert "a directory" in refused(capfd, "replay", tmp_path)


def test_one_bad_tape_among_several_is_refused_before_anything_is_played(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    good = tmp_path / "good.jsonl"
    good.write_bytes(tape_bytes(ticks("100", "98")))
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"no\n")
    assert "bad.jsonl" in refused(capfd, "replay", good, bad, "--plan", plan, "--json", *LONG)


# Cut and damaged tapes ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [0.5, 0.9, 0.999])
def test_a_cut_archive_gives_every_line_before_the_cut(
    suffix: str, keep: float, tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    # The stop is crossed at the fourth tick; prices behind it make the rest of the file.
    lines = ticks("100", "100.1", "100.2", "98", *[f"{100 + n % 7}.{n % 90}" for n in range(4000)])
    path = packed(tape_bytes(lines), tmp_path / f"cut.jsonl{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    ran = replayed(capfd, path, plan)
    assert [exit_["price"] for exit_ in ran.of("exit")] == ["98"]
    assert ran.summary["skipped"] == 1
    assert 0 < ran.summary["ticks"] < 4004
    assert "is cut here" in ran.err


def test_a_tape_cut_within_its_header_is_refused(tmp_path: Path, capfd: Capture) -> None:
    for name in ("x.jsonl.gz", "x.jsonl.zst"):
        path = packed(tape_bytes(ticks("100")), tmp_path / name)
        for length in (1, 3, 5, 12):
            path.write_bytes(path.read_bytes()[:length])
            refused(capfd, "replay", path)


def test_a_cut_last_line_costs_that_line(tmp_path: Path, plan: Path, capfd: Capture) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes(ticks("100", "98", "97"))[:-20])
    ran = replayed(capfd, path, plan)
    assert ran.summary["skipped"] == 1
    assert len(ran.of("exit")) == 1
    assert "line 4: cut" in ran.err


DAMAGED: list[bytes] = [
    b"",
    b"no JSON",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"12",
    b'{"tape":1}',
    b'{"t":1}',
    b'{"t":"1","c":"market","m":{}}',
    b'{"t":-1,"c":"market","m":{}}',
    b'{"t":1.5,"c":"market","m":{}}',
    b'{"t":99999999999999999999,"c":"market","m":{}}',
    b'{"t":9223372036854775807,"c":"market","m":{}}',
    b'{"t":null,"c":"market","m":{}}',
    b'{"t":1790000000500000000,"c":"markets","m":{}}',
    b'{"t":1790000000500000000,"c":1,"m":{}}',
    b'{"t":1790000000500000000,"c":"market"}',
    b'{"t":1790000000500000000,"c":"market","d":"sideways","m":{}}',
    b'{"t":1790000000500000000,"c":"market","m":}',
    b'{"t":1790000000500000000,"c":"market","m":' + b"[" * 50_000,
    b"\xff\xfe\x00\x00",
    b'{"t":1790000000500000000,"c":"market","m":"\xc3\x28"}',
    b"x" * 300_000,
]
NO_FRAMES: list[Any] = [
    None,
    1,
    "text",
    [],
    [1, None],
    {"e": 1},
    {"e": "aggTrade"},
    {"e": "aggTrade", "s": "BTCUSDT", "p": 98, "a": 2, "T": 1},
    {"e": "aggTrade", "s": "BTCUSDT", "p": ["98"], "a": 2, "T": 1},
    {"e": "aggTrade", "s": 1, "p": "98", "a": 2, "T": 1},
    {"e": "aggTrade", "s": "BTCUSDT", "p": "98", "a": "2", "T": 1},
    {"e": "aggTrade", "s": "BTCUSDT", "p": "98", "a": 2.5, "T": 1},
    {"e": "aggTrade", "s": "BTCUSDT", "p": "98", "a": 2, "T": "now"},
    {"e": "aggTrade", "s": "BTCUSDT", "p": "98", "a": 2, "T": -5},
    {"e": "aggTrade", "s": "BTCUSDT", "p": "98", "a": 2, "T": 10**14},
    {"e": "aggTrade", "s": None, "p": None, "a": None, "T": None},
    {"stream": 1, "data": {"e": "aggTrade"}},
    {"stream": "btcusdt@aggTrade", "data": None},
    {"stream": "btcusdt@aggTrade", "data": [1]},
    {"stream": "btcusdt@aggTrade"},
]
NO_MESSAGES: list[tuple[str, Any]] = [
    ("private", {"e": "ACCOUNT_UPDATE"}),
    ("private", {"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"P": [{"s": "BTCUSDT"}]}}),
    ("private", {"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": 5}),
    ("private", [1]),
    ("private", 5),
    ("rest", {"method": "GET"}),
    ("rest", "text"),
    ("rest", {"method": "GET", "path": "/fapi/v1/klines", "status": 200, "body": [[1, 2]]}),
    ("rest", {"method": "GET", "path": "/fapi/v3/positionRisk", "status": 200, "body": [{}]}),
    ("rest", {"method": "GET", "path": "/fapi/v1/exchangeInfo", "status": 200, "body": []}),
    ("order", {"id": [1]}),
    ("order", {"id": 1, "result": {"executedQty": 5}}),
    ("order", 7),
    ("control", {"command": "close"}),
    ("control", {"command": "close", "symbol": "BTCUSDT", "side": "BOTH"}),
    ("control", {"command": "set_stop", "symbol": "BTCUSDT", "side": "LONG"}),
    ("control", {"command": "set_stop", "symbol": "BTCUSDT", "side": "LONG", "price": "NaN"}),
    ("control", {"command": "set_stop", "symbol": "BTCUSDT", "side": "LONG", "price": "-1"}),
    ("control", {"command": "set_stop", "symbol": "BTCUSDT", "side": "LONG", "price": "1e999"}),
    ("link", {}),
    ("link", []),
]


@pytest.mark.parametrize("envelope", [False, True])
def test_what_cannot_be_read_costs_its_line_and_nothing_after_it(
    envelope: bool, tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    bad: list[bytes] = [raw for raw in DAMAGED if raw]
    bad += [json_bytes(line(0.5, frame)) for frame in NO_FRAMES]
    bad += [json_bytes(line(0.5, message, channel=channel)) for channel, message in NO_MESSAGES]
    first, second, *rest = ticks("100", "100", "98", envelope=envelope)
    for raw in bad:
        path = tmp_path / "x.jsonl"
        path.write_bytes(tape_bytes([first, raw, second, raw, *rest]))
        ran = replayed(capfd, path, plan)
        assert [(exit_["tick"], exit_["price"]) for exit_ in ran.of("exit")] == [(3, "98")], raw
        # Some of it is a reply or an event without a use; that is no damage and is not counted.
        assert ran.summary["skipped"] in {0, 2, 4}, raw
        said = re.findall(r"line [35].*skipped", ran.err)
        assert len(said) == ran.summary["skipped"], raw
        assert ran.summary["ticks"] == 3


def test_all_damage_at_once_is_told_line_by_line(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    first, *rest = ticks("100", "98")
    damaged = [raw for raw in DAMAGED if raw]
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes([first, *damaged, *rest]))
    ran = replayed(capfd, path, plan)
    assert ran.summary["skipped"] == len(damaged)
    assert len(ran.of("exit")) == 1
    for number in range(3, 3 + len(damaged)):
        assert re.search(rf"^line {number}( \(market\))?: ", ran.err, re.MULTILINE)


# Absurd prices ------------------------------------------------------------------------------------

ABSURD = ["0", "0.0", "-1", "-98", "NaN", "nan", "Infinity", "-inf", "1e308", "1E+400", "1e-30"]
ABSURD += ["", " ", "abc", "98,5", "0x62", "９８", "1_0", "+98", "9" * 400]


@pytest.mark.parametrize("price", ABSURD, ids=[f"{n}" for n in range(len(ABSURD))])
@pytest.mark.parametrize("source", ["last", "trade", "mark", "book"])
@pytest.mark.parametrize("envelope", [False, True])
def test_an_absurd_price_moves_nothing_and_loses_nothing(
    price: str, source: str, envelope: bool, tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    def frame(text: str, number: int) -> Any:
        second = float(number)
        if source == "mark":
            made = mark(text, second)
        elif source == "book":
            made = book(text, text, number, second)
        elif source == "trade":
            made = trade(text, number, second)
        else:
            made = agg(text, number, second)
        return line(second, in_envelope(made) if envelope else made)

    plan.write_text(PLAN + '[trailing]\nactivate = "in_profit"\npct = 0.005\n')
    path = tmp_path / "x.jsonl"
    prices = ["100", price, "100", price, price, "98"]
    path.write_bytes(tape_bytes([frame(text, n) for n, text in enumerate(prices, 1)]))
    trigger = "last" if source == "trade" else source
    ran = replayed(capfd, path, plan, *LONG, "--trigger", trigger)
    assert ran.summary["skipped"] == 3
    assert ran.summary["ticks"] == 3
    assert [exit_["price"] for exit_ in ran.of("exit")] == (["98"] if source != "book" else [])
    assert ran.of("stop") == []
    if source == "book":
        # A book's stop asks for two ticks in a row.
        path.write_bytes(
            tape_bytes([frame(text, n) for n, text in enumerate([*prices, price, "97"], 1)])
        )
        ran = replayed(capfd, path, plan, *LONG, "--trigger", trigger)
        assert [exit_["price"] for exit_ in ran.of("exit")] == ["97"]


def test_half_an_absurd_book_is_no_book(tmp_path: Path, plan: Path, capfd: Capture) -> None:
    path = tmp_path / "x.jsonl"
    rows = [("100", "101"), ("98", "0"), ("98", "1e308"), ("-98", "99"), ("98", "99"), ("97", "98")]
    path.write_bytes(
        tape_bytes([line(n, book(bid, ask, n + 1, n)) for n, (bid, ask) in enumerate(rows)])
    )
    ran = replayed(capfd, path, plan, *LONG, "--trigger", "book")
    assert (ran.summary["skipped"], ran.summary["ticks"]) == (3, 3)
    assert [exit_["price"] for exit_ in ran.of("exit")] == ["97"]


def test_a_bad_price_at_the_instant_of_a_time_stop_does_not_swallow_its_exit(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    plan.write_text(PLAN + "[time_stop]\nseconds = 5\n")
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        tape_bytes(
            [line(0, agg("100", 1, 0)), line(9, agg("0", 2, 9)), line(10, agg("100", 3, 10))]
        )
    )
    ran = replayed(capfd, path, plan)
    assert [exit_["reasons"] for exit_ in ran.of("exit")] == [["time_stop"]]
    assert ran.summary["skipped"] == 1


def test_a_number_where_a_price_text_belongs_costs_its_element_of_an_array_only(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    path = tmp_path / "x.jsonl"
    array = [mark("98", 1, symbol="ETHUSDT"), {**mark("98", 1), "p": 98}, mark("98", 1)]
    path.write_bytes(tape_bytes([line(0, [mark("100", 0)]), line(1, array)]))
    ran = replayed(capfd, path, plan, *LONG, "--trigger", "mark")
    assert ran.summary["skipped"] == 1
    assert len(ran.of("exit")) == 1


# Order of time, duplicates ------------------------------------------------------------------------


def test_time_that_runs_backwards_is_said_and_every_tick_counts(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    lines = [line(10, agg("100", 1, 10)), line(3, agg("100", 2, 10)), line(4, agg("98", 3, 10))]
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes(lines))
    ran = replayed(capfd, path, plan)
    assert ran.err.splitlines() == [
        (
            "line 3: receive time runs backwards by 7.000 s;"
            " what follows counts as received at the latest time so far"
        )
    ]
    assert ran.of("exit")[0]["t"] == lines[0]["t"]
    assert ran.summary["ticks"] == 3


def test_one_receive_time_beyond_this_century_does_not_stop_the_clock(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    plan.write_text(PLAN + "[time_stop]\nseconds = 60\n")
    first, second, third = ticks("100", "100", "98")
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes([first, {**second, "t": 2**63 - 1}, third]))
    ran = replayed(capfd, path, plan)
    assert ran.of("exit")[0]["reasons"] == ["stop_loss"]
    assert ran.of("exit")[0]["t"] == third["t"]
    assert ran.summary["skipped"] == 1


@pytest.mark.parametrize("envelope", [False, True])
def test_frames_that_come_twice_count_once(
    envelope: bool, tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    plan.write_text(PLAN.replace("[stop]", "confirm_ticks = 2\n[stop]"))
    once = ticks("100", "98.9", "100", "98.8", "98.7", envelope=envelope)
    twice = [one for one in once for _ in range(3)]
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes(twice))
    ran = replayed(capfd, path, plan)
    # One price through the stop, however often it comes, is no second one.
    assert [(exit_["tick"], exit_["price"]) for exit_ in ran.of("exit")] == [(5, "98.7")]
    assert ran.summary["ticks"] == 5
    assert ran.summary["duplicates"] == 10


# Symbols that never come --------------------------------------------------------------------------


def test_a_position_of_an_unknown_symbol_is_said_and_counted(
    tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes(ticks("100", "98")))
    asked = ("--position", "BTCUSTD:LONG:1@100", "--position", "BTCUSDT:LONG:1@100")
    ran = replayed(capfd, path, plan, *asked, "--atr", "BTCUSD=5", "--tick", "BTCUSDT=0.1")
    assert ran.summary["never_ticked"] == ["BTCUSTD:LONG"]
    assert len(ran.of("exit")) == 1
    said = ran.err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("BTCUSTD LONG: no 'last' price of BTCUSTD came")
    assert said[1].startswith("--atr BTCUSD: no price of BTCUSD came")


def test_a_source_that_never_ticks_is_said(tmp_path: Path, plan: Path, capfd: Capture) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(tape_bytes(ticks("100", "98")))
    ran = replayed(capfd, path, plan, *LONG, "--trigger", "book")
    assert ran.summary["never_ticked"] == ["BTCUSDT:LONG"]
    assert "--trigger mark|last|book" in ran.err
    assert ran.of("exit") == []


# Plans --------------------------------------------------------------------------------------------

STOP = "[stop]\npct = 0.01\n"
BAD_PLANS: list[tuple[str, str]] = [
    ("", "no [stop]"),
    ("name = 'x'\n", "no [stop]"),
    ("not toml at all", "not a TOML file"),
    (STOP + "[stop\n", "not a TOML file"),
    ("trigger = 'lats'\n" + STOP, "trigger"),
    ("triger = 'last'\n" + STOP, "triger"),
    ("[stop]\npct = 0.01\nfallbak_pct = 0.01\n", "fallbak_pct"),
    (STOP + "[[target]]\nr = 1\nclose = 1\n", "target"),
    (STOP + "[trailling]\npct = 0.1\n", "trailling"),
    ("[stop]\n", "exactly one"),
    ("[stop]\natr = 1\npct = 0.01\n", "atr and pct"),
    ("[stop]\npct = 1\n", "out of range"),
    ("[stop]\npct = 0\n", "out of range"),
    ("[stop]\npct = -0.01\n", "out of range"),
    ("[stop]\npct = nan\n", "out of range"),
    ("[stop]\npct = inf\n", "out of range"),
    ("[stop]\npct = '0.01'\n", "take the quotes away"),
    ("[stop]\npct = true\n", "stop.pct"),
    ("[stop]\natr = 1e9999999999\n", "out of range"),
    (STOP + "[[targets]]\nr = 1\nclose = 0.6\n[[targets]]\nr = 2\nclose = 0.5\n", "sum to 1"),
    (STOP + "[[targets]]\nr = 1\npct = 0.1\nclose = 0.6\n", "give one of them"),
    (STOP + "[[targets]]\nclose = 0.6\n", "exactly one"),
    (STOP + "[[targets]]\nr = 1\n", "close"),
    (STOP + "[[targets]]\nr = 1\nclose = 1.5\n", "out of range"),
    (STOP + "[trailing]\nactivate = 'in_profit'\npct = 1.0\n", "out of range"),
    (STOP + "[trailing]\nactivate = 'in_profit'\npct = 0.1\natr = 1\n", "give one of them"),
    (STOP + "[trailing]\nactivate = 'in_profit'\n", "exactly one"),
    (STOP + "[trailing]\nactivate = 'sometimes'\npct = 0.1\n", "activate"),
    (STOP + "[trailing]\nactivate = 'at_r'\npct = 0.1\n", "needs trailing.value"),
    (STOP + "[trailing]\nactivate = 'after_rung'\nvalue = 1\npct = 0.1\n", "0"),
    (
        STOP + "[[targets]]\nr = 1\nclose = 1\n"
        "[trailing]\nactivate = 'after_rung'\nvalue = 2\npct = 0.1\n",
        "this plan has 1",
    ),
    (STOP + "[break_even]\nat_r = 1\nat_pct = 0.01\n", "give one of them"),
    (STOP + "[break_even]\noffset_pct = 0.1\noffset = 'costs'\n", "give one of them"),
    (STOP + "[harvest]\ntrigger_pct = 0\nfraction = 0.2\n", "out of range"),
    (STOP + "[harvest]\ntrigger_pct = 0.1\nfraction = 2\n", "out of range"),
    (STOP + "[time_stop]\nseconds = -5\n", "out of range"),
    (STOP + "[atr]\nperiod = 0\n", "out of range"),
    (STOP + "[atr]\ninterval = '7m'\n", "7m"),
    (STOP + "[atr]\nmethod = 'ema'\n", "ema"),
    ("confirm_ticks = 0\n" + STOP, "out of range"),
    ("max_tick_jump_pct = 5\n" + STOP, "out of range"),
]


@pytest.mark.parametrize(("toml", "why"), BAD_PLANS, ids=[f"{n}" for n in range(len(BAD_PLANS))])
def test_a_plan_that_is_wrong_is_refused(
    toml: str, why: str, tmp_path: Path, plan: Path, capfd: Capture
) -> None:
    plan.write_text(toml)
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100")))
    said = refused(capfd, "replay", tape, "--plan", plan, "--json", *LONG)
    assert why in said
    assert "mine.toml" in said
    levels = ("levels", "--entry", "100", "--atr", "1", "--side", "LONG")
    assert refused(capfd, *levels, "--plan", plan) == said
    # The same plan in the tape's own header, where it is JSON.
    if "not a TOML" in said or "quotes" in said:
        return
    tape.write_bytes(tape_bytes(ticks("100"), header={"plans": {"mine": toml}}))
    said = refused(capfd, "replay", tape, "--json")
    assert why in said
    assert "header" in said


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path, capfd: Capture) -> None:
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100")))
    assert "shipped: challenge_100" in refused(capfd, "replay", tape, "--plan", "trend_folow")
    assert "No such file" in refused(capfd, "replay", tape, "--plan", tmp_path / "none.toml")
    assert "Is a directory" in refused(capfd, "replay", tape, "--plan", f"{tmp_path}/")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refused(capfd, "replay", tape, "--plan", binary)


def test_a_configuration_is_looked_through_before_the_play(tmp_path: Path, capfd: Capture) -> None:
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100", "98")))
    config = tmp_path / "reactor.toml"
    for toml, why in (
        ("plan = 'nonesuch'\n", "nonesuch"),
        ("[symbols.ETHUSDT]\nplan = 'nonesuch'\n", "nonesuch"),
        ("[symbols.ETHUSDT]\nshort = 'nonesuch'\n", "nonesuch"),
        ("[symbols.ETHUSDT]\ntick = '0'\n", "must be above 0"),
        ("[symbols.ETHUSDT]\nstep = 'nan'\n", "must be above 0"),
        ("[symbols.ETHUSDT]\ntick = 'abc'\n", "reactor.toml"),
        ("[symbols]\nETHUSDT = 5\n", "reactor.toml"),
        ("pla = 'fast_tp'\n", "pla"),
        ("= 5\n", "not a TOML file"),
        ("x = " + "[" * 2000, "not a TOML file"),
    ):
        config.write_text(toml)
        said = refused(capfd, "replay", tape, "--config", config, "--json", *LONG)
        assert why in said, toml
    assert "No such file" in refused(capfd, "replay", tape, "--config", tmp_path / "none.toml")
    tape.write_bytes(tape_bytes(ticks("100"), header={"config": {"plan": 5}}))
    assert "the tape's header" in refused(capfd, "replay", tape, "--json")


# Options ------------------------------------------------------------------------------------------

BAD_OPTIONS: list[tuple[list[str], str]] = [
    (["--position", "BTCUSDT"], "SYMBOL:SIDE:QTY@ENTRY"),
    (["--position", "BTCUSDT:UP:1@100"], "LONG or SHORT"),
    (["--position", "BTCUSDT:LONG:0@100"], "above 0"),
    (["--position", "BTCUSDT:LONG:1@-100"], "above 0"),
    (["--position", "BTCUSDT:LONG:NaN@100"], "not a number"),
    (["--position", "BTCUSDT:LONG:1_0@100"], "not a number"),
    (["--position", "BTCUSDT:LONG:１@100"], "not a number"),
    (["--position", "BTCUSDT:LONG:1@1e308"], "no number that a market could have"),
    (["--position", "BTCUSDT:LONG:1@1e13"], "out of range"),
    (["--position", "BTCUSDT:LONG:1e-30@100"], "at least"),
    (["--position", "BTCUSDT:LONG:1@100\nX"], "not a number"),
    ([*LONG, *LONG], "given twice"),
    (["--atr", "BTCUSDT"], "SYMBOL=VALUE"),
    (["--atr", "=5"], "SYMBOL=VALUE"),
    (["--atr", "BTCUSDT=0"], "above 0"),
    (["--tick", "BTCUSDT=-0.1"], "above 0"),
    (["--step", "BTCUSDT=x"], "not a number"),
    (["--min-qty", "BTCUSDT=inf"], "not a number"),
    (["--input", "BTCUSDT:leverage"], "SYMBOL:leverage=20"),
    (["--input", "BTCUSDT:leverage=0"], "above 0"),
    (["--input", "BTCUSDT:margin=-1"], "above 0"),
    (["--input", "BTCUSDT:liquidation_price=-1"], "must not be negative"),
    (["--input", "BTCUSDT:laverage=20"], "there is no input 'laverage'"),
    (["--speed", "-1"], "0 or more"),
    (["--speed", "nan"], "0 or more"),
    (["--speed", "inf"], "0 or more"),
    (["--speed", "fast"], "invalid float value"),
    (["--trigger", "index"], "invalid choice"),
    (["--fill", "never"], "invalid choice"),
    (["--engine", "gpu"], "invalid choice"),
    (["--symbol", "BTCUSDT"], "tapes say so themselves"),
    (["--verfy"], "unrecognized arguments"),
    (["--verif"], "unrecognized arguments"),
    (["--report", "/nonexistent/folder/x.html"], "a folder that exists"),
    (["--position"], "expected one argument"),
]


@pytest.mark.parametrize(
    ("words", "why"), BAD_OPTIONS, ids=["_".join(words)[:40] for words, _ in BAD_OPTIONS]
)
def test_an_option_that_is_wrong_is_refused(
    words: list[str], why: str, tmp_path: Path, capfd: Capture
) -> None:
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100")))
    assert why in refused(capfd, "replay", tape, *words)


def test_a_report_never_replaces_a_recording(tmp_path: Path, capfd: Capture) -> None:
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100")))
    before = tape.read_bytes()
    said = refused(capfd, "replay", tape, "--report", tmp_path / "." / "x.jsonl")
    assert "would replace a recording" in said
    assert tape.read_bytes() == before


# Candle files and levels --------------------------------------------------------------------------

HEADER = "open_time,open,high,low,close\n"
GOOD = "0,1,2,1,2\n60000,2,3,2,3\n"
BAD_CANDLES: list[tuple[str, str]] = [
    ("", "is empty"),
    ("open_time,open,high,low\n" + GOOD, "no column close"),
    ("time,open,high,low,close\n" + GOOD, "no column open_time"),
    (HEADER + GOOD + "120000,1,2,1\n", "line 4: the row has 4 columns"),
    (HEADER + GOOD + "120000,1,2,1,x\n", "line 4: price 'x' is not a number"),
    (HEADER + GOOD + "120000,1,2,1,\n", "line 4: price '' is not a number"),
    (HEADER + GOOD + "120000,1,2,1,1_0\n", "line 4"),
    (HEADER + GOOD + "120000,1,nan,1,1\n", "line 4"),
    (HEADER + GOOD + "120000,1,inf,1,1\n", "line 4"),
    (HEADER + GOOD + "120000,1,1e308,1,1\n", "line 4"),
    (HEADER + GOOD + "120000,1,2,0,1\n", "line 4"),
    (HEADER + GOOD + "120000,1,2,-1,1\n", "line 4"),
    (HEADER + GOOD + "120000,1,2,3,1\n", "lies outside low to high"),
    (HEADER + GOOD + "120000,5,2,1,1\n", "lies outside low to high"),
    (HEADER + GOOD + "60000,2,3,2,3\n", "is not after the row before"),
    (HEADER + GOOD + "soon,2,3,2,3\n", "not a whole number"),
    (HEADER + GOOD + "-1,2,3,2,3\n", "is negative"),
    (HEADER + GOOD + "1.5,2,3,2,3\n", "not a whole number"),
]


@pytest.mark.parametrize(
    ("text", "why"), BAD_CANDLES, ids=[f"{n}" for n in range(len(BAD_CANDLES))]
)
def test_a_candle_file_with_a_bad_row_is_refused(
    text: str, why: str, tmp_path: Path, capfd: Capture
) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(text)
    said = refused(capfd, "atr", path, "--period", "1")
    assert why in said
    assert "candles.csv" in said


def test_a_candle_file_that_cannot_be_read_is_refused(tmp_path: Path, capfd: Capture) -> None:
    path = tmp_path / "x.csv.gz"
    whole = gzip.compress((HEADER + GOOD * 1).encode())
    for content in (whole[:-9], b"text", whole[:20] + b"\0" * 9 + whole[29:], b""):
        path.write_bytes(content)
        refused(capfd, "atr", path)
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    refused(capfd, "atr", binary)
    refused(capfd, "atr", tmp_path)
    refused(capfd, "atr", tmp_path / "none.csv")
    path.write_bytes(whole)
    refused(capfd, "atr", path, "--period", "0")
    refused(capfd, "atr", path, "--period", "x")
    refused(capfd, "atr", path, "--method", "ema")
    assert run(capfd, "atr", path, "--period", "1").out == "60000,1.0\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--entry", "0"], "above 0"),
        (["--entry", "x"], "not a number"),
        (["--entry", "1e300"], "no number that a market could have"),
        (["--atr", "0"], "above 0"),
        (["--atr", "NaN"], "not a number"),
        (["--side", "UP"], "invalid choice"),
        (["--plan", "nonesuch"], "there is no plan"),
        (["--tick", "-1"], "above 0"),
    ],
)
def test_levels_of_what_no_market_has_are_refused(
    words: list[str], why: str, capfd: Capture
) -> None:
    good = ["--entry", "100", "--atr", "1", "--side", "LONG"]
    assert why in refused(capfd, "levels", *good, *words)


# Real recordings, damaged -------------------------------------------------------------------------


def test_a_real_recording_with_a_torn_middle_still_decides(tmp_path: Path, capfd: Capture) -> None:
    frames = []
    with gzip.open(recording("ws_hftbacktest", "btcusdt_20240808.gz"), "rb") as file:
        for raw in file:
            t, _, frame = raw.strip().partition(b" ")
            if b'"e":"trade"' in frame:
                frames.append(b'{"t":%s,"c":"public","m":%s}' % (t, frame))
            if len(frames) == 9000:
                break
    asked = (
        "--position",
        "BTCUSDT:SHORT:1@61800",
        "--trigger",
        "last",
        "--plan",
        "fast_tp",
        "--json",
    )
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(frames))
    whole = run(capfd, "replay", tape, *asked, "--atr", "BTCUSDT=60")
    # Every tenth line torn in the middle, but for those around the decisions.
    decided = {str(decision["tick"]) for decision in whole.lines if "tick" in decision}
    torn = [
        frame[: len(frame) // 2] if n % 10 == 3 and str(n + 1) not in decided else frame
        for n, frame in enumerate(frames)
    ]
    tape.write_bytes(tape_bytes(torn))
    ran = run(capfd, "replay", tape, *asked, "--atr", "BTCUSDT=60")
    assert ran.code == 0
    assert ran.summary["skipped"] == sum(
        len(a) != len(b) for a, b in zip(torn, frames, strict=True)
    )
    assert ran.summary["ticks"] + ran.summary["skipped"] == 9000

    def what(of: Ran) -> list[tuple[Any, ...]]:
        keys = ("type", "price", "stop", "quantity", "kind", "reasons", "realized")
        return [tuple(json.dumps(one.get(key)) for key in keys) for one in of.lines[:-1]]

    assert what(ran) == what(whole)
    assert len(whole.of("exit")) > 0
