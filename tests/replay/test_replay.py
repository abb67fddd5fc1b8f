"""`reactor replay`: each option, each line, where plans and filters come from, and that runs repeat."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from frames import (
    SECOND_NS,
    T0_NS,
    account_update,
    agg,
    book,
    line,
    mark,
    order_trade,
    position,
    rest,
    ticks,
    trade,
)
from replayed import Ran, recording, run, tape_bytes

from reactor.binance.orders import client_order_id
from reactor.core.decisions import Closed, Reason
from reactor.core.plan import plan_from_toml
from reactor.replay.lines import line_of
from reactor.replay.options import ReplayOptions
from reactor.replay.progress import progress_shown
from reactor.replay.session import Session
from reactor.replay.walk import PAUSE_S_MAX, Pace, open_tapes, walk
from reactor.shell.compressed import packer_for

Capture = pytest.CaptureFixture[str]

STOP_1 = "[stop]\npct = 0.01\n"
LONG = ("--position", "BTCUSDT:LONG:1@100")
SHORT = ("--position", "BTCUSDT:SHORT:1@100")


class Desk:
    """A folder, and the commands run in it."""

    def __init__(self, folder: Path, capfd: Capture) -> None:
        self.folder = folder
        self._capfd = capfd

    def plan(self, tables: str = STOP_1, *, trigger: str = "last", name: str = "mine") -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(f'name = "{name}"\ntrigger = "{trigger}"\n{tables}')
        return path

    def tape(self, lines: list[Any], *, name: str = "x.jsonl", **header: Any) -> Path:
        path = self.folder / name
        path.write_bytes(tape_bytes(lines, header=header))
        return path

    def replay(self, *words: str | Path, code: int = 0) -> Ran:
        ran = run(self._capfd, "replay", *words, "--json")
        assert ran.code == code, ran.err
        return ran


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, capfd: Capture) -> Desk:
    return Desk(tmp_path, capfd)


# Lines --------------------------------------------------------------------------------------------


def test_every_line_of_a_short_life(desk: Desk) -> None:
    plan = desk.plan(STOP_1 + "[[targets]]\nr = 1\nclose = 0.5\n[break_even]\nat_r = 1\n")
    tape = desk.tape(ticks("100", "100.4", "101.05", "100"))
    ran = desk.replay(tape, "--plan", plan, "--position", "BTCUSDT:LONG:0.4@100")
    head = {"symbol": "BTCUSDT", "side": "LONG"}
    at = [T0_NS + second * SECOND_NS for second in range(4)]
    assert ran.lines[:-1] == [
        {"type": "opened", "t": at[0], **head, "quantity": "0.4", "entry": "100", "plan": "mine"}
        | {"atr": None, "stop": "99", "targets": [["101", "0.5"]]},
        {"type": "exit", "t": at[2], "tick": 3, **head, "reasons": ["take_profit"]}
        | {"price": "101.05", "quantity": "0.2", "remaining": "0.2", "stop": "99"},
        {"type": "stop", "t": at[2], "tick": 3, **head, "kind": "break_even"}
        | {"stop": "100.1", "price": "101.05"},
        {"type": "exit", "t": at[3], "tick": 4, **head, "reasons": ["break_even"]}
        | {"price": "100", "quantity": "0.2", "remaining": "0", "stop": "100.1"},
        {"type": "closed", "t": at[3], **head, "reason": "break_even"}
        | {"realized": "0.21", "r_multiple": "0.525"},
    ]
    summary = ran.lines[-1]
    assert {key: summary[key] for key in ("type", "ticks", "symbols", "skipped", "exits")} == {
        "type": "summary",
        "ticks": 4,
        "symbols": 1,
        "skipped": 0,
        "exits": 2,
    }
    assert summary["seconds"] > 0
    assert ran.err == ""


def test_a_multiple_of_a_tiny_risk_is_still_a_number() -> None:
    closed = Closed(
        t_ns=1,
        tick=1,
        symbol="X",
        side="LONG",
        epoch=1,
        reason=Reason.MANUAL,
        realized=Decimal("1e18"),
        r_multiple=Decimal("1.5e40"),
    )
    shown = line_of(closed)
    assert shown is not None
    assert shown["r_multiple"] == "15" + "0" * 39


def test_both_sides_of_a_symbol_at_once(desk: Desk) -> None:
    tape = desk.tape(ticks("100", "101", "99"))
    ran = desk.replay(tape, "--plan", desk.plan(), *LONG, *SHORT)
    assert [(one["side"], one["price"]) for one in ran.of("exit")] == [
        ("SHORT", "101"),
        ("LONG", "99"),
    ]


def test_two_runs_print_the_same_bytes(desk: Desk) -> None:
    tape = desk.folder / "btc.jsonl.gz"
    with gzip.open(recording("ws_hftbacktest", "btcusdt_20240808.gz"), "rb") as file:
        pairs = [raw.strip().partition(b" ") for raw in file][:30_000]
    lines = [b'{"t":%s,"c":"public","m":%s}' % (t, m) for t, _, m in pairs if m.startswith(b"{")]
    tape.write_bytes(gzip.compress(tape_bytes(lines)))
    asked = ("--plan", "challenge_100", "--trigger", "last", "--atr", "BTCUSDT=60")
    positions = ("--position", "BTCUSDT:SHORT:0.182@61800", "--position", "BTCUSDT:LONG:1@61700")
    outs = [desk.replay(tape, *asked, *positions).out.splitlines() for _ in range(2)]
    assert outs[0][:-1] == outs[1][:-1]
    assert len(outs[0]) > 50
    summaries = [json.loads(out[-1]) for out in outs]
    for summary in summaries:
        del summary["seconds"], summary["ticks_per_second"]
    assert summaries[0] == summaries[1]


# Options ------------------------------------------------------------------------------------------


def test_fills_at_the_next_tick(desk: Desk) -> None:
    tape = desk.tape(ticks("100", "98", "97"))
    ran = desk.replay(tape, "--plan", desk.plan(), *LONG, "--fill", "next")
    (exit_,), (closed,) = ran.of("exit"), ran.of("closed")
    assert (exit_["price"], exit_["tick"]) == ("98", 2)
    assert (closed["realized"], closed["t"]) == ("-3", T0_NS + 2 * SECOND_NS)
    ran = desk.replay(tape, "--plan", desk.plan(), *LONG)
    assert ran.of("closed")[0]["realized"] == "-2"


@pytest.mark.parametrize(
    ("trigger", "prices"), [("last", ["98"]), ("mark", ["97"]), ("book", ["96"])]
)
def test_the_trigger_option_overrules_the_plan(trigger: str, prices: list[str], desk: Desk) -> None:
    lines = [line(0, agg("100", 1, 0)), line(0, mark("100", 0)), line(0, book("100", "101", 1, 0))]
    lines += [line(1, agg("98", 2, 1)), line(2, mark("97", 2)), line(3, book("97", "98", 2, 3))]
    lines += [line(4, book("96", "97", 3, 4))]
    ran = desk.replay(desk.tape(lines), "--plan", desk.plan(), *LONG, "--trigger", trigger)
    assert [exit_["price"] for exit_ in ran.of("exit")] == prices
    assert ran.summary["ticks"] == (3 if trigger == "book" else 2)


@pytest.mark.parametrize(
    ("inputs", "guards", "exit_"),
    [
        # 20-fold leverage: 5 of margin a unit, half of it lost at 97.5.
        (["leverage=20"], "max_loss_margin_pct = 0.5", ("loss_guard", "97.5")),
        (["margin=8"], "max_loss_margin_pct = 0.5", ("loss_guard", "96")),
        # What is said of the margin itself goes before what is computed.
        (["margin=8", "leverage=20"], "max_loss_margin_pct = 0.5", ("loss_guard", "96")),
        (["liquidation_price=96"], "liquidation_buffer_pct = 0.01", ("liquidation_guard", "97")),
        (["liquidation_price=0"], "liquidation_buffer_pct = 0.01", None),
        (["liquidation_price=200"], "liquidation_buffer_pct = 0.01", None),
        ([], "max_loss_margin_pct = 0.5\nliquidation_buffer_pct = 0.01", None),
    ],
)
def test_inputs_feed_the_guards(
    inputs: list[str], guards: str, exit_: tuple[str, str] | None, desk: Desk
) -> None:
    plan = desk.plan(f"[stop]\npct = 0.2\n[guards]\n{guards}\n")
    tape = desk.tape(ticks("100", "98", "97.5", "97", "96", "95"))
    words = [word for one in inputs for word in ("--input", f"BTCUSDT:{one}")]
    ran = desk.replay(tape, "--plan", plan, *LONG, *words)
    assert [(one["reasons"][0], one["price"]) for one in ran.of("exit")] == (
        [exit_] if exit_ else []
    )


def test_a_fixed_atr_and_filters(desk: Desk) -> None:
    plan = desk.plan("[stop]\natr = 1.5\n[[targets]]\natr = 2\nclose = 0.5\n")
    tape = desk.tape(ticks("100", "104.2"))
    asked = (tape, "--plan", plan, "--position", "btcusdt:long:0.0105@100", "--atr", "BTCUSDT=2.03")
    (opened,) = desk.replay(*asked).of("opened")
    assert (opened["atr"], opened["stop"], opened["targets"]) == (
        "2.03",
        "96.955",
        [["104.06", "0.5"]],
    )
    filters = ("--tick", "BTCUSDT=0.1", "--step", "BTCUSDT=0.001", "--min-qty", "BTCUSDT=0.002")
    ran = desk.replay(*asked, *filters)
    (opened,) = ran.of("opened")
    assert (opened["stop"], opened["targets"]) == ("96.9", [["104.1", "0.5"]])
    assert [one["quantity"] for one in ran.of("exit")] == ["0.005"]


def test_a_contract_that_cannot_be_read_is_told(desk: Desk) -> None:
    """Its position is rounded by the options then, which nobody would notice."""
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "x", "minPrice": "1", "maxPrice": "9"}]
    contract = {"symbol": "BTCUSDT", "status": "TRADING", "filters": filters}
    info = rest(0, "/fapi/v1/exchangeInfo", {"symbols": [contract]})
    tape = desk.tape([info, *ticks("100")])
    ran = desk.replay(tape, "--plan", desk.plan(), *LONG, "--tick", "BTCUSDT=0.5")
    assert ran.summary["skipped"] == 1
    assert 'line 2 (rest): /fapi/v1/exchangeInfo: a contract: price "x" is not' in ran.err


def test_filters_of_the_tapes_own_exchange_info(desk: Desk) -> None:
    contract = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "9999"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.01", "minQty": "0.01", "maxQty": "9"},
        ],
    }
    plan = desk.plan("[stop]\npct = 0.0123\n[[targets]]\npct = 0.01\nclose = 0.33\n")
    lines = [rest(-1, "/fapi/v1/exchangeInfo", {"symbols": [contract]}), *ticks("100", "101")]
    ran = desk.replay(desk.tape(lines), "--plan", plan, *LONG)
    assert ran.of("opened")[0]["stop"] == "98.7"
    assert ran.of("exit")[0]["quantity"] == "0.33"


def test_several_tapes_are_played_one_after_the_other(desk: Desk) -> None:
    first = desk.tape([*ticks("100", "100.5"), b"torn"], name="a.jsonl")
    second = desk.tape([*ticks("100.4", "98", start=2), b"torn too"], name="b.jsonl")
    ran = desk.replay(first, second, "--plan", desk.plan(), *LONG)
    assert [(one["tick"], one["price"]) for one in ran.of("exit")] == [(4, "98")]
    assert ran.summary["skipped"] == 2
    assert [note.partition(":")[0] for note in ran.err.splitlines()] == [
        "a.jsonl line 4",
        "b.jsonl line 4",
    ]
    # The other way round, the second one lies in the past of the first.
    ran = desk.replay(second, first, "--plan", desk.plan(), *LONG)
    assert "a.jsonl line 2: receive time runs backwards by 3.000 s" in ran.err


LADDER = """
[stop]
pct = 0.01
[[targets]]
pct = 0.02
close = 0.5
[[targets]]
pct = 0.04
close = 0.5
[ladder]
clamp_pct = [0.005, 0.06]
[[ladder.rule]]
input = "leverage"
op = ">="
value = 15
scale = 0.5
[[ladder.rule]]
input = "volume_24h"
op = "<"
value = 100000
scale = 3
close = [0.75, 0.25]
[[ladder.rule]]
input = "regime"
op = "in"
value = ["CHOP"]
close = [0.1, 0.1]
"""


def targets_of(ran: Ran) -> list[list[str]]:
    (opened,) = ran.of("opened")
    targets: list[list[str]] = opened["targets"]
    return targets


def test_a_ladder_is_sized_by_what_is_known(desk: Desk) -> None:
    tape = desk.tape(ticks("100", "100.5"))
    plan = desk.plan(LADDER)
    ran = desk.replay(tape, "--plan", plan, *LONG)
    assert targets_of(ran) == [["102", "0.5"], ["104", "0.5"]]
    assert ran.err == (
        "BTCUSDT LONG: ladder rules applied: none; not known: leverage, regime, volume_24h\n"
    )
    ran = desk.replay(tape, "--plan", plan, *LONG, "--input", "BTCUSDT:leverage=20")
    assert targets_of(ran) == [["101", "0.5"], ["102", "0.5"]]
    assert ran.err == (
        "BTCUSDT LONG: ladder rules applied: leverage >= 15 (x0.5); not known: regime, volume_24h\n"
    )
    known = ("--input", "btcusdt:volume_24h=99999", "--input", "BTCUSDT:regime=chop")
    ran = desk.replay(tape, "--plan", plan, *LONG, *known)
    # 4 % · 3 is clamped to 6 %; the regime's fractions overrule those of the volume.
    assert targets_of(ran) == [["106", "0.1"], ["106", "0.1"]]


def test_the_tape_tells_leverage_and_volume(desk: Desk) -> None:
    day = {"symbol": "BTCUSDT", "quoteVolume": "99999.5", "volume": "12"}
    config = [{"symbol": "BTCUSDT", "leverage": 20, "marginType": "CROSSED"}]
    tape = desk.tape(
        [
            rest(0, "/fapi/v1/ticker/24hr", day, symbol="BTCUSDT"),
            rest(0, "/fapi/v1/symbolConfig", config),
            *ticks("100", "100.5"),
        ]
    )
    plan = desk.plan(LADDER)
    ran = desk.replay(tape, "--plan", plan, *LONG)
    assert targets_of(ran) == [["103", "0.75"], ["106", "0.25"]]
    # What is given overrules it.
    ran = desk.replay(tape, "--plan", plan, *LONG, "--input", "BTCUSDT:leverage=10")
    assert targets_of(ran) == [["106", "0.75"], ["106", "0.25"]]


def test_levels_take_the_same_facts_and_list_the_rules(desk: Desk, capfd: Capture) -> None:
    levels = ("levels", "--entry", "100", "--atr", "1", "--side", "LONG", "--plan")
    plan = desk.folder / desk.plan(LADDER)
    known = ("--input", "leverage=20", "--input", "volume_24h=1e6")
    ran = run(capfd, *levels, plan, *known, "--json")
    found = json.loads(ran.out)
    assert found["targets"] == [["101", "0.5"], ["102", "0.5"]]
    assert [(one["rule"], one["applied"], one["why"]) for one in found["rules"]] == [
        ("leverage >= 15", True, "leverage is 20"),
        ("volume_24h < 100000", False, "volume_24h is 1000000"),
        ("regime in CHOP", False, "regime is not known"),
    ]
    assert "leverage is 20" in run(capfd, *levels, plan, *known).out
    refused = run(capfd, *levels, plan, "--input", "margin=3")
    assert refused.code == 2
    assert "there is no input 'margin'; leverage, notional" in refused.err


# Where plans come from ----------------------------------------------------------------------------


def plans_by_side(ran: Ran) -> dict[str, str]:
    return {f"{one['symbol']} {one['side']}": one["plan"] for one in ran.of("opened")}


def test_the_plan_option_goes_before_configuration_header_and_default(desk: Desk) -> None:
    eth = line(0, agg("50", 1, 0, symbol="ETHUSDT"))
    lines = [*ticks("100"), eth]
    asked = (*LONG, *SHORT, "--position", "ETHUSDT:LONG:1@50", "--trigger", "last")
    config = desk.folder / "reactor.toml"
    config.write_text(
        'plan = "fast_tp"\n[symbols.BTCUSDT]\nplan = "challenge_100"\nshort = "defensive_trail"\n'
    )
    plain = desk.tape(lines)
    assert set(plans_by_side(desk.replay(plain, *asked)).values()) == {"trend_follow"}
    assert plans_by_side(desk.replay(plain, *asked, "--config", config)) == {
        "BTCUSDT LONG": "challenge_100",
        "BTCUSDT SHORT": "defensive_trail",
        "ETHUSDT LONG": "fast_tp",
    }
    one = desk.replay(plain, *asked, "--config", config, "--plan", desk.plan())
    assert set(plans_by_side(one).values()) == {"mine"}


def test_the_tapes_own_plans_and_configuration_count_where_none_is_given(desk: Desk) -> None:
    mine = {"name": "of_the_tape", "trigger": "last", "stop": {"pct": "0.02"}}
    lines = ticks("100", "98.5", "98")
    # One plan in the header is the plan.
    tape = desk.tape(lines, plans={"of_the_tape": mine})
    ran = desk.replay(tape, *LONG)
    assert plans_by_side(ran) == {"BTCUSDT LONG": "of_the_tape"}
    assert [one["price"] for one in ran.of("exit")] == ["98"]
    # Of several, the header's configuration says which; plans may be TOML texts as well.
    plans = {"a": mine, "b": 'name = "b"\ntrigger = "last"\n[stop]\npct = 0.015\n'}
    config = {"symbols": {"BTCUSDT": {"plan": "b"}}}
    ran = desk.replay(desk.tape(lines, plans=plans, config=config), *LONG)
    assert plans_by_side(ran) == {"BTCUSDT LONG": "b"}
    assert [one["price"] for one in ran.of("exit")] == ["98.5"]
    # Without, it is the default; a shipped plan of that name counts as the tape has it.
    ran = desk.replay(desk.tape(lines, plans=plans), *LONG, "--trigger", "last")
    assert plans_by_side(ran) == {"BTCUSDT LONG": "trend_follow"}
    edited = {"trend_follow": mine | {"name": "trend_follow"}, "a": mine}
    ran = desk.replay(desk.tape(lines, plans=edited), *LONG)
    assert ran.of("opened")[0]["stop"] == "98"
    # A configuration that is given goes before the recorded one.
    given = desk.folder / "reactor.toml"
    given.write_text('plan = "fast_tp"\n')
    tape = desk.tape(lines, plans=plans, config=config)
    assert plans_by_side(desk.replay(tape, *LONG, "--config", given, "--trigger", "last")) == {
        "BTCUSDT LONG": "fast_tp"
    }


def test_another_plan_on_a_recorded_session_keeps_its_fills_and_says_so(desk: Desk) -> None:
    recorded = {"mine": {"name": "mine", "trigger": "last", "stop": {"pct": "0.01"}}}
    lines = [account_update(0, position("1", "100")), *ticks("100", "97.5")]
    tape = desk.tape(lines, plans=recorded)
    other = desk.plan("[stop]\npct = 0.02\n", name="other")
    said = (
        "other is none of the recording's plans: positions and fills stay those of the recording;"
        " --position simulates them\n"
    )
    assert desk.replay(tape, "--plan", other).err == said
    assert desk.replay(tape, "--plan", other, *LONG).err == ""
    assert desk.replay(tape, "--plan", desk.plan()).err == ""
    assert desk.replay(desk.tape(lines), "--plan", other).err == ""
    assert desk.replay(desk.tape(lines, plans=recorded)).err == ""


def test_filters_of_a_configuration(desk: Desk) -> None:
    config = desk.folder / "reactor.toml"
    config.write_text('[symbols.BTCUSDT]\ntick = "0.5"\nstep = "0.01"\nmin_qty = "0.02"\n')
    plan = desk.plan("[stop]\npct = 0.0123\n[[targets]]\npct = 0.01\nclose = 0.333\n")
    asked = ("--plan", plan, "--position", "BTCUSDT:LONG:0.05@100", "--config", config)
    tape = desk.tape(ticks("100", "101"))
    ran = desk.replay(tape, *asked)
    assert ran.of("opened")[0]["stop"] == "98.5"
    assert ran.of("exit")[0]["quantity"] == "0.01"
    # Options go before the configuration.
    ran = desk.replay(tape, *asked, "--tick", "BTCUSDT=0.01", "--step", "BTCUSDT=0.001")
    assert ran.of("opened")[0]["stop"] == "98.77"
    assert ran.of("exit")[0]["quantity"] == "0.016"


# Speed and progress -------------------------------------------------------------------------------


class Clock:
    """Time that passes by sleeping, and by a second's worth of work before each look."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []
        self.work_s = work_s

    def __call__(self) -> float:
        self.now_s += self.work_s
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


