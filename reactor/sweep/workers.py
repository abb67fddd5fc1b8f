"""Jobs on all cores: processes of their own, that end with this one.

Each process is started fresh (`spawn`, so that no lock or thread of this one is copied), maps the columns that all
share, and takes one job at a time. What a job answers does not depend on who did it or when. A process that
dies is told in one line; Ctrl-C ends them all at once.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import reduction, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from reactor.core.plan import Plan
from reactor.errors import WorkerLost
from reactor.sweep.course import Course
from reactor.sweep.desk import Desk, Job, Settings
from reactor.sweep.entries import Entry
from reactor.sweep.track import ColumnsFile, StoredTracks, Track, mapped_tracks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLD_EVERY = 64
"""Positions after which a process says how far it is: often enough for a bar, seldom enough to cost nothing."""

JOBS_PER_WORKER = 6
"""Jobs are cut so that each process gets about so many: the last one to finish is then not waited for long."""

JOB_SIZE_MIN = 400
"""Positions below which a job is not cut further: each watches its recording from the beginning."""

Done = Callable[[int], None]
Results = dict[Job, "NDArray[np.void]"]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs(
    groups: Sequence[tuple[int, ...]], entries: Sequence[Sequence[Entry]], *, workers: int
) -> list[Job]:
    """Cuts all positions into jobs.

    Args:
        groups: the numbers of the plans that share a watcher.
        entries: the entries of each track.
        workers: how many processes there will be.
    """
    plans = sum(map(len, groups))
    size = plans * sum(map(len, entries)) // (JOBS_PER_WORKER * workers) + 1
    size = max(size, JOB_SIZE_MIN)
    cut: list[Job] = []
    for track, rows in enumerate(entries):
        for group in groups:
            at_once = min(len(group), max(1, size // max(len(rows), 1)))
            span = max(1, size // at_once)
            for first in range(0, len(group), at_once):
                for start in range(0, len(rows), span):
                    these = group[first : first + at_once]
                    cut.append(Job(track, these, (start, min(start + span, len(rows)))))
    return cut


def work_alone(desk: Desk, work: Sequence[Job], *, done: Done) -> Results:
    """Does all jobs in this process."""
    return {job: desk.work(job, told=done) for job in work}


def work_together(
    tracks: Sequence[Track],
    plans: Sequence[Plan],
    entries: Sequence[Sequence[Entry]],
    settings: Settings,
    work: Sequence[Job],
    *,
    workers: int,
    done: Done,
) -> Results:
    """Does all jobs in several processes.

    Raises:
        WorkerLost: one of them died.
    """
    results: Results = {}
    # The largest first: what is left at the end is small.
    waiting = sorted(range(len(work)), key=lambda number: work[number].size)
    with (
        ColumnsFile(tracks) as columns,
        _processes(min(workers, len(work)), columns, (plans, entries, settings)) as pipes,
    ):
        busy = 0
        while waiting or busy:
            for pipe, process in _heard(pipes):
                try:
                    kind, content = pipe.recv()
                except (EOFError, OSError):
                    process.join(1.0)
                    raise WorkerLost(_obituary(process)) from None
                if kind == "done":
                    done(content)
                    continue
                if kind == "failed":
                    raise WorkerLost(f"a worker process failed: {content}")
                if kind == "result":
                    number, rows = content
                    results[work[number]] = rows
                    busy -= 1
                if waiting:
                    number = waiting.pop()
                    pipe.send((number, work[number]))
                    busy += 1
    return results


def _heard(pipes: dict[Connection, SpawnProcess]) -> Iterator[tuple[Connection, SpawnProcess]]:
    for pipe in wait(list(pipes)):
        assert isinstance(pipe, Connection)
        yield pipe, pipes[pipe]


def _obituary(process: SpawnProcess) -> str:
    code = process.exitcode
    cause = "no exit code" if code is None else f"exit code {code}"
    if code is not None and code < 0:
        cause = f"signal {signal.Signals(-code).name}"
    hint = "; was there enough memory? fewer --workers need less" if code == -9 else ""
    return f"a worker process died ({cause}){hint}; nothing was written"


@contextmanager
def _processes(
    count: int, columns: ColumnsFile, told: tuple[Any, ...]
) -> Iterator[dict[Connection, SpawnProcess]]:
    context = multiprocessing.get_context("spawn")
    pipes: dict[Connection, SpawnProcess] = {}
    # It is started with the first process otherwise, and lets Ctrl-C through again while that one starts.
    resource_tracker.ensure_running()
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            # Ctrl-C reaches every process of a terminal; they are ended from here, and say nothing themselves.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            pipes[ours] = process
        # Told once all are on their way: each takes a second to import what it needs.
        for ours, process in pipes.items():
            assert process.pid is not None
            try:
                reduction.send_handle(ours, columns.file.fileno(), process.pid)
                ours.send((columns.stored, *told))
            except OSError:
                process.join(1.0)
                raise WorkerLost(_obituary(process)) from None
        yield pipes
    finally:
        for process in pipes.values():
            process.terminate()
        for pipe, process in pipes.items():
            process.join(5.0)
            if process.is_alive():
                process.kill()
            pipe.close()


def _serve(pipe: Connection) -> None:
    """What a process of a sweep does until its pipe ends."""
    try:
        descriptor = reduction.recv_handle(pipe)
        stored, plans, entries, settings = pipe.recv()
        desk = _desk(stored, descriptor, plans, entries, settings)
        pipe.send(("ready", None))
        while True:
            number, job = pipe.recv()
            count = 0

            def told(more: int) -> None:
                nonlocal count
                count += more
                if count >= TOLD_EVERY:
                    pipe.send(("done", count))
                    count = 0

            rows = desk.work(job, told=told)
            pipe.send(("done", count))
            pipe.send(("result", (number, rows)))
    except (EOFError, OSError):
        # Whoever gave the work is gone.
        return
    except Exception as error:  # noqa: BLE001 - told where somebody reads it
        with suppress(OSError):
            pipe.send(("failed", f"{type(error).__name__}: {error}"))


def _desk(
    stored: StoredTracks,
    descriptor: int,
    plans: Sequence[Plan],
    entries: Sequence[Sequence[Entry]],
    settings: Settings,
) -> Desk:
    tracks = mapped_tracks(stored, descriptor)
    os.close(descriptor)
    return Desk([Course(track) for track in tracks], plans, entries, settings)
