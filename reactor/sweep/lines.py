"""A sweep as JSON lines, and as tables in CSV files: combinations, and the positions of the best."""

import csv
import io
from collections.abc import Iterator
from math import isinf
from typing import Any

from reactor.core.exact import EXACT, text
from reactor.core.plan import plan_tables
from reactor.replay.lines import R_MULTIPLE_DIGITS, Line, optional
from reactor.sweep import findings
from reactor.sweep.judging import Row
from reactor.sweep.measures import Measures
from reactor.sweep.split import EVER_NS, Split
from reactor.sweep.study import Study

DIGITS = 6
"""Decimals of a measure: far below what its number of positions can tell."""

TRADE_COLUMNS = (
    "part",
    "file",
    "symbol",
    "side",
    "opened_ns",
    "quantity",
    "entry",
    "atr",
    "stop",
    "closed_ns",
    "reason",
    "exits",
    "realized",
    "r_multiple",
    "fees_r",
)


def lines(found: Study) -> Iterator[Line]:
    """The JSON lines of a sweep: what it was, its combinations, its folds, what to think of it."""
    parts, asked = found.split, found.asked
    yield {
        "type": "sweep",
        "plan": found.base.name,
        "parameters": [
            {
                "key": one.key,
                "values": list(dict.fromkeys(some.values[at] for some in found.grid.tried)),
            }
            for at, one in enumerate(found.grid.parameters)
        ],
        "tried": len(found.grid.tried),
        "refused": [
            {"reason": reason, "count": count} for reason, count in found.grid.refused.most_common()
        ],
        "same": found.grid.same,
        "drawn": asked.drawn is not None,
        "seed": asked.seed,
        "objective": asked.objective,
        "fee_bp": text(asked.fee_bp),
        "entries": len(found.entries),
        "without_atr": found.without_atr,
        "embargoed": found.embargoed,
        "tracks": [
            {
                "file": course.track.name,
                "symbol": course.track.symbol,
                "source": course.track.source,
                "ticks": len(course.track),
                "way": "jump" if course.refusal is None else "walk",
                "why_walked": course.refusal,
                "approximate": course.track.is_approximate,
            }
            for course in found.courses
        ],
        **_split(parts),
    }
    for row in found.rows:
        yield combination_line(found, row)
    for fold in found.folds:
        yield {
            "type": "fold",
            **_split(fold.split),
            "best": None if fold.best is None else _values(found, fold.best),
            "train": _measures(fold.train),
            "test": _measures(fold.test),
            "rank_correlation": fold.correlation,
        }
    luck = found.luck
    yield {
        "type": "summary",
        "best": None if found.best is None else _values(found, found.best.number),
        "rank_correlation": found.correlation,
        "luck": None if luck is None else {key: _round(one) for key, one in luck._asdict().items()},
        "walked_forward": _measures(found.walked) if found.folds else None,
        "findings": [*findings.left_out(found), *findings.beliefs(found)],
    }


def combination_line(found: Study, row: Row) -> Line:
    """One combination: its values, its plan, what it came to in training and in the test."""
    return {
        "type": "combination",
        "base": row.number == found.grid.base,
        "rank": row.train_rank,
        "test_rank": row.test_rank,
        "values": _values(found, row.number),
        "train": _measures(row.train),
        "test": None if found.split.test is None else _measures(row.test),
        "straddling": row.straddling,
        "open": row.left_open,
        "open_r": _round(row.left_open_r),
    }


def _values(found: Study, number: int) -> dict[str, str]:
    values = found.grid.combinations[number].values
    return {one.key: value for one, value in zip(found.grid.parameters, values, strict=True)}


def _split(parts: Split) -> dict[str, int | None]:
    if parts.test is None:
        return {"train_to": None, "test_from": None, "test_to": None}
    test_to = None if parts.test.to_ns == EVER_NS else parts.test.to_ns
    return {"train_to": parts.cut_ns, "test_from": parts.test.from_ns, "test_to": test_to}


def _measures(one: Measures) -> dict[str, Any]:
    return {name: _round(value) for name, value in one._asdict().items()}


