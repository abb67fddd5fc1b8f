import hashlib
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sessions import (
    SECOND_NS,
    START_NS,
    busy,
    closed,
    exit_line,
    hedge,
    note,
    opened,
    stop,
    tiny,
    write,
)

from reactor.errors import BadInputError
from reactor.replay import report as report_module
from reactor.replay import report_page
from reactor.replay.report import Report
from reactor.replay.report_rows import compact_prices, utc_text

HOSTILE = "</script></title><img src=x onerror=alert(1)><!-- {{session}} & \u2028 'x' \""


class Reader(HTMLParser):
    """What a browser's parser sees: tags, attributes that name addresses, and the scripts' texts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.texts: dict[str, str] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given_attrs = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.addresses += [v for k, v in given_attrs.items() if k in {"src", "href", "action"}]
        self.handlers += [name for name in given_attrs if name.startswith("on")]
        if given_attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = given_attrs["content"]
        if tag not in {"meta", "link", "img"}:
            self._open.append(given_attrs.get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


def session_of(report: Report, folder: Path) -> Any:
    return json.loads(read(write(report, folder, "session")).texts["session"])


def rising(differences: list[int]) -> list[int]:
    return list(accumulate(differences))


class TestFile:
    def test_it_is_one_file_that_fetches_nothing(self, tmp_path: Path) -> None:
        path = write(hedge(), tmp_path, "hedge")
        reader = read(path)
        assert [address for address in reader.addresses if not address.startswith("#")] == [
            "data:,"
        ]
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", path.read_text(encoding="utf-8"))
        assert list(tmp_path.iterdir()) == [path]

    def test_only_the_scripts_and_styles_that_the_policy_names_may_run(
        self, tmp_path: Path
    ) -> None:
        reader = read(write(tiny(), tmp_path, "tiny"))
        assert "default-src 'none'" in reader.policy
        assert report_page._hash(reader.texts["script"]) in reader.policy
        assert report_page._hash(reader.texts["style"]) in reader.policy
        assert "unsafe" not in reader.policy

    def test_text_from_outside_is_inert(self, tmp_path: Path) -> None:
        plain = read(write(tiny(), tmp_path, "plain"))
        report = tiny(title=HOSTILE, symbol=HOSTILE, plan=HOSTILE)
        report.line(note(START_NS, HOSTILE, HOSTILE))
        report.shade(HOSTILE, START_NS, START_NS + SECOND_NS, HOSTILE, HOSTILE)
        path = write(report, tmp_path, "hostile")
        hostile = read(path)
        assert hostile.tags == plain.tags
        assert hostile.handlers == []
        session = json.loads(hostile.texts["session"])
        assert session["title"] == HOSTILE
        assert session["symbols"][0]["symbol"] == HOSTILE
        assert session["plans"] == [HOSTILE]
        assert session["decisions"][-1]["text"] == HOSTILE
        assert hostile.texts["title"] == f"{HOSTILE} · Exit Reactor"
        data = path.read_text(encoding="utf-8").split('id="session">')[1].split("</script>")[0]
        assert not set("<>&") & set(data)

    def test_a_file_name_that_is_not_utf_8_is_shown_with_marks(self, tmp_path: Path) -> None:
        reader = read(write(tiny(title="tape\udcff.jsonl"), tmp_path, "bytes"))
        assert reader.texts["bdi"] == "tape?.jsonl"

    def test_a_busy_session_stays_below_a_megabyte(self, tmp_path: Path) -> None:
        report, _ = busy(exits=500, stop_moves=20_000)
        assert write(report, tmp_path, "busy").stat().st_size < 1_000_000

    def test_the_same_session_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = (write(hedge(), tmp_path, name).read_bytes() for name in "ab")
        assert first == second

    def test_a_place_that_cannot_be_written_to_is_said_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(BadInputError, match=r"^cannot write the report .*folder that exists"):
            tiny().write(tmp_path / "missing" / "x.html")

    def test_the_library_is_what_its_author_published(self) -> None:
        static = Path(report_page.__file__).parent / "static"
        rows = re.findall(
            r"^\| `(\S+)` .*`([0-9a-f]{64})` \|$", (static / "SOURCES.md").read_text(), re.MULTILINE
        )
        assert len(rows) == 2
        for name, digest in rows:
            assert hashlib.sha256((static / name).read_bytes()).hexdigest() == digest

    def test_the_library_s_licence_stands_in_the_file(self, tmp_path: Path) -> None:
        text = write(tiny(), tmp_path, "tiny").read_text(encoding="utf-8")
        assert "Copyright (c) 2022 Leon Sorokin" in text


class TestNumbers:
    @given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20))
    def test_prices_come_back_as_the_very_floats(self, prices: list[float]) -> None:
        row = compact_prices(list(range(len(prices))), prices, 0)
        back = row["p"]
        if row["scale"] is not None:
            # What the page does: whole numbers summed, divided by a power of ten.
            back = [number / 10.0 ** row["scale"] for number in rising(row["p"])]
            assert max(rising(row["p"])) < 2**53
        assert back == prices

    def test_prices_are_small_in_the_file(self) -> None:
        row = compact_prices([0, 1_000, 3_000], [88126.1, 88126.2, 88126.0], 0)
        assert row == {"t": [0, 1, 2], "scale": 1, "p": [881261, 1, -2]}

    def test_lines_numbers_are_shown_as_they_came(self, tmp_path: Path) -> None:
        report = Report(title="exact")
        quantity = "0.18200000000000000001"
        report.line(opened(quantity=quantity, atr="100.85710000000001", stop="87974.80"))
        before = {"quantity": quantity, "remaining": "0.000"}
        report.line(exit_line(START_NS + 5, "87974.80", "87974.80", "stop_loss", **before))
        report.line(closed(START_NS + 5, "stop_loss", realized="-27.5100000000000000001"))
        session = session_of(report, tmp_path)
        epoch, (_, exit_, _) = session["epochs"][0], session["decisions"]
        assert (epoch["quantity"], epoch["atr"]) == (quantity, "100.85710000000001")
        assert epoch["realized"] == "-27.5100000000000000001"
        assert (exit_["price"], exit_["stop"], exit_["remaining"]) == (
            "87974.80",
            "87974.80",
            "0.000",
        )
        assert epoch["stops"] == ["87974.80"]

    def test_totals_are_exact(self, tmp_path: Path) -> None:
        report = Report(title="sum")
        for number, (realized, multiple) in enumerate(
            (("0.1", "1"), ("0.2", "-0.7"), ("-0", None))
        ):
            report.line(opened(t=START_NS + number))
            report.line(
                closed(START_NS + number, "external", realized=realized, r_multiple=multiple)
            )
        report.line(opened(t=START_NS + 9))
        totals = session_of(report, tmp_path)["totals"]
        assert totals["realized"] == "0.3"
        assert (totals["r_total"], totals["r_best"], totals["r_worst"]) == ("0.3", "1", "-0.7")
        assert (totals["won"], totals["lost"], totals["closed"], totals["open"]) == (2, 0, 3, 1)

    @pytest.mark.parametrize(
        ("t_ns", "shown"),
        [
            (0, "1970-01-01 00:00:00.000"),
            (START_NS, "2025-11-20 12:00:00.123456789"),
            (1_763_640_000_100_000_000, "2025-11-20 12:00:00.100"),
            (1_763_640_000_000_001_000, "2025-11-20 12:00:00.000001"),
            (2**63 - 1, "2262-04-11 23:47:16.854775807"),
            (10**30, f"{10**30} ns"),
        ],
    )
    def test_times_keep_every_digit(self, t_ns: int, shown: str) -> None:
        assert utc_text(t_ns) == shown


class TestLevels:
    def test_the_stop_at_every_exit_survives_the_thinning(self, tmp_path: Path) -> None:
        report, before = busy(exits=300, stop_moves=30_000)
        session = session_of(report, tmp_path)
        epoch = session["epochs"][0]
        assert len(epoch["stops"]) < 6_000
        assert session["totals"]["stop_moves"] == 30_000
        times = rising(epoch["stop_times"])
        base_us = session["base_s"] * 1_000_000
        for t_ns, stands in before:
            # The exit's own tick may move the stop after it: what stood is what was set before.
            earlier = [at for at, moment in enumerate(times) if moment < t_ns // 1000 - base_us]
            drawn = epoch["stops"][earlier[-1]] if earlier else "3465"
            assert Decimal(drawn) == Decimal(stands)

    def test_many_exits_and_moves_do_not_grow_the_memory(self) -> None:
        report = Report(title="long", points_max=400)
        report.line(opened())
        most = 0
        for number in range(20_000):
            report.line(stop(START_NS + number * SECOND_NS, str(90_000 + number)))
            most = max(most, len(report._epochs[0].stop_steps))
        assert most <= 101
        assert len(report._epochs[0].stop_steps) > 30  # and what is kept spans the session evenly
        assert report._epochs[0].stop_steps.stops[-1] == "109999"

    def test_pinned_moves_beyond_the_bound_are_kept_all_the_same(self) -> None:
        report = Report(title="pins", points_max=64)
        report.line(opened())
        for number in range(200):
            t_ns = START_NS + number * SECOND_NS
            report.line(stop(t_ns, str(90_000 + number)))
            report.line(exit_line(t_ns, "1", str(90_000 + number), "harvest"))
        assert report._epochs[0].stop_steps.stops[1:] == [str(90_000 + n) for n in range(200)]

    @pytest.mark.parametrize(
        ("side", "targets", "price", "taken"),
        [
            ("LONG", ["101", "102"], "101.9", [True, False]),
            ("LONG", ["101", "102"], "102", [True, True]),
            ("LONG", ["101", None], "150", [True, False]),
            ("SHORT", ["99", "98"], "98.5", [True, False]),
            ("SHORT", ["99", "98"], "98.0", [True, True]),
        ],
    )
    def test_a_take_profit_ends_the_targets_that_it_reached(
        self, side: str, targets: list[str | None], price: str, taken: list[bool], tmp_path: Path
    ) -> None:
        report = Report(title="targets")
        report.line(opened(side=side, targets=[[target, "0.5"] for target in targets]))
        t_ns = START_NS + 7_000
        report.line(exit_line(t_ns, price, "100", "take_profit", side=side))
        drawn = session_of(report, tmp_path)["epochs"][0]["targets"]
        assert [moment is not None for _, _, moment in drawn] == taken

    def test_a_harvest_alone_ends_no_target(self, tmp_path: Path) -> None:
        report = Report(title="targets")
        report.line(opened(targets=[["90000", "1"]]))
        report.line(exit_line(START_NS, "90000", "100", "harvest"))
        assert session_of(report, tmp_path)["epochs"][0]["targets"] == [["90000", "1", None]]

    def test_kinds_are_runs_of_moves(self, tmp_path: Path) -> None:
        epoch = next(e for e in session_of(hedge(), tmp_path)["epochs"] if e["side"] == "LONG")
        assert epoch["kinds"] == [
            [0, "stop_loss"],
            [1, "break_even"],
            [2, "trailing_stop"],
            [3, "manual"],
        ]

    def test_the_price_line_runs_through_every_exit(self, tmp_path: Path) -> None:
        report = Report(title="thin", points_max=16)
        report.line(opened())
        for number in range(5_000):
            report.price("BTCUSDT", START_NS + number * SECOND_NS, 88_100.0 + number % 3)
        exit_ns = START_NS + 2_345 * SECOND_NS
        report.line(exit_line(exit_ns, "88101.5", "1", "harvest"))
        session = session_of(report, tmp_path)
        row = session["symbols"][0]["prices"]
        points = dict(zip(rising(row["t"]), rising(row["p"]), strict=True))
        assert points[exit_ns // 1000 - session["base_s"] * 1_000_000] == 881_015
        assert rising(row["t"]) == sorted(rising(row["t"]))


class TestLines:
    def test_a_position_from_before_the_session_is_drawn_from_its_first_line(
        self, tmp_path: Path
    ) -> None:
        report = Report(title="journal")
        report.line(stop(START_NS, "88000"))
        report.line(exit_line(START_NS + 9_000, "87990", "88000", "trailing_stop"))
        report.line(closed(START_NS + 9_000, "trailing_stop", realized=None, r_multiple=None))
        session = session_of(report, tmp_path)
        (epoch,) = session["epochs"]
        assert (epoch["entry"], epoch["stops"], epoch["reason"]) == (
            None,
            ["88000"],
            "trailing_stop",
        )
        assert session["totals"]["realized"] is None

    def test_an_exit_alone_shows_the_stop_that_it_names(self, tmp_path: Path) -> None:
        report = Report(title="journal")
        report.line(exit_line(START_NS, "87990", "88000", "stop_loss"))
        assert session_of(report, tmp_path)["epochs"][0]["stops"] == ["88000"]

    def test_both_sides_of_a_symbol_are_two_epochs_at_once(self, tmp_path: Path) -> None:
        session = session_of(hedge(), tmp_path)
        assert [(e["side"], e["reason"]) for e in session["epochs"]] == [
            ("LONG", "manual"),
            ("SHORT", None),
        ]
        assert [row["symbol"] for row in session["symbols"]] == ["SOLUSDT"]

    def test_a_note_without_a_time_stands_at_the_start_and_moves_it_not(
        self, tmp_path: Path
    ) -> None:
        session = session_of(hedge(), tmp_path)
        early = session["decisions"][0]
        assert (early["type"], early["text"], early["t"]) == (
            "note",
            "a line was cut",
            session["start"],
        )
        assert "symbol" not in early
        assert session["span"][0].startswith("2025-11-20")

    def test_decisions_beyond_the_bound_are_counted_and_the_totals_stay_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_module, "DECISIONS_MAX", 10)
        report = Report(title="long")
        for number in range(20):
            t_ns = START_NS + number * SECOND_NS
            report.line(opened(t=t_ns))
            report.line(exit_line(t_ns, "87974", "87974.8", "stop_loss"))
            report.line(closed(t_ns, "stop_loss", realized="1", r_multiple="1"))
        session = session_of(report, tmp_path)
        assert len(session["decisions"]) == 10
        assert session["totals"]["left_out"] > 0
        assert (session["totals"]["exits"], session["totals"]["realized"]) == (20, "20")
        assert len(session["epochs"]) < 10

    def test_bands_that_continue_are_one(self, tmp_path: Path) -> None:
        report = tiny()
        for number in range(3):
            start_ns = START_NS + number * SECOND_NS
            report.shade("BTCUSDT", start_ns, start_ns + SECOND_NS, "BULL", "BULL")
        report.shade("BTCUSDT", START_NS + 3 * SECOND_NS, START_NS + 4 * SECOND_NS, "BEAR", "BEAR")
        (symbol,) = session_of(report, tmp_path)["symbols"]
        assert [(s["label"], s["to"] - s["from"]) for s in symbol["shades"]] == [
            ("BULL", 3_000_000),
            ("BEAR", 1_000_000),
        ]

    def test_many_symbols_share_the_points(self, tmp_path: Path) -> None:
        report = Report(title="many", points_max=2_000)
        for number in range(1_500):
            for symbol in range(10):
                report.price(f"S{symbol}", START_NS + number * SECOND_NS, 100.0 + number % 7)
        session = session_of(report, tmp_path)
        drawn = [len(row["prices"]["t"]) for row in session["symbols"]]
        assert len(drawn) == 10
        assert sum(drawn) <= 6_000
        assert min(drawn) > 200

    def test_a_session_without_anything_is_a_page_too(self, tmp_path: Path) -> None:
        session = session_of(Report(title="nothing"), tmp_path)
        assert (session["symbols"], session["decisions"], session["span"]) == ([], [], [])

    def test_lines_of_other_types_are_passed_over(self, tmp_path: Path) -> None:
        report = Report(title="new")
        report.line({"type": "invented", "t": START_NS})
        assert session_of(report, tmp_path)["decisions"] == []
