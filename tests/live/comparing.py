"""A recorded session against its replay: every decision, line by line, and every order."""

from itertools import zip_longest

import orjson
from virtual import World

from reactor.replay.lines import Line
from reactor.replay.options import ReplayOptions
from reactor.replay.run import ReplayResult, replay


def replayed(world: World) -> tuple[list[Line], ReplayResult, list[str]]:
    """The decisions of a replay with `--verify`, its result, and what it said."""
    lines: list[Line] = []
    notes: list[str] = []
    options = ReplayOptions(verify=True)
    result = replay(options, world.tapes, emit=lines.append, note=notes.append)
    return lines[:-1], result, notes


def difference(world: World) -> str | None:
    """The first difference between what was decided live and in the replay; None where there is none."""
    lines, result, _ = replayed(world)
    for number, (live, again) in enumerate(zip_longest(world.lines, lines)):
        if live != again:
            shown = [orjson.dumps(one).decode() if one else "nothing" for one in (live, again)]
            return f"decision {number}\n  live   {shown[0]}\n  replay {shown[1]}"
    return result.difference
