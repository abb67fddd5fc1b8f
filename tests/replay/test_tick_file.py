"""Files of plain ticks: what is read, what is left out and told, and what is refused in one line."""

import gzip
import io
import json
import pickle
import zipfile
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replayed import START_NS, SYMBOL, Replayed, recording, through_file

from reactor.core.plan import plan_from_toml
from reactor.errors import BadInputError, ConfigError, TapeError
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.tick_file import NO_TIME_NS, TickFile, is_tick_file, read_tick_file

D = Decimal
PLAN = plan_from_toml('name = "mine"\n[stop]\npct = 0.01\n', source="here")
T_S = START_NS // 1_000_000_000


def options(**more: Any) -> ReplayOptions:
    return ReplayOptions(
        plan=PLAN, positions=(AskedPosition(SYMBOL, "LONG", D(1), D(100)),), **more
    )


def csv_file(folder: Path, text: str, name: str = "ticks.csv") -> Path:
    path = folder / name
    path.write_bytes(
        gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode()
    )
    return path


def npz_file(folder: Path, **arrays: Any) -> Path:
    path = folder / "ticks.npz"
    np.savez(path, **arrays)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(TapeError) as caught:
        read_tick_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("t", T_S),
        ("time", T_S * 1_000),
        ("timestamp", T_S * 1_000_000),
        ("ts", T_S * 1_000_000_000),
        ("t_ns", T_S * 1_000_000_000),
        ("t_us", T_S * 1_000_000),
        ("ts_ms", T_S * 1_000),
        ("t_s", T_S),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "npz", "npz of floats"])
def test_times_are_told_by_name_or_size(name: str, time: int, kind: str, tmp_path: Path) -> None:
    if kind.startswith("npz"):
        times = np.array([time], dtype=np.float64 if "floats" in kind else np.int64)
        path = npz_file(tmp_path, price=np.array([100.5]), **{name: times})
    else:
        path = csv_file(tmp_path, f"{name},price\n{time},100.5\n", f"x.{kind}")
    ticks = read_tick_file(path)
    assert ticks.t_ns.tolist() == [T_S * 1_000_000_000]
    assert ticks.prices.tolist() == [100.5]
    assert (ticks.exact, ticks.has_times, ticks.damage_count) == (True, True, 0)


def test_a_unit_in_the_name_overrules_the_size(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "t_ms,price\n1700000000,100\n")
    assert read_tick_file(path).t_ns.tolist() == [1_700_000_000_000_000]


def test_fractions_of_a_second_are_exact_in_text(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "t,price\n1790000000.123456789,100\n1790000000.2,100\n")
    assert read_tick_file(path).t_ns.tolist() == [1790000000123456789, 1790000000200000000]


def test_without_times_ticks_are_a_millisecond_apart_and_that_is_said(tmp_path: Path) -> None:
    for path in (
        csv_file(tmp_path, "price,volume\n100,1\n98,1\n"),
        npz_file(tmp_path, price=[100.0, 98.0], when=[1, 2]),
    ):
        ticks = read_tick_file(path)
        assert (ticks.t_ns.tolist(), ticks.has_times) == ([0, 1_000_000], False)
        replayed = through_file(path, options())
        assert [line["t"] for line in replayed.of("exit")] == [1_000_000]
        assert any("no column of times" in note for note in replayed.notes)


@pytest.mark.parametrize(
    "times",
    [
        np.array([5.0, nan, inf, -1.0, 1e300]),
        np.array([5, -1, -(2**63), 2**63 - 1, 4_200_000_000_000_000_000]),
        np.array([5, 2**64 - 1, 2**63, 2**63 - 1, 2**63 + 5], dtype=np.uint64),
    ],
)
def test_times_outside_1970_to_2100_are_no_times(times: Any, tmp_path: Path) -> None:
    ticks = read_tick_file(npz_file(tmp_path, t_ns=times, price=np.full(5, 100.0)))
    assert ticks.t_ns.tolist() == [5] + [NO_TIME_NS] * 4


