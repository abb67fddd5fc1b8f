"""`reactor sweep`: arguments in; tables, files and exit codes out."""

import argparse
import re
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from reactor.core.decisions import Side
from reactor.core.orders import Fills
from reactor.errors import ConfigError, WorkerLost
from reactor.plans import DEFAULT_PLAN, shipped_plan_names
from reactor.replay import options as parse

if TYPE_CHECKING:
    from reactor.sweep.asked import Asked
    from reactor.sweep.study import Study

    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001 - argparse names it no other way

EXAMPLES = """\
examples:
  reactor sweep ticks.npz --symbol BTCUSDT --every 30m --set stop.atr=1.0,1.5,2.0 --set trailing.atr=0.6:1.8:0.3
  reactor sweep BTCUSDT_1m.csv.gz ETHUSDT_1m.csv.gz --every 4h --plan fast_tp --set stop.atr=1:3:0.5 \\
      --set targets.1.atr=1:5:0.5 --report sweep.html --csv sweep.csv
  reactor sweep mon.jsonl.zst tue.jsonl.zst --joined --trigger last --every 10m --plan challenge_100 \\
      --random 200 --seed 7 --set trailing.pct=0.001:0.01 --set harvest=on,off --folds 4
  reactor sweep day.jsonl.zst --position BTCUSDT:LONG:0.182@61800 --trigger last --set stop.pct=0.002:0.01:0.002

Values of a --set: a list (1.0,1.5), a range with a step, both ends included (0.002:0.006:0.001), with --random
also a range without one (0.001:0.01); words (atr.method=sma,wilder), true and false; `off` takes a table or a key
out, `on` leaves it. Rungs are numbered from 1 (targets.1.r). `plan=A,B` sweeps whole plans.
A tape is .jsonl, .jsonl.gz or .jsonl.zst; plain ticks are .csv (.gz, .zst) or .npz; candles are a .csv with
open_time, open, high, low, close. SYMBOL=FILE says whose prices a file without symbols has, where its name
does not. docs/sweep.md says how positions are entered, split and judged.
"""

OBJECTIVE_NAMES = (
    "mean_r",
    "gross_r",
    "median_r",
    "total_r",
    "win_rate",
    "profit_factor",
    "max_drawdown",
    "recovery",
    "mean_over_sd",
)
TOP = 20
WORKERS_MAX = 512
FOLDS_MAX = 50
DAY_NS = 86_400 * 10**9
DURATION_NS_MAX = 366 * DAY_NS
BAD_INPUT = 2

_DURATION = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h|d)")
_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": DAY_NS}