def paced(desk: Desk, lines: list[Any], speed: float, clock: Clock) -> list[float]:
    """Plays lines at a pace; answers with the clock at each decision."""
    at: list[float] = []
    session = Session(
        ReplayOptions(plan=plan_from_toml(STOP_1, source="here"), trigger="last"),
        header=None,
        emit=lambda _: at.append(round(clock.now_s - 1000.0, 6)),
        note=lambda _: None,
    )
    session.engine.expect("BTCUSDT", "LONG", Decimal(1), Decimal(100))
    tapes = open_tapes([desk.tape(lines)])
    pace = Pace(speed, sleep=clock.sleep, clock=clock)
    walk(session, tapes, speed=speed, progress=None, pace=pace)
    return at


def test_a_replay_at_its_own_pace_waits_before_each_line(desk: Desk) -> None:
    clock = Clock()
    lines = [*ticks("100", "100.1"), b"torn", *ticks("100.2", start=5), *ticks("98", start=8)]
    # Opened at once, and the exit when its tick came, not before.
    assert paced(desk, lines, 1.0, clock) == [0.0, 8.0]
    assert clock.slept == [1.0, 4.0, 3.0]
    fast = Clock()
    assert paced(desk, lines, 4.0, fast) == [0.0, 2.0]
    assert fast.slept == [0.25, 1.0, 0.75]


