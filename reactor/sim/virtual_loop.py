"""An asyncio event loop whose time is virtual: a day passes as fast as the machine can compute it.

When nothing is ready, time jumps to the next timer instead of waiting for it; nothing else moves it. Whatever
runs on the loop therefore sees the same instants on every machine and in every run, and a program that takes
its time from the loop (`reactor.clock.LoopClock`) and its chance from a seeded source runs the same way each
time. It is made for a process and its exchange in one program; sockets would work, but time does not wait for
their peers.

Work in threads (`run_in_executor`, `asyncio.to_thread`, `getaddrinfo`) takes no virtual time: time stands still
until it is done. Threads that the loop did not start itself are announced with `hold_time`.
"""

import asyncio
import contextlib
import math
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STUCK_S: Final = 30.0
"""Real seconds without any timer, and without a word from a thread, after which a run is given up."""


class _JumpingSelector(selectors.DefaultSelector):
    """Lets time jump where a real selector would let it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.held = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self.held:
            events = super().select(STUCK_S)
            if not events:
                raise RuntimeError(f"a thread has not answered for {STUCK_S:g} s")
        elif timeout is None:
            raise RuntimeError("something is awaited that nothing can bring about any more")
        else:
            # After some months a step can be too small for what a float can still tell apart.
            self.now_s = max(self.now_s + timeout, math.nextafter(self.now_s, math.inf))
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. `time()` starts at 0 s and only jumps.

    Give it to `asyncio.Runner(loop_factory=VirtualLoop)`, or call `run_virtually`.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    @property
    def _clock_resolution(self) -> float:
        """How far ahead asyncio counts a timer as due. Below the clock's own step none would ever be."""
        return max(1e-9, math.ulp(self._jumping.now_s))

    @_clock_resolution.setter
    def _clock_resolution(self, _value: float) -> None:
        """What asyncio measures of the real clock does not matter here."""

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s

    @contextlib.contextmanager
    def hold_time(self) -> Iterator[None]:
        """Lets time stand still while a thread is awaited; it must answer through `call_soon_threadsafe`."""
        self._jumping.held += 1
        try:
            yield
        finally:
            self._jumping.held -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Runs a function in a thread; no virtual time passes until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.held += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Waits for the threads of `run_in_executor`, through one more thread."""
        with self.hold_time():
            await super().shutdown_default_executor(*args)

    def _release(self, _future: "asyncio.Future[Any]") -> None:
        self._jumping.held -= 1


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end under virtual time, on a loop of its own.

    Raises:
        RuntimeError: it waits for what cannot come.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