def test_a_unit_that_makes_times_too_large_does_not_wrap_around(tmp_path: Path) -> None:
    path = npz_file(tmp_path, t_s=np.array([T_S, T_S * 1_000_000]), price=[100.0, 100.0])
    assert read_tick_file(path).t_ns.tolist() == [T_S * 1_000_000_000, NO_TIME_NS]
    path = csv_file(tmp_path, f"t_s,price\n{T_S},100\n{T_S}000000,100\n1e999999,100\nnan,100\n")
    assert read_tick_file(path).t_ns.tolist() == [T_S * 1_000_000_000] + [NO_TIME_NS] * 3


# Prices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["price", "p", "last", "close", " Price ", '"PRICE"'])
def test_the_price_column_has_several_names(name: str, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f'\ufefft,{name},side\r\n1,100.5,buy\r\n\r\n2,"101",sell\r\n')
    ticks = read_tick_file(path)
    assert ticks.prices.tolist() == [100.5, 101.0]
    assert ticks.damage == ()


def test_single_precision_means_its_shortest_text(tmp_path: Path) -> None:
    path = npz_file(tmp_path, price=np.array([61734.2, 0.1], dtype=np.float32))
    assert read_tick_file(path).prices.tolist() == [61734.2, 0.1]
    path = npz_file(tmp_path, price=np.array([61734, 61735], dtype=np.int32))
    assert read_tick_file(path).prices.tolist() == [61734.0, 61735.0]


def test_more_digits_than_a_double_has_are_kept_as_text(tmp_path: Path) -> None:
    # A LONG @ 100 has its stop at 99; as doubles both prices would be 99 exactly.
    path = csv_file(tmp_path, "t,price\n1,100\n2,99.00000000000000001\n3,98.99999999999999999\n")
    ticks = read_tick_file(path)
    assert not ticks.exact
    assert ticks.texts == ["100", "99.00000000000000001", "98.99999999999999999"]
    replayed = through_file(path, options())
    assert [(line["tick"], line["price"]) for line in replayed.of("exit")] == [
        (3, "98.99999999999999999")
    ]
    assert any("more digits than a double keeps" in note for note in replayed.notes)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf", "0", "-1", "1e308", "1e-13", "1e13"])
@pytest.mark.parametrize("engine", ["auto", "walk", "columns"])
def test_a_price_that_is_none_is_skipped_and_counted(bad: str, engine: Any, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"t,price\n1,100\n2,{bad}\n3,{bad}\n4,98\n")
    replayed = through_file(path, options(engine=engine))
    assert replayed.summary["skipped"] == 2
    assert replayed.summary["ticks"] == 2
    assert [line["price"] for line in replayed.of("exit")] == ["98"]
    assert sum(note.startswith("tick ") for note in replayed.notes) == 2


def test_a_time_stop_that_is_due_at_a_bad_price_is_not_lost(tmp_path: Path) -> None:
    plan = plan_from_toml(
        'name = "mine"\n[stop]\npct = 0.01\n[time_stop]\nseconds = 5\n', source="here"
    )
    path = csv_file(tmp_path, f"t,price\n{T_S},100\n{T_S + 9},0\n")
    asked = ReplayOptions(plan=plan, positions=options().positions)
    replayed = through_file(path, asked)
    assert [line["reasons"] for line in replayed.of("exit")] == [["time_stop"]]
    assert replayed.of("exit")[0]["t"] == START_NS + 5_000_000_000


def test_time_that_runs_backwards_is_said_once_and_stands_still(tmp_path: Path) -> None:
    rows = [(T_S + 10, "100"), (T_S + 3, "100"), (T_S + 4, "98"), (T_S + 20, "100"), (T_S, "100")]
    path = csv_file(tmp_path, "t,price\n" + "".join(f"{t},{p}\n" for t, p in rows))
    replayed = through_file(path, options())
    assert replayed.of("exit")[0]["t"] == START_NS + 10_000_000_000
    assert [note for note in replayed.notes if "backwards by" in note] == [
        (
            "tick 2: receive time runs backwards by 7.000 s;"
            " what follows counts as received at the latest time so far"
        ),
        (
            "tick 5: receive time runs backwards by 20.000 s;"
            " what follows counts as received at the latest time so far"
        ),
    ]
    assert replayed.summary["ticks"] == 5


