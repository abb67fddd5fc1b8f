"""`reactor replay`, `reactor levels` and `reactor atr`: arguments in, lines and exit codes out."""

import argparse
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from reactor.core.atr import Atr
from reactor.core.decisions import Side
from reactor.core.exact import EXACT, text
from reactor.core.levels import Levels, levels
from reactor.core.orders import Fills
from reactor.core.regime import Regime, Volatility
from reactor.core.sizing import RuleVerdict
from reactor.errors import ConfigError
from reactor.plans import DEFAULT_PLAN, load_plan, shipped_plan_names
from reactor.replay import options as parse
from reactor.replay.candle_file import read_candles
from reactor.replay.lines import Line, optional
from reactor.replay.options import ReplayOptions
from reactor.replay.policy_levels import chosen_mode

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001 - argparse names it no other way

REPLAY_EXAMPLES = """\
examples:
  reactor replay fixtures/flash_crash.jsonl.zst
  reactor replay fixtures/trend.jsonl.zst --json > decisions.jsonl
  reactor replay day.jsonl.zst --plan challenge_100 --trigger last \\
      --position BTCUSDT:LONG:0.182@88126.16 --tick BTCUSDT=0.1 --step BTCUSDT=0.001 \\
      --report session.html
  reactor replay ticks.npz --position BTCUSDT:SHORT:1@60000 --atr BTCUSDT=120

Without --position the tape's own positions and fills count. A tape is .jsonl, .jsonl.gz or .jsonl.zst;
a tick file is .csv (.gz, .zst) or .npz with columns (arrays) `price` and `t`. `--json` prints one JSON
object a line; docs/replay.md describes each.
"""
LEVELS_EXAMPLES = """\
examples:
  reactor levels --entry 100000 --atr 2000 --side LONG
  reactor levels --entry 3500 --atr 150 --side SHORT --plan defensive_trail --json
  reactor levels --entry 88126.16 --atr 100.8571 --side LONG --plan challenge_100 \\
      --input leverage=20 --input notional=16038.96
  reactor levels --entry 98000 --atr 1200 --side LONG --regime BULL --volatility HIGH --profile SAFE
"""
ATR_EXAMPLES = """\
examples:
  reactor atr BTCUSDT_5m.csv.gz
  reactor atr candles.csv --period 21 --method sma

The file needs a header with open_time (or open_time_ms), open, high, low, close; more columns are fine.
"""


def add_replay_command(commands: "Subparsers") -> None:
    """Adds `reactor replay`."""
    replay_parser = _command(
        commands,
        "replay",
        "play tapes or tick files through the exit machine and print every decision",
        REPLAY_EXAMPLES,
        _run_replay,
    )
    add = replay_parser.add_argument
    add("tapes", metavar="TAPE", nargs="+", type=Path, help="recordings, played in this order")
    add("--plan", metavar="NAME|FILE", help=f"the plan of every position ({_plan_names()})")
    add("--config", metavar="FILE", type=Path, help="a reactor.toml: plans and filters by symbol")
    _repeatable(add, "--position", "SYMBOL:SIDE:QTY@ENTRY", "open this at the first trigger tick")
    add("--open-at", metavar="TIME", help="open --position then: nanoseconds, or 2024-08-08T23:55Z")
    _repeatable(add, "--atr", "SYMBOL=VALUE", "a fixed ATR instead of the candle-built one")
    _repeatable(add, "--input", "SYMBOL:NAME=VALUE", "leverage, margin, liquidation_price …")
    _repeatable(add, "--tick", "SYMBOL=SIZE", "tick size, where the tape has no exchangeInfo")
    _repeatable(add, "--step", "SYMBOL=SIZE", "lot step, likewise")
    _repeatable(add, "--min-qty", "SYMBOL=QTY", "smallest quantity, likewise")
    add("--trigger", choices=("mark", "last", "book"), help="the price source; overrules the plan")
    add(
        "--fill",
        choices=("trigger", "next"),
        default="trigger",
        help="simulated fills at the triggering tick's price, or at the next tick's",
    )
    add(
        "--speed", type=float, default=0.0, help="0 as fast as possible (default), 1 as recorded, N"
    )
    add("--verify", action="store_true", help="compare own orders with the recorded ones")
    add(
        "--engine",
        choices=("auto", "walk", "columns"),
        default="auto",
        help="message by message, or jumping over columns of ticks (tick files; default: auto)",
    )
    add("--symbol", help="the symbol of a tick file (default: the position's)")
    add("--json", action="store_true", help="JSON lines on standard output and nothing else")
    add("--report", metavar="FILE.html", type=Path, help="a picture of the session")