def add_sweep_command(commands: "Subparsers") -> None:
    """Adds `reactor sweep`."""
    does = "try many plan values on recordings, on all cores, trained and tested apart"
    sweep: argparse.ArgumentParser = commands.add_parser(
        "sweep",
        help=does,
        description=f"{does[:1].upper()}{does[1:]}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.set_defaults(run=_run)
    add = sweep.add_argument
    add("files", metavar="FILE", nargs="+", help="tapes, plain ticks, candles; SYMBOL=FILE")
    _add_values(add)
    _add_entries(add)
    _add_judging(add)
    _add_market(add)
    _add_output(add)


def _add_values(add: Callable[..., Any]) -> None:
    names = ", ".join(shipped_plan_names())
    add("--plan", metavar="NAME|FILE", help=f"the base plan: {names}, or a .toml file")
    _repeatable(add, "--set", "KEY=VALUES", "a plan value and what is tried for it")
    add("--random", metavar="N", type=int, help="draw N combinations instead of trying the grid")
    add("--seed", metavar="N", type=int, default=1, help="of the draws (default 1)")


def _add_entries(add: Callable[..., Any]) -> None:
    add("--every", metavar="TIME", help="enter at each multiple of 10m, 1h … (default 1h)")
    add("--side", choices=("both", "long", "short"), default="both", help="default both")
    add("--notional", metavar="QUOTE", default="1000", help="of each entry (default 1000)")
    _repeatable(add, "--position", "SYMBOL:SIDE:QTY@ENTRY", "instead: this, at its first tick")
    add("--horizon", metavar="TIME", help="close by hand what is open so long after its entry")
    add(
        "--fallback-stops",
        action="store_true",
        help="enter before the ATR is ready too, with the plan's fallback stop",
    )


def _add_judging(add: Callable[..., Any]) -> None:
    add("--objective", choices=OBJECTIVE_NAMES, default="mean_r", help="rank by (default mean_r)")
    add("--fee-bp", metavar="BP", default="5", help="of each fill, basis points (default 5: taker)")
    add("--train", metavar="SHARE", type=float, help="of the entries, in time (default 0.7)")
    add(
        "--embargo",
        metavar="TIME",
        help="nothing enters the test so long after the cut (default 0)",
    )
    add("--folds", metavar="N", type=int, default=0, help="walk forward in N steps besides")
    add("--min-trades", metavar="N", type=int, help="rank with at least so many (default 10)")


def _add_market(add: Callable[..., Any]) -> None:
    add("--symbol", metavar="A,B", help="only these symbols; of a tick file without one, its name")
    add("--joined", action="store_true", help="the tapes are one session, in this order")
    add("--trigger", choices=("mark", "last", "book"), help="the price source; overrules the plan")
    add("--fill", choices=("trigger", "next"), default="trigger", help="as of `reactor replay`")
    add("--config", metavar="FILE", type=Path, help="a reactor.toml: filters by symbol, regimes")
    _repeatable(add, "--atr", "SYMBOL=VALUE", "a fixed ATR instead of the candle-built one")
    _repeatable(add, "--input", "SYMBOL:NAME=VALUE", "leverage, margin, liquidation_price …")
    _repeatable(add, "--tick", "SYMBOL=SIZE", "tick size, where the tape has no exchangeInfo")
    _repeatable(add, "--step", "SYMBOL=SIZE", "lot step, likewise")
    _repeatable(add, "--min-qty", "SYMBOL=QTY", "smallest quantity, likewise")


def _add_output(add: Callable[..., Any]) -> None:
    add("--workers", metavar="N", type=int, help="processes (default: all cores)")
    add(
        "--top",
        metavar="N",
        type=int,
        default=TOP,
        help=f"rows of the table (default {TOP}, 0 all)",
    )
    add("--json", action="store_true", help="JSON lines on standard output and nothing else")
    add("--csv", metavar="FILE", type=Path, help="every combination as a table")
    add("--trades", metavar="FILE", type=Path, help="every position of the best as a table")
    add("--report", metavar="FILE.html", type=Path, help="a picture")
    add("--heat", metavar="KEY,KEY", help="the two parameters of the picture's heat map")
    add("--write-plan", metavar="FILE.toml", type=Path, help="the best in training as a plan file")


def _repeatable(add: Callable[..., Any], option: str, form: str, does: str) -> None:
    add(option, metavar=form, action="append", default=[], help=f"{does} (repeatable)")


def _run(args: argparse.Namespace) -> int:
    try:
        import numpy as np  # noqa: F401, PLC0415 - an extra, and `--help` need not wait for it
    except ImportError:
        raise ConfigError("a sweep needs numpy: pip install 'exit-reactor[columns]'") from None
    asked = _asked(args)
    heat = _heat(args.heat, asked)
    _refuse_outputs(args, asked)
    from reactor.sweep.progress import sweep_shown  # noqa: PLC0415 - as above
    from reactor.sweep.study import study  # noqa: PLC0415 - as above

    shows = sys.stderr.isatty()
    started = time.perf_counter()
    try:
        found = study(
            asked,
            note=_say,
            progress=lambda total: sweep_shown(total, enabled=shows),
            show_reading=shows,
        )
    except WorkerLost as error:
        _say(f"reactor: {error}")
        return BAD_INPUT
    _write(args, found, heat)
    positions = found.results.size
    seconds = time.perf_counter() - started
    _say(f"{positions} positions in {seconds:.1f} s, {asked.workers} workers")
    return 0


def _asked(args: argparse.Namespace) -> "Asked":
    from reactor.sweep.asked import Asked  # noqa: PLC0415 - as above
    from reactor.sweep.grid import parameters  # noqa: PLC0415 - as above
    from reactor.sweep.track_files import inputs  # noqa: PLC0415 - as above
    from reactor.sweep.workers import cores  # noqa: PLC0415 - as above

    sides: dict[str, tuple[Side, ...]] = {
        "both": ("LONG", "SHORT"),
        "long": ("LONG",),
        "short": ("SHORT",),
    }
    positions = parse.positions(args.position)
    share = args.train
    if share is None:
        share = 1.0 if positions else 0.7
    if not 0 < share <= 1:
        raise ConfigError(f"--train {share} must be above 0 and at most 1")
    if positions and (args.every or args.side != "both"):
        raise ConfigError("--position says what is entered; leave --every and --side away")
    least = args.min_trades if args.min_trades is not None else (1 if positions else 10)
    fee = parse.number(args.fee_bp, "--fee-bp")
    if not 0 <= fee < 1000:
        raise ConfigError(f"--fee-bp {args.fee_bp} is out of range: 0 to 1000 basis points")
    return Asked(
        inputs=tuple(inputs(args.files)),
        joined=args.joined,
        symbols=_symbols(args.symbol),
        plan=args.plan or DEFAULT_PLAN,
        parameters=parameters(args.set),
        drawn=_count(args.random, "--random", 1, 20_000),
        seed=_count(args.seed, "--seed", 0, 2**63 - 1) or 0,
        positions=positions,
        every_ns=duration_ns(args.every or "1h", "--every"),
        sides=sides[args.side],
        notional=parse.positive(args.notional, "--notional"),
        trigger=args.trigger,
        config=args.config,
        atrs=parse.by_symbol(args.atr, "--atr"),
        ladder=parse.ladder_inputs(args.input),
        ticks=parse.by_symbol(args.tick, "--tick"),
        steps=parse.by_symbol(args.step, "--step"),
        min_quantities=parse.by_symbol(args.min_qty, "--min-qty", zero_is_none=True),
        fills=Fills(args.fill),
        share=share,
        embargo_ns=0 if args.embargo is None else duration_ns(args.embargo, "--embargo", least=0),
        folds=_count(args.folds, "--folds", 0, FOLDS_MAX) or 0,
        horizon_ns=None if args.horizon is None else duration_ns(args.horizon, "--horizon"),
        objective=args.objective,
        trades_min=_count(least, "--min-trades", 1, 10**9) or 1,
        fee_bp=fee,
        fallback_stops=args.fallback_stops,
        workers=_count(args.workers, "--workers", 1, WORKERS_MAX) or cores(),
    )


def _symbols(listed: str | None) -> tuple[str, ...]:
    return tuple(one.strip().upper() for one in (listed or "").split(",") if one.strip())


def _count(value: int | None, option: str, low: int, high: int) -> int | None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{option} {value} is out of range: {low} to {high}")
    return value


def duration_ns(text: str, option: str, *, least: int = 1) -> int:
    """A length of time in nanoseconds.

    Args:
        text: `500ms`, `30s`, `10m`, `4h`, `1d`.
        option: whose it is, for messages.
        least: the shortest that is taken, in nanoseconds.

    Raises:
        ConfigError: it is none, or out of range.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None and not (text.strip() == "0" and not least):
        raise ConfigError(f"{option} {text[:40]!r} is no length of time; write 30s, 10m, 4h or 1d")
    length = 0 if match is None else int(Decimal(match["count"]) * _UNITS_NS[match["unit"]])
    if not least <= length <= DURATION_NS_MAX:
        raise ConfigError(f"{option} {text[:40]!r} is out of range: 1ms to 366d")
    return length


def _heat(listed: str | None, asked: "Asked") -> tuple[str, str] | None:
    keys = [one.key for one in asked.parameters]
    if listed is None:
        return (keys[0], keys[1]) if len(keys) > 1 else None
    first, _, second = (part.strip() for part in listed.partition(","))
    if first not in keys or second not in keys or first == second:
        raise ConfigError(
            f"--heat {listed!r}: name two of the parameters that are set: {', '.join(keys)}"
        )
    return first, second


def _refuse_outputs(args: argparse.Namespace, asked: "Asked") -> None:
    """Refuses before the work what would only fail, or destroy a recording, after it."""
    inputs = {one.path.resolve() for one in asked.inputs}
    outputs: dict[Path, str] = {}
    for option in ("csv", "trades", "report", "write_plan"):
        path: Path | None = getattr(args, option)
        if path is None:
            continue
        name = f"--{option.replace('_', '-')} {path}"
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ConfigError(f"{name}: name a file in a folder that exists")
        if path.resolve() in inputs:
            raise ConfigError(f"{name} would replace a recording; name another file")
        if path.resolve() in outputs:
            raise ConfigError(f"{name} is {outputs[path.resolve()]} too; name another file")
        outputs[path.resolve()] = name
    if not args.top >= 0:
        raise ConfigError(f"--top {args.top} must be 0 (all) or more")


def _write(args: argparse.Namespace, found: "Study", heat: tuple[str, str] | None) -> None:
    from reactor.sweep.lines import combinations_csv, lines, plan_file, trades_csv  # noqa: PLC0415
    from reactor.sweep.report import page_of  # noqa: PLC0415 - as above
    from reactor.sweep.tables import print_study  # noqa: PLC0415 - as above

    if args.json:
        for line in lines(found):
            sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    else:
        print_study(found, top=args.top)
    if args.csv is not None:
        args.csv.write_text(combinations_csv(found), encoding="utf-8")
    best = found.best
    if best is None and (args.trades or args.write_plan):
        _say("nothing is ranked, so there is no best combination to write down")
    elif best is not None:
        if args.trades is not None:
            args.trades.write_text(trades_csv(found, best), encoding="utf-8")
        if args.write_plan is not None:
            args.write_plan.write_text(plan_file(found, best), encoding="utf-8")
    if args.report is not None:
        args.report.write_bytes(page_of(found, heat=heat))


def _say(message: str) -> None:
    line = "".join(char if char.isprintable() else "?" for char in message)
    sys.stderr.write(line + "\n")
