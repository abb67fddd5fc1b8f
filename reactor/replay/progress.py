"""The progress bar of a replay, on standard error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from reactor.replay import walk


@contextmanager
def progress_shown(paths: Sequence[Path], *, enabled: bool) -> Iterator[walk.Progress | None]:
    """Draws a bar while the body runs.

    Args:
        paths: the files; their size is what the bar measures.
        enabled: whether to draw anything.

    Yields:
        What the walk tells how far it is; None when nothing is drawn.
    """
    if not enabled:
        yield None
        return
    total = sum(path.stat().st_size for path in paths)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines, at {task.fields[clock]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("replay", total=total, lines=0, clock="-")

        def show(bytes_read: int, lines_read: int, now_ns: int) -> None:
            clock = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
            bar.update(task, completed=bytes_read, lines=lines_read, clock=clock)

        yield show