def add_levels_command(commands: "Subparsers") -> None:
    """Adds `reactor levels`."""
    levels_parser = _command(
        commands, "levels", "print the levels a plan yields", LEVELS_EXAMPLES, _run_levels
    )
    add = levels_parser.add_argument
    add("--entry", required=True, metavar="PRICE", help="average entry price")
    add("--atr", required=True, metavar="PRICE", help="average true range, in price")
    add("--side", required=True, choices=("LONG", "SHORT"), type=str.upper)
    add("--plan", metavar="NAME|FILE", help=f"{_plan_names()} (default: {DEFAULT_PLAN})")
    known = [regime.value for regime in Regime]
    add("--regime", choices=known, type=_upper, help="let the exit policy choose the plan")
    add(
        "--volatility",
        choices=[one.value for one in Volatility],
        type=_upper,
        help="of the regime (default NORMAL)",
    )
    add("--profile", metavar="NAME", help="whose policy: SAFE (default) or AGGRESSIVE")
    add("--policy", metavar="FILE.toml", type=Path, help="a policy file instead of a shipped one")
    add("--tick", metavar="SIZE", help="tick size to round to (default: no rounding)")
    _repeatable(add, "--input", "NAME=VALUE", f"a fact for ladder rules: {_input_names()}")
    add("--json", action="store_true", help="one JSON object")


def add_atr_command(commands: "Subparsers") -> None:
    """Adds `reactor atr`."""
    atr_parser = _command(
        commands, "atr", "print the average true range of a candle file", ATR_EXAMPLES, _run_atr
    )
    add = atr_parser.add_argument
    add("file", metavar="FILE.csv", type=Path, help="candles, .gz too")
    add("--period", type=int, default=14, help="how many true ranges (default 14)")
    add("--method", choices=("wilder", "sma"), default="wilder", help="default wilder")


