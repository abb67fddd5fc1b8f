"""A loop whose time jumps: exact, ordered, patient with threads, and not to be fooled by a standstill."""

import asyncio
import threading
import time

import pytest

from reactor.sim.virtual_loop import VirtualLoop, run_virtually


def test_a_year_passes_at_once_and_exactly() -> None:
    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for delay_s in (0.001, 3600.0, 365 * 86400.0, 1e-9, 0.0):
            await asyncio.sleep(delay_s)
            seen.append(loop.time())
        return seen

    before_s = time.monotonic()
    seen = run_virtually(run())
    assert time.monotonic() - before_s < 60
    assert seen[:4] == [0.0, 0.001, 3600.001, 3600.001 + 365 * 86400.0]
    assert seen == sorted(seen)


def test_timers_fire_in_their_order_and_time_stands_still_for_work() -> None:
    async def run() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        told: list[tuple[str, float]] = []

        async def wait(name: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            told.append((name, loop.time()))
            for _ in range(100):
                await asyncio.sleep(0)
            told.append((name, loop.time()))

        async with asyncio.TaskGroup() as group:
            for name, delay_s in (("c", 3.0), ("a", 1.0), ("b", 1.000001)):
                group.create_task(wait(name, delay_s))
        return told

    told = run_virtually(run())
    assert told == run_virtually(run())
    assert told == [
        ("a", 1.0),
        ("a", 1.0),
        ("b", 1.000001),
        ("b", 1.000001),
        ("c", 3.0),
        ("c", 3.0),
    ]


def test_a_timeout_is_virtual_too() -> None:
    async def run() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 5.0


def test_threads_take_no_virtual_time() -> None:
    async def run() -> float:
        done = threading.Event()
        threading.Timer(0.05, done.set).start()
        async with asyncio.timeout(1):
            assert await asyncio.to_thread(done.wait, 20)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        answer = loop.create_future()
        with loop.hold_time():
            threading.Timer(0.05, loop.call_soon_threadsafe, (answer.set_result, None)).start()
            async with asyncio.timeout(1):
                await answer
        return loop.time()

    assert run_virtually(run()) == 0.0


def test_a_standstill_is_an_error_and_not_for_ever() -> None:
    async def run() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing can bring about"):
        run_virtually(run())
