"""The gateway's own tasks: named, owned, ended with it, and never silently failed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from reactor.audit import AlarmRaised, Audit
from reactor.clock import Clock


class Tasks:
    """A set of running tasks and timers."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Starts a task. What it raises is our bug: it is alarmed, and nothing else is touched."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        text = f"{task.get_name()}: {type(error).__name__}: {error}"
        self._audit.publish(
            AlarmRaised(kind="gateway_fault", text=text, key="gateway_fault"),
            t_ns=self._clock.now_ns(),
        )

    async def close(self) -> None:
        """Cancels what runs and waits for its end."""
        running = tuple(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