def _round(value: float | None) -> float | str | None:
    if value is None or isinstance(value, int):
        return value
    # JSON has no infinity.
    return "inf" if isinf(value) else round(value, DIGITS)


# CSV ----------------------------------------------------------------------------------------------


def combinations_csv(found: Study) -> str:
    """All combinations as a table, the best in training first."""
    names = [one.key for one in found.grid.parameters]
    fields = Measures._fields
    tests = found.split.test is not None
    header = ["rank", "test_rank", "base", *names, *(f"train_{name}" for name in fields)]
    header += [f"test_{name}" for name in fields] if tests else []
    rows = [[*header, "straddling", "open", "open_r"]]
    for row in found.rows:
        cells = [row.train_rank, row.test_rank, int(row.number == found.grid.base)]
        measured = [*row.train, *(row.test if tests else ())]
        cells += [*row.combination.values, *map(_round, measured)]  # type: ignore[list-item]
        rows.append([*cells, row.straddling, row.left_open, _round(row.left_open_r)])  # type: ignore[list-item]
    return _csv(rows)


def trades_csv(found: Study, row: Row) -> str:
    """Every position of one combination, exact: what a replay of the recording says of it."""
    rows: list[list[Any]] = [list(TRADE_COLUMNS)]
    all_played = found.desk.play_all(row.combination.plan)
    for column, entry in enumerate(found.entries):
        played = all_played[entry]
        track = found.courses[entry.track].track
        opened, closed = played.opened, played.closed
        realized = multiple = None
        if closed is not None:
            realized = optional(closed.realized)
            if closed.r_multiple is not None:
                multiple = text(EXACT.quantize(closed.r_multiple, R_MULTIPLE_DIGITS))
        rows.append(
            [
                _part(found, row.number, column),
                track.name,
                track.symbol,
                entry.side,
                None if opened is None else opened.t_ns,
                text(entry.quantity),
                text(entry.price),
                None if opened is None else optional(opened.atr),
                None if opened is None else text(opened.stop),
                None if closed is None else closed.t_ns,
                played.reason,
                len(played.exits),
                realized,
                multiple,
                _round(float(found.results[row.number, column]["fees_r"])),
            ]
        )
    return _csv(rows)


def _part(found: Study, number: int, column: int) -> str:
    one = slice(column, column + 1)
    times, results = found.entered_ns[one], found.results[number, one]
    if found.split.train.holds(times, results)[0]:
        return "train"
    test = found.split.test
    return "test" if test is not None and test.holds(times, results)[0] else "neither"


def _csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


# A plan file --------------------------------------------------------------------------------------


def plan_file(found: Study, row: Row) -> str:
    """A combination's plan as a plan file."""
    values = " ".join(f"{key}={value}" for key, value in _values(found, row.number).items())
    tables = plan_tables(row.combination.plan)
    out = [f"# {found.base.name} with {values}, as a sweep chose it."]
    nested: list[tuple[str, Any]] = []
    _write_table(out, tables, "", nested)
    while nested:
        path, table = nested.pop(0)
        if isinstance(table, list):
            for one in table:
                out += ["", f"[[{path}]]"]
                _write_table(out, one, path, nested)
        else:
            out += ["", f"[{path}]"]
            _write_table(out, table, path, nested)
    return "\n".join(out) + "\n"


def _write_table(
    out: list[str], table: dict[str, Any], path: str, nested: list[tuple[str, Any]]
) -> None:
    below: list[tuple[str, Any]] = []
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict) or (
            isinstance(value, list) and value and isinstance(value[0], dict)
        ):
            below.append((name, value))
        elif not (isinstance(value, list) and not value):
            out.append(f"{key} = {_toml(key, value, is_word=table.get('input') == 'regime')}")
    nested[:0] = below


def _toml(key: str, value: Any, *, is_word: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml(key, one, is_word=is_word) for one in value)}]"
    if isinstance(value, str) and (key in WORD_KEYS or (key == "value" and is_word)):
        return f'"{value}"'
    return str(value)


WORD_KEYS = {"name", "trigger", "interval", "method", "activate", "offset", "input", "op"}
"""Keys whose value is a word; every other text in a plan's tables is a number's."""