def test_one_time_of_another_century_spoils_nothing_after_it(tmp_path: Path) -> None:
    path = npz_file(
        tmp_path,
        t_ns=np.array([START_NS, 2**63 - 1, START_NS + 1, -5, START_NS + 2]),
        price=np.array([100.0, 100.0, 100.0, 100.0, 98.0]),
    )
    replayed = through_file(path, options())
    assert replayed.of("exit")[0]["t"] == START_NS + 2
    assert (replayed.summary["skipped"], replayed.summary["ticks"]) == (2, 3)


# Damage -------------------------------------------------------------------------------------------


def test_rows_that_are_no_ticks_are_left_out_and_told(tmp_path: Path) -> None:
    text = "t,price\n1,100\n2\n3,abc\n4,1_0\n,99\nx,99\n5,99.5,more\n\n6,98\n7,97"
    path = csv_file(tmp_path, text)
    ticks = read_tick_file(path)
    assert ticks.prices.tolist() == [100.0, 99.5, 98.0, 97.0]
    assert [damage.line for damage in ticks.damage] == [3, 4, 5, 6, 7]
    replayed = through_file(path, options())
    assert replayed.summary["skipped"] == 5
    assert [line["price"] for line in replayed.of("exit")] == ["98"]
    assert "line 4: no tick: '3,abc'; skipped" in replayed.notes


def test_bytes_that_are_no_text_cost_their_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b't,price\n1,100\n\xff\xfe\x00,"\n3,98\n')
    replayed = through_file(path, options())
    assert replayed.summary["skipped"] == 1
    assert len(replayed.of("exit")) == 1


def test_a_cut_archive_gives_every_whole_row_and_no_half_number(tmp_path: Path) -> None:
    rows = "".join(f"{T_S + n},{100 + n % 7}.25\n" for n in range(5000))
    packed = gzip.compress(("t,price\n" + rows).encode(), mtime=0)
    for cut in (3000, len(packed) // 2, len(packed) - 20):
        path = tmp_path / "cut.csv.gz"
        path.write_bytes(packed[:cut])
        ticks = read_tick_file(path)
        count = len(ticks.prices)
        assert 0 < count < 5000
        assert ticks.prices.tolist() == [100.25 + n % 7 for n in range(count)]
        assert "the gzip file is cut here" in ticks.damage[-1].reason
    path.write_bytes(packed[:30])
    assert "the gzip file is cut here" in refusal(path)


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.npz"])
def test_an_empty_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"t,price\n", "there is no tick in it"),
        (b"t,price\nx,y\n", "there is no tick in it: line 2"),
        (b"a,b\n1,2\n", "no column named `price`"),
        (b"1,100\n2,99\n", "no column named `price`"),
        (b"\n\n", "no column named `price`"),
        (b"\x00\x01\x02\xff" * 50, "no column named `price`"),
        (gzip.compress(b"t,price\n1,100\n", mtime=0), "compressed"),
    ],
)
def test_a_csv_file_without_ticks_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert why in refusal(path)


class Bomb:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def bare_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([1.0]))
    return file.getvalue()


def torn_npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, t=np.arange(1000), price=np.arange(1000.0))
    raw = bytearray(file.getvalue())
    raw[200:240] = b"\0" * 40
    return bytes(raw)


@pytest.mark.parametrize(
    "content",
    [b"PK", b"PK\x03\x04 no archive", b"text", pickle.dumps(Bomb()), bare_array(), torn_npz()],
    ids=["magic", "zip", "text", "pickle", "npy", "torn"],
)
def test_an_npz_file_that_is_none_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    refusal(path)
    assert capsys.readouterr().out == ""