def test_the_time_that_work_takes_does_not_add_up(desk: Desk) -> None:
    clock = Clock(work_s=0.25)
    paced(desk, ticks(*["100"] * 9), 1.0, clock)
    assert clock.slept == [0.75] * 8


def test_a_recording_with_a_hole_of_days_pauses_an_hour(desk: Desk) -> None:
    clock = Clock()
    paced(desk, [*ticks("100"), *ticks("98", start=86_400 * 3)], 1.0, clock)
    assert clock.slept == [PAUSE_S_MAX]


def test_a_pace_never_goes_back(desk: Desk) -> None:
    clock = Clock()
    paced(
        desk, [*ticks("100", start=9), *ticks("99.9", start=1), *ticks("98", start=11)], 1.0, clock
    )
    assert clock.slept == [2.0]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_progress_is_told_in_bytes_of_the_files_as_they_lie_on_disk(
    suffix: str, desk: Desk
) -> None:
    # Two tapes of some chunks each, of lines that do not compress away.
    paths = []
    for name in ("a", "b"):
        path = desk.folder / f"{name}.jsonl{suffix}"
        random = Random(7)
        lines = [line(n, agg("100", n + 1, n, x=random.randbytes(99).hex())) for n in range(9000)]
        packer = packer_for(path)
        path.write_bytes(packer.block(tape_bytes(lines)) + packer.end())
        paths.append(path)
    total = sum(path.stat().st_size for path in paths)
    told: list[tuple[int, int]] = []
    session = Session(ReplayOptions(), header=None, emit=lambda _: None, note=lambda _: None)
    tapes = open_tapes(paths)
    assert [tape.bytes_read for tape in tapes] == [0, 0]
    walk(
        session,
        tapes,
        speed=0.0,
        progress=lambda read, lines, _: told.append((read, lines)),
    )
    reads = [read for read, _ in told]
    assert reads == sorted(reads)
    assert 0 < reads[0] < total / 2
    assert len(set(reads)) > 4
    assert reads[-1] == total
    assert told[-1][1] == 18_000
    assert [tape.bytes_read for tape in tapes] == [path.stat().st_size for path in paths]


