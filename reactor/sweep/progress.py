"""The progress bar of a sweep, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def sweep_shown(total: int, *, enabled: bool) -> Iterator[Callable[[int], None]]:
    """Draws a bar while the body runs.

    Args:
        total: how many positions there are.
        enabled: whether to draw anything.

    Yields:
        What is told how many more are done.
    """
    if not enabled:
        yield lambda _: None
        return
    with Progress(
        TextColumn("sweep"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("positions,"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("sweep", total=total)
        yield lambda more: bar.update(task, advance=more)
