"""What a sweep found, in sentences: what was tried on what, and how far the best of it is to be believed."""

from datetime import UTC, datetime
from math import isinf

from reactor.sweep.judging import Row
from reactor.sweep.measures import OBJECTIVES
from reactor.sweep.study import Study

UNLIKELY = 0.05
"""A result that chance brings less often than this is called one that luck alone does not explain."""

UNFINISHED_SHARE_MAX = 0.2
"""Of the positions: where more than this end in no part, what is compared is a choice of the short ones."""

SHOWN_REASONS = 5


def tried(found: Study) -> list[str]:
    """What was tried, on what."""
    grid = found.grid
    count = len(grid.tried)
    said = f"{count} combination{'s' * (count != 1)} tried"
    if found.asked.drawn is not None:
        said += f", drawn with seed {found.asked.seed}"
    refused = grid.refused.total()
    said += f"; {refused} refused as no valid plan" if refused else ""
    said += f"; {grid.same} that were the plan of another" if grid.same else ""
    entries = len(found.entries)
    symbols = sorted({course.track.symbol for course in found.courses})
    on = f"{entries} entr{'y' if entries == 1 else 'ies'} on {', '.join(symbols)}"
    if found.entries:
        on += f", {instant(found.entries[0].t_ns)} to {instant(found.entries[-1].t_ns)} UTC"
    lines = [f"{said}.", f"{on}.", f"Ranked by {OBJECTIVES[found.asked.objective][2]}."]
    ways = {
        "jumped over" if one.refusal is None else "walked tick by tick" for one in found.courses
    }
    lines.append(f"Ticks {' and '.join(sorted(ways))}.")
    if any(course.track.is_approximate for course in found.courses):
        lines.append(
            "Prices within candles are made up, against the position: the extreme that hurts it comes first."
        )
    return lines


def refusals(found: Study) -> list[str]:
    """Why combinations were refused, the commonest reasons first."""
    common = found.grid.refused.most_common(SHOWN_REASONS)
    lines = [f"refused {count}x: {reason}" for reason, count in common]
    more = len(found.grid.refused) - len(common)
    return lines + ([f"… and {more} more reasons"] if more > 0 else [])


def left_out(found: Study) -> list[str]:
    """Entries and positions that count nowhere."""
    lines = []
    if found.without_atr:
        lines.append(f"{found.without_atr} entries are left out: the ATR was not ready yet.")
    if found.never_opened:
        lines.append(f"{found.never_opened} entries are left out: no tick after them counted.")
    if found.embargoed:
        lines.append(f"{found.embargoed} entries lie too near the cut to train or test.")
    straddling = [row.straddling for row in found.rows]
    if max(straddling, default=0):
        lines.append(
            f"Positions that cross the cut belong to neither part: {spread(straddling)} of a combination."
        )
    left_open = [row.left_open for row in found.rows]
    if max(left_open, default=0):
        lines.append(
            f"Positions still open at the end count nowhere: {spread(left_open)} of a combination."
        )
    unfinished = max((row.straddling + row.left_open for row in found.rows), default=0)
    if unfinished > UNFINISHED_SHARE_MAX * len(found.entries):
        lines.append(
            f"WARNING: of one combination {unfinished} of {len(found.entries)} positions end in no part; what is"
            " compared are the ones that ended soon. --horizon closes all of them in time."
        )
    return lines


def beliefs(found: Study) -> list[str]:
    """How far the best is to be believed."""
    best = found.best
    if best is None:
        least = max(found.asked.trades_min, 1)
        return [f"No combination has {least} closed positions to train on: nothing is ranked."]
    lines = [*_split_lines(found, best), *_luck_lines(found)]
    if found.folds:
        lines += _fold_lines(found)
    return lines


def _split_lines(found: Study, best: Row) -> list[str]:
    if found.split.test is None:
        return [
            "WARNING: nothing tests: the best of what it was chosen on says nothing about what comes next."
        ]
    name = found.asked.objective
    key, _, _ = OBJECTIVES[name]
    ranked = sum(row.test_rank is not None for row in found.rows)
    place = "not ranked" if best.test_rank is None else f"{best.test_rank} of {ranked}"
    lines = [
        (
            f"The best in training ({name} {number(getattr(best.train, key))}) has {number(getattr(best.test, key))}"
            f" in the test: place {place} there."
        )
    ]
    if best.test.trades < found.asked.trades_min:
        count = best.test.trades
        lines.append(
            f"WARNING: its test has {count} closed position{'s' * (count != 1)}: too few to say anything."
        )
    base = found.base_row
    if base is not best and base.train.trades:
        lines.append(
            f"The base plan has {number(getattr(base.train, key))} and"
            f" {number(getattr(base.test, key))}."
        )
    if found.correlation is not None:
        says = "places in training say little about places in the test"
        if found.correlation >= 0.5:
            says = "places in training tend to hold in the test"
        elif found.correlation <= -0.3:
            says = "what was good in training tends to be bad in the test"
        lines.append(f"Rank correlation of training and test: {found.correlation:+.2f}; {says}.")
    return lines


def _luck_lines(found: Study) -> list[str]:
    luck = found.luck
    if luck is None:
        return [
            "How much of the best is luck cannot be said: too few positions, or too many results."
        ]
    lines = [
        (
            f"If none of the {luck.tried} were worth anything, the best mean R in training would by chance be"
            f" {luck.expected_best_r:+.3f}; found is {luck.best_mean_r:+.3f}. Chance alone does as well with a"
            f" probability of {luck.probability:.3f} (reality check, blocks of {luck.block} entries)."
        )
    ]
    if luck.best_mean_r <= 0:
        lines.append("WARNING: no combination gains after fees in training.")
    elif luck.probability > UNLIKELY:
        lines.append(
            f"WARNING: that is what trying {luck.tried} combinations brings by luck. Do not trust the best."
        )
    return lines


def _fold_lines(found: Study) -> list[str]:
    walked = found.walked
    return [
        (
            f"Walking forward, the best of each training came to {number(walked.mean_r)} mean R after fees over"
            f" {walked.trades} positions it was not chosen on, {number(walked.total_r)} R in all."
        )
    ]


def spread(counts: list[int]) -> str:
    """The smallest and the largest of some counts."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def number(value: float | None) -> str:
    """A measure as it is shown: three decimals, a sign, and `-` where there is none."""
    if value is None:
        return "-"
    if isinf(value):
        return "inf"
    return f"{value:+.3f}"


def instant(t_ns: int) -> str:
    """A time in UTC to the second."""
    return datetime.fromtimestamp(t_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
