"""Several processes answer what one does, to the byte; one that dies is told; Ctrl-C ends all of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from swept import MINUTE_NS, sweep, tick_walk

from reactor.errors import WorkerLost
from reactor.sweep import workers
from reactor.sweep.desk import Job
from reactor.sweep.lines import combinations_csv, lines
from reactor.sweep.report import page_of

SETS = ["stop.atr=1:3:0.5", "trailing.atr=0.6,1.2,1.8", "atr.period=7,14"]


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "JOB_SIZE_MIN", 10)


def test_the_answer_does_not_depend_on_how_many_work(tmp_path: Path) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=12_000)
    answers = []
    for count in (1, 2, 3):
        found = sweep(file, sets=SETS, every_ns=20 * MINUTE_NS, workers=count, folds=2)
        answers.append(
            (
                list(lines(found)),
                combinations_csv(found),
                page_of(found, heat=None),
                found.results.tobytes(),
            )
        )
    assert answers[0] == answers[1] == answers[2]


def test_every_position_is_in_one_job() -> None:
    entries = [[None] * 37, [None] * 5, []]
    cut = workers.jobs([(0, 1, 2, 5), (3, 4)], entries, workers=3)  # type: ignore[arg-type]
    cells = [
        (job.track, plan, entry)
        for job in cut
        for plan in job.plans
        for entry in range(*job.entries)
    ]
    assert len(cells) == len(set(cells)) == 6 * 42
    assert sum(job.size for job in cut) == 6 * 42


def test_a_worker_that_dies_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=3000)
    heard = workers._heard

    def killed(pipes: dict[Connection, SpawnProcess]) -> Iterator[tuple[Connection, SpawnProcess]]:
        for process in pipes.values():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        return heard(pipes)

    monkeypatch.setattr(workers, "_heard", killed)
    with pytest.raises(WorkerLost, match="died") as told:
        sweep(file, sets=SETS, every_ns=5 * MINUTE_NS, workers=2, fallback_stops=True)
    assert "\n" not in str(told.value)


def test_what_a_worker_cannot_do_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=3000)
    wrong = [Job(0, (99,), (0, 1)), Job(0, (98,), (0, 1))]
    monkeypatch.setattr(workers, "jobs", lambda *_, **__: wrong)
    with pytest.raises(WorkerLost, match="a worker process failed: IndexError"):
        sweep(file, sets=SETS, every_ns=5 * MINUTE_NS, workers=2, fallback_stops=True)


def test_ctrl_c_ends_every_process_quietly(tmp_path: Path) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=60_000)
    command = [sys.executable, "-m", "reactor", "sweep", str(file), "--workers", "2"]
    command += ["--every", "1m", "--fallback-stops", "--set", "stop.atr=1:9:0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while len(children_of(process.pid)) < 2:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            workers_then = children_of(process.pid)
            # As a terminal does: to the whole group.
            os.killpg(process.pid, signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert error.decode().splitlines() == ["reactor: interrupted"]
    # The process that looks after the others' leavings ends a moment after them.
    while any(not is_over(pid) for pid in workers_then):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("moment", [2, 3])
def test_workers_end_quietly_when_the_sweep_is_killed(moment: int, tmp_path: Path) -> None:
    """Whether they are still starting or at work."""
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=60_000)
    command = [sys.executable, "-m", "reactor", "sweep", str(file), "--workers", "2"]
    command += ["--every", "1m", "--fallback-stops", "--set", "stop.atr=1:9:0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while len(children_of(process.pid)) < moment:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            workers_then = children_of(process.pid)
            time.sleep(0.5 if moment == 2 else 3)
        finally:
            process.kill()
        # Their standard error is the sweep's: it ends when the last of them does.
        _, error = process.communicate(timeout=120)
    assert error == b""
    while any(not is_over(pid) for pid in workers_then):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