def _command(
    commands: "Subparsers",
    name: str,
    does: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=does,
        description=f"{does[:1].upper()}{does[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _repeatable(add: Callable[..., Any], option: str, form: str, does: str) -> None:
    add(option, metavar=form, action="append", default=[], help=f"{does} (repeatable)")


def _input_names() -> str:
    return ", ".join(parse.LADDER_INPUTS)


def _plan_names() -> str:
    return f"{', '.join(shipped_plan_names())}, or a .toml file"


def _run_replay(args: argparse.Namespace) -> int:
    # Tapes, tables and pictures take a second to import, which `levels` and `atr` need not wait for.
    from reactor.replay.run import replay  # noqa: PLC0415
    from reactor.replay.tables import ReplayTable  # noqa: PLC0415

    if not 0 <= args.speed < float("inf"):
        raise ConfigError(f"--speed {args.speed} must be 0 or more")
    asked = ReplayOptions(
        plan=None if args.plan is None else load_plan(args.plan),
        config=args.config,
        positions=parse.positions(args.position),
        atrs=parse.by_symbol(args.atr, "--atr"),
        inputs=parse.ladder_inputs(args.input),
        ticks=parse.by_symbol(args.tick, "--tick"),
        steps=parse.by_symbol(args.step, "--step"),
        min_quantities=parse.by_symbol(args.min_qty, "--min-qty", zero_is_none=True),
        trigger=args.trigger,
        fills=Fills(args.fill),
        speed=args.speed,
        verify=args.verify,
        engine=args.engine,
        symbol=None if args.symbol is None else args.symbol.upper(),
        open_at_ns=None if args.open_at is None else parse.instant_ns(args.open_at, "--open-at"),
    )
    if asked.open_at_ns is not None and not asked.positions:
        raise ConfigError("--open-at says when a --position opens; give one")
    table = None if args.json else ReplayTable()
    # Where a recording is watched at its own pace, no line may wait for a full buffer.
    print_json = _print_json_at_once if args.speed > 0 else _print_json
    emit = print_json if table is None else table.line
    result = replay(
        asked,
        args.tapes,
        emit=emit,
        note=_say,
        report=args.report,
        show_progress=table is not None and sys.stderr.isatty(),
    )
    if table is not None:
        table.print()
    if result.difference is not None:
        _say(result.difference)
        return 1
    return 0


def _print_json(line: Line) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")


def _print_json_at_once(line: Line) -> None:
    _print_json(line)
    sys.stdout.buffer.flush()


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


def _upper(word: str) -> str:
    return word.upper()


def _run_levels(args: argparse.Namespace) -> int:
    side: Side = "LONG" if args.side == "LONG" else "SHORT"
    inputs = parse.level_inputs(args.input)
    policy = None
    if args.regime or args.volatility or args.profile or args.policy:
        if args.plan is not None:
            raise ConfigError(
                "--plan names a plan and --regime lets the policy choose one; give one"
            )
        policy = chosen_mode(
            regime=args.regime,
            volatility=args.volatility,
            profile=args.profile,
            file=args.policy,
        )
        if policy.regime != Regime.UNKNOWN:
            inputs = {"regime": policy.regime, **inputs}
    plan = load_plan(policy.plan if policy is not None else args.plan or DEFAULT_PLAN)
    found = levels(
        plan,
        side=side,
        entry=parse.price(args.entry, "--entry"),
        atr=parse.price(args.atr, "--atr"),
        tick=None if args.tick is None else parse.positive(args.tick, "--tick"),
        inputs=inputs,
    )
    if args.json:
        _print_json(_levels_line(found) | (policy.line() if policy is not None else {}))
    else:
        from reactor.replay.tables import LevelsTable  # noqa: PLC0415 - as above

        if policy is not None:
            sys.stdout.write(f"{policy.why}\n")
        LevelsTable(found, plan).print()
    return 0


def _levels_line(found: Levels) -> Line:
    ratio = found.reward_risk
    return {
        "plan": found.plan,
        "side": found.side,
        "entry": text(found.entry),
        "atr": optional(found.atr),
        "stop": text(found.stop),
        "r": text(found.r),
        "targets": [[optional(price), text(close)] for price, close in found.targets],
        "break_even": optional(found.break_even),
        "trail": optional(found.trail),
        "reward_risk": None if ratio is None else str(EXACT.quantize(ratio, Decimal("0.01"))),
        "high_volatility": found.high_volatility,
        **({"rules": [_rule(verdict) for verdict in found.rules]} if found.rules else {}),
    }


def _rule(verdict: RuleVerdict) -> Line:
    return {
        "rule": verdict.rule,
        "effect": verdict.effect,
        "applied": verdict.applied,
        "why": verdict.why,
    }


def _run_atr(args: argparse.Namespace) -> int:
    if not 1 <= args.period <= 100_000:
        raise ConfigError(f"--period {args.period} is out of range: 1 to 100000")
    # Everything is read before anything is printed: a bad row gives one line and no half answer.
    atr = Atr(period=args.period, method=args.method)
    rows = []
    for open_time, candle in read_candles(args.file):
        atr.close_candle(candle.high, candle.low, candle.close)
        if atr.value is not None:
            rows.append(f"{open_time},{atr.value!r}\n")
    sys.stdout.writelines(rows)
    return 0
