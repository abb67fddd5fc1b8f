"""A recorded session against its replay: every decision, line by line, and every order."""

from itertools import zip_longest

import orjson
from virtual import Run, World

from reactor.replay.lines import Line
from reactor.replay.options import ReplayOptions
from reactor.replay.run import ReplayResult, replay


def replayed(run: Run) -> tuple[list[Line], ReplayResult, list[str]]:
    """The decisions of a replay with `--verify`, its result, and what it said."""
    lines: list[Line] = []
    notes: list[str] = []
    options = ReplayOptions(verify=True)
    result = replay(options, run.tapes, emit=lines.append, note=notes.append)
    return lines[:-1], result, notes


def difference(world: World) -> str | None:
    """The first difference between what was decided live and in the replay; None where there is none."""
    for number, run in enumerate(world.runs):
        found = _difference(run)
        if found is not None:
            return f"process {number}: {found}"
    return None


def _difference(run: Run) -> str | None:
    if not run.tapes:
        # The exchange was never reached, so nothing was decided.
        return "decided without a tape" if run.lines else None
    lines, result, _ = replayed(run)
    for number, (live, again) in enumerate(zip_longest(run.lines, lines)):
        if live != again:
            shown = [orjson.dumps(one).decode() if one else "nothing" for one in (live, again)]
            return f"decision {number}\n  live   {shown[0]}\n  replay {shown[1]}"
    return result.difference