def test_pickled_arrays_are_refused_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = npz_file(tmp_path, price=np.array([Bomb(), Bomb()], dtype=object))
    assert "not an .npz file of numbers" in refusal(path)
    assert capsys.readouterr().out == ""


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("price.npy", b"no array")
    assert refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", b"hello")
    assert "no array named `price`" in refusal(path)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"price": np.ones((2, 2))}, "must be one row of numbers, not 2x2"),
        ({"price": np.float64(1.0)}, "not a single value"),
        ({"price": np.array(["100", "101"])}, "must be one row of numbers"),
        ({"price": np.array([1 + 2j])}, "must be one row of numbers"),
        ({"price": np.array([True])}, "must be one row of numbers"),
        ({"price": np.array([])}, "there is no tick in it"),
        ({"price": np.ones(2), "t": np.ones(3)}, "must hold one number per price"),
        ({"price": np.ones(2), "t": np.ones((2, 1))}, "must hold one number per price"),
        ({"price": np.ones(2), "t": np.array(["a", "b"])}, "must hold one number per price"),
        ({"t": np.ones(2)}, "no array named `price`"),
    ],
)
def test_arrays_of_another_shape_are_refused(
    arrays: dict[str, Any], why: str, tmp_path: Path
) -> None:
    assert why in refusal(npz_file(tmp_path, **arrays))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "Is a directory" in refusal(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (ReplayOptions(plan=PLAN), "needs --symbol"),
        (options(verify=True), "--verify"),
        (
            ReplayOptions(
                plan=PLAN,
                positions=(
                    AskedPosition("A", "LONG", D(1), D(1)),
                    AskedPosition("B", "LONG", D(1), D(1)),
                ),
            ),
            "needs --symbol",
        ),
    ],
)
def test_a_tick_file_needs_to_know_whose_it_is(
    asked: ReplayOptions, why: str, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, "t,price\n1,100\n")
    with pytest.raises(ConfigError, match=why):
        through_file(path, asked)


def test_tick_files_are_played_alone(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "t,price\n1,100\n")
    with pytest.raises(BadInputError, match="replayed alone"):
        through_file(path, options(), path)


def test_the_symbol_option_is_for_tick_files(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "t,price\n1,100\n2,90\n")
    replayed = through_file(path, ReplayOptions(plan=PLAN, symbol="ETHUSDT"))
    assert replayed.summary["ticks"] == 2
    tape = tmp_path / "x.jsonl"
    tape.write_text('{"tape":1}\n')
    with pytest.raises(ConfigError, match="--symbol"):
        through_file(tape, ReplayOptions(plan=PLAN, symbol="ETHUSDT"))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("x.csv", True), ("x.CSV.GZ", True), ("x.npz", True), ("x.jsonl", False), ("csv", False)],
)
def test_tick_files_are_told_by_their_name(name: str, is_one: bool) -> None:
    assert is_tick_file(Path(name)) is is_one


# The same ticks in three forms --------------------------------------------------------------------


def test_csv_npz_and_tape_of_the_same_trades_decide_the_same(tmp_path: Path) -> None:
    with gzip.open(recording("ws_hftbacktest", "btcusdt_20240808.gz"), "rt") as file:
        frames = [line.strip().partition(" ") for line in file if '"e":"trade"' in line][:4000]
    trades = [(int(t), json.loads(frame)["data"]["p"]) for t, _, frame in frames]
    tape = tmp_path / "x.jsonl"
    tape.write_text(
        '{"tape":1}\n' + "".join(f'{{"t":{t},"c":"public","m":{m}}}\n' for t, _, m in frames)
    )
    files = [
        tape,
        csv_file(tmp_path, "t,price\n" + "".join(f"{t},{p}\n" for t, p in trades), "x.csv.gz"),
        npz_file(
            tmp_path,
            t=np.array([t for t, _ in trades]),
            price=np.array([float(p) for _, p in trades]),
        ),
    ]
    said: list[Replayed] = []
    for path in files:
        asked = ReplayOptions(
            trigger="last",
            positions=(AskedPosition(SYMBOL, "SHORT", D(1), D("61800")),),
            atrs={SYMBOL: D(12)},
        )
        replayed = through_file(path, asked)
        assert replayed.summary["ticks"] == 4000
        said.append(replayed)
    assert said[0].lines
    assert said[0].lines == said[1].lines == said[2].lines


def test_what_is_read_stands_for_itself(tmp_path: Path) -> None:
    ticks = read_tick_file(csv_file(tmp_path, "t,price\n1,100\n"))
    assert isinstance(ticks, TickFile)
    assert ticks.prices.dtype == np.float64
    assert ticks.t_ns.dtype == np.int64