def test_the_bar_is_drawn_on_standard_error_and_only_where_asked(
    desk: Desk, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    tape = desk.tape(ticks("100"))
    with progress_shown([tape], enabled=False) as show:
        assert show is None
    with progress_shown([tape], enabled=True) as show:
        assert show is not None
        show(tape.stat().st_size, 1, T0_NS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert "2026-09-21" in err


# Verify -------------------------------------------------------------------------------------------


def order_line(second: float, **params: str) -> dict[str, Any]:
    signed = {"apiKey": "…", "signature": "…", "timestamp": 5, "recvWindow": 1000}
    message = {"id": "r-1", "method": "order.place", "params": params | signed}
    return line(second, message, channel="order", d="out")


def exit_params(
    side: str = "LONG", *, decision: int = 1, part: int = 0, **more: str
) -> dict[str, str]:
    order_id = client_order_id(
        instance="desk",
        symbol="BTCUSDT",
        side="LONG" if side == "LONG" else "SHORT",
        epoch_opened_ns=T0_NS,
        epoch_number=1,
        decision=decision,
        part=part,
    )
    return {
        "symbol": "BTCUSDT",
        "side": "SELL" if side == "LONG" else "BUY",
        "type": "MARKET",
        "quantity": "1",
        "newClientOrderId": order_id,
        "newOrderRespType": "RESULT",
    } | (more or {"reduceOnly": "true"})


def session_lines(*orders: dict[str, Any]) -> list[Any]:
    """A recorded session: opened, stopped out, the order as it was sent, filled, flat."""
    params = exit_params()
    fill = order_trade(
        2,
        side="SELL",
        quantity="1",
        price="97.9",
        number=3,
        profit="-2.1",
        client_id=params["newClientOrderId"],
    )
    opening = account_update(0, position("1", "100"))
    first, *others = ticks("100", "99.5", "98")
    return [opening, first, *others, *orders, account_update(2, position("0", "0")), fill]


def test_verify_agrees_with_the_orders_that_were_sent(desk: Desk) -> None:
    tape = desk.tape(session_lines(order_line(2, **exit_params())), instance="desk")
    ran = desk.replay(tape, "--plan", desk.plan(), "--verify")
    assert ran.err == "verify: all 1 orders agree with the recorded ones\n"
    assert [(one["reason"], one["realized"]) for one in ran.of("closed")] == [("stop_loss", "-2.1")]


@pytest.mark.parametrize(
    ("orders", "shown"),
    [
        ([order_line(2, **exit_params() | {"quantity": "0.9"})], "≠ quantity"),
        ([order_line(2, **exit_params() | {"side": "BUY"})], "≠ side"),
        ([order_line(2, **exit_params(decision=2))], "≠ newClientOrderId"),
        ([order_line(2, **exit_params(), extra="x")], "≠ extra"),
        ([], "no order"),
        ([order_line(2, **exit_params()), order_line(2, **exit_params(decision=2))], "no order"),
    ],
)
def test_verify_shows_the_first_difference(orders: list[Any], shown: str, desk: Desk) -> None:
    tape = desk.tape(session_lines(*orders), instance="desk")
    ran = desk.replay(tape, "--plan", desk.plan(), "--verify", code=1)
    assert "verify: the first difference" in ran.err
    assert shown in ran.err
    assert ran.lines[-1]["type"] == "summary"


def test_verify_leaves_out_what_differs_between_two_honest_sendings(desk: Desk) -> None:
    params = {**exit_params(), "timestamp": "9"}
    rest_order = {"method": "POST", "path": "/fapi/v1/order", "params": params}
    lines = session_lines(line(2, rest_order, channel="order", d="out"))
    # Hard stops are no exits, and neither is anything that is not an order.
    lines += [
        line(
            3,
            {"method": "POST", "path": "/fapi/v1/algoOrder", "params": {"a": 1}},
            channel="order",
            d="out",
        ),
        line(3, {"id": 5, "method": "order.status", "params": {"a": 1}}, channel="order", d="out"),
    ]
    desk.replay(desk.tape(lines, instance="desk"), "--plan", desk.plan(), "--verify")


def test_verify_in_hedge_mode_and_in_slices(desk: Desk) -> None:
    contract = {
        "symbol": "BTCUSDT",
        "filters": [
            {"filterType": "LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "1000"},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "0.4"},
        ],
    }
    first, *others = ticks("100", "99.5", "102")
    orders = [
        order_line(
            2, **exit_params("SHORT", part=part, positionSide="SHORT") | {"quantity": amount}
        )
        for part, amount in enumerate(["0.4", "0.4", "0.2"])
    ]
    lines = [
        rest(0, "/fapi/v1/exchangeInfo", {"symbols": [contract]}),
        account_update(0, position("-1", "100", side="SHORT")),
        *(first, *others, *orders),
    ]
    ran = desk.replay(desk.tape(lines, instance="desk"), "--plan", desk.plan(), "--verify")
    assert ran.err == "verify: all 3 orders agree with the recorded ones\n"


# Tables -------------------------------------------------------------------------------------------


def test_the_table_on_a_pipe_is_wide_and_whole(desk: Desk, capfd: Capture) -> None:
    plan = desk.plan(
        STOP_1
        + "[[targets]]\npct = 0.015\nclose = 0.3\n[[targets]]\npct = 0.025\nclose = 0.3\n"
        + '[harvest]\ntrigger_pct = 0.01\nfraction = 0.2\n[trailing]\nactivate = "in_profit"\npct = 0.003\n'
    )
    prices = [f"{100 + n / 10}" for n in range(20)]
    tape = desk.tape(ticks(*prices, "103", "90"))
    ran = run(capfd, "replay", tape, "--plan", plan, "--position", "BTCUSDT:LONG:1@100")
    rows = ran.out.splitlines()
    assert max(map(len, rows)) >= 140
    assert "…" not in ran.out
    assert "opened, mine, ATR not yet, targets 101.5 (0.3), 102.5 (0.3)" in ran.out
    assert "exit: take_profit, harvest" in ran.out
    assert "exit: trailing_stop" in ran.out
    assert "2026-09-21 14:13:20.000" in ran.out
    assert "BTCUSDT LONG: trailing_stop, " in ran.out
    assert "22 trigger ticks of 1 symbols, " in ran.out
    assert ran.err == ""
    levels = ("levels", "--entry", "100", "--atr", "1", "--side", "LONG", "--plan", "challenge_100")
    shown = run(capfd, *levels).out
    assert "target 3" in shown
    assert "R 1.1, trailing distance 0.3" in shown
    assert "reward:risk 3.64" in shown


def test_many_stop_moves_are_told_by_their_first_and_last(desk: Desk, capfd: Capture) -> None:
    plan = desk.plan(STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.001\n')
    tape = desk.tape(ticks(*[f"{100 + n / 100}" for n in range(200)]))
    ran = run(capfd, "replay", tape, "--plan", plan, *LONG)
    assert ran.out.count("stop: trailing_stop") == 4
    assert "stop: trailing_stop, 195 moves between" in ran.out


def test_markup_in_a_symbol_is_shown_as_it_is(desk: Desk, capfd: Capture) -> None:
    tape = desk.tape(
        [line(n, agg(p, n + 1, n, symbol="[RED]X")) for n, p in enumerate(["100", "98"])]
    )
    ran = run(capfd, "replay", tape, "--plan", desk.plan(), "--position", "[red]X:LONG:1@100")
    assert "[RED]X LONG: stop_loss, -2 before fees (-2.00 R)" in ran.out
    assert ran.out.count("[RED]X") == 4


# Raw trades and other sources ---------------------------------------------------------------------


def test_prints_that_are_no_market_trades_move_nothing(desk: Desk) -> None:
    kinds = ["INSURANCE_FUND", "ADL", "NA", "", "market"]
    lines = [line(0, trade("100", 1, 0))]
    lines += [line(n, trade("50", n + 1, n, X=kind)) for n, kind in enumerate(kinds, 1)]
    absent = trade("98", 9, 9)
    del absent["X"]
    ran = desk.replay(desk.tape([*lines, line(9, absent)]), "--plan", desk.plan(), *LONG)
    assert [(one["tick"], one["price"]) for one in ran.of("exit")] == [(2, "98")]


def test_raw_trades_count_until_the_first_aggregated_one(desk: Desk) -> None:
    lines = [line(0, trade("100", 7_000, 0)), line(1, trade("100.1", 7_001, 1))]
    # Their ids are of another count, and lower.
    lines += [
        line(2, agg("100.2", 3, 2)),
        line(3, trade("98", 7_002, 3)),
        line(4, agg("98.5", 4, 4)),
    ]
    ran = desk.replay(desk.tape(lines), "--plan", desk.plan(), *LONG)
    assert [(one["tick"], one["price"]) for one in ran.of("exit")] == [(4, "98.5")]


@pytest.mark.parametrize("damage", [{"p": "0"}, {"p": "-1"}, {"p": "1e308"}, {"T": 9 * 10**15}])
def test_an_aggregated_trade_that_cannot_be_read_silences_no_raw_trades(
    desk: Desk, damage: dict[str, Any]
) -> None:
    lines = [
        line(0, trade("100", 7_000, 0)),
        line(1, {**agg("99", 3, 1), **damage}),
        line(2, trade("98", 7_001, 2)),
    ]
    ran = desk.replay(desk.tape(lines), "--plan", desk.plan(), *LONG)
    assert [(one["tick"], one["price"]) for one in ran.of("exit")] == [(2, "98")]
    assert ran.summary["skipped"] == 1


def test_r_of_a_closed_position_is_what_was_at_risk_when_it_was_closed(desk: Desk) -> None:
    """The fill comes with the tick that closes the first candles: the ATR they give is not this life's."""
    plan = desk.plan('[atr]\nperiod = 1\ninterval = "1m"\n[stop]\natr = 1.5\nfallback_pct = 0.01\n')
    lines = [
        line(n, agg(price, n + 1, n))
        for n, price in ((0, "100"), (30, "100.1"), (60, "98"), (120, "97"))
    ]
    ran = desk.replay(desk.tape(lines), "--plan", plan, *LONG, "--fill", "next")
    assert [one["price"] for one in ran.of("exit")] == ["98"]
    (closed,) = ran.of("closed")
    assert (closed["realized"], closed["r_multiple"]) == ("-3", "-3")


def test_nor_does_the_last_rungs_fill_come_with_another_r(desk: Desk) -> None:
    plan = desk.plan(
        '[atr]\nperiod = 1\ninterval = "1m"\n[stop]\natr = 1.5\nfallback_pct = 0.01\n'
        "[[targets]]\nr = 2\nclose = 1.0\n"
    )
    lines = [
        line(n, agg(price, n + 1, n))
        for n, price in ((0, "100"), (30, "100.1"), (60, "102"), (120, "103"))
    ]
    ran = desk.replay(desk.tape(lines), "--plan", plan, *LONG, "--fill", "next")
    (closed,) = ran.of("closed")
    assert (closed["reason"], closed["realized"], closed["r_multiple"]) == ("take_profit", "3", "3")


def test_no_smallest_quantity_may_be_written_as_zero(desk: Desk) -> None:
    plan = desk.plan(STOP_1 + "[[targets]]\npct = 0.01\nclose = 0.5\n")
    config = desk.folder / "reactor.toml"
    config.write_text('[symbols.BTCUSDT]\nmin_qty = "0.9"\n')
    said = {}
    options: list[tuple[str, ...]] = [(), ("--min-qty", "BTCUSDT=0"), ("--min-qty", "btcusdt=0.0")]
    for given in options:
        ran = desk.replay(
            desk.tape(ticks("100", "101")), "--plan", plan, *LONG, "--config", config, *given
        )
        said[given] = [(one["quantity"], one["remaining"]) for one in ran.of("exit")]
    # What is written on the command line goes before the configuration.
    assert list(said.values()) == [[("1", "0")], [("0.5", "0.5")], [("0.5", "0.5")]]


def test_contracts_of_the_other_product_are_nobodys_ticks(desk: Desk) -> None:
    lines = [
        line(n, agg(price, n + 1, n, st=st))
        for n, (price, st) in enumerate([("100", 1), ("50", 2), ("100.1", 1), ("98", 1)])
    ]
    lines.insert(1, line(0.5, mark("50", 0.5, st=2)))
    ran = desk.replay(desk.tape(lines), "--plan", desk.plan(), *LONG)
    assert [(one["tick"], one["price"]) for one in ran.of("exit")] == [(3, "98")]
    assert ran.summary["skipped"] == 0


def test_a_timer_fires_at_whatever_line_comes_but_never_after_the_last(desk: Desk) -> None:
    plan = desk.plan(STOP_1 + "[time_stop]\nseconds = 5\n")
    others: list[Any] = [
        line(7, agg("50", 1, 7, st=2)),
        line(7, {"e": "depthUpdate"}),
        line(7, {"e": "somethingNew"}),
        line(7, {"result": None, "id": 1}),
        line(7, agg("50", 1, 7, symbol="ETHUSDT")),
        line(7, {"e": "TRADE_LITE"}, channel="private"),
        rest(7, "/fapi/v1/time", {"serverTime": 1}),
        line(7, {"state": "up"}, channel="link"),
    ]
    for other in others:
        ran = desk.replay(desk.tape([*ticks("100"), other]), "--plan", plan, *LONG)
        assert [(one["t"], one["reasons"]) for one in ran.of("exit")] == [
            (T0_NS + 5 * SECOND_NS, ["time_stop"])
        ], other
    ran = desk.replay(desk.tape(ticks("100", "100", "100")), "--plan", plan, *LONG)
    assert ran.of("exit") == []
