"""What keeps a running process quick, beside the code that it runs (`docs/latency.md` says what each is worth)."""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

from reactor.audit import AlarmRaised, Audit, AuditEvent, Started
from reactor.clock import Clock
from reactor.config import Config
from reactor.shell.assembly import order_ids
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.guard import Guard
from reactor.shell.rehearsal import Rehearsal
from reactor.shell.shots import Shots

YOUNG_MAX: Final = 20_000
"""New objects until the collector looks at them. Ticks make none that it tracks; what an exit is followed by makes
some thousands, and should not be looked through while the next price waits."""

AIM_S: Final = 0.002
"""How often shots are aimed anew, one is signed for practice, and what was received is written down."""


async def stay_quick(
    config: Config,
    audit: Audit,
    clock: Clock,
    parts: Callable[[], tuple[Guard, Gateway] | None],
) -> None:
    """Waits until the process has started, then sees to it until cancelled.

    Args:
        config: of the session.
        audit: tells of the start.
        clock: ours.
        parts: gives what decides and what sends; None where nothing sends.
    """
    loop = asyncio.get_running_loop()
    started = asyncio.Event()

    def look(event: AuditEvent) -> None:
        if isinstance(event.what, Started):
            started.set()

    audit.watch(look)
    await started.wait()
    # What a start leaves behind lives as long as the process: it need not be looked through again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 20)
    busy = _BusyPoll(loop) if config.streams.busy_poll else None
    try:
        there = parts()
        if there is None:
            await loop.create_future()
        elif config.orders.fire_ahead:
            await _keep_ready(config, audit, clock, *there)
        else:
            await _rehearse(config, there[1])
    finally:
        gc.unfreeze()
        if busy is not None:
            busy.end()


async def _rehearse(config: Config, gateway: Gateway) -> None:
    """Builds and signs made-up exits now and then, until cancelled."""
    rehearsal = Rehearsal(order_ids=order_ids("rehearsal"), build=gateway.rehearse)
    every_s = config.orders.rehearse_ms / 1000
    if not every_s:
        await asyncio.get_running_loop().create_future()
    while True:
        rehearsal.once()
        await asyncio.sleep(every_s)


async def _keep_ready(
    config: Config, audit: Audit, clock: Clock, guard: Guard, gateway: Gateway
) -> None:
    """Aims, and rehearses, until cancelled."""
    every_s = config.orders.rehearse_ms / 1000
    rehearsal = Rehearsal(order_ids=order_ids("rehearsal"), build=gateway.rehearse)
    shots = Shots(guard.pump.engine, gateway, order_ids(config.instance))
    guard.shots_last, guard.shots_mark = shots.last, shots.mark
    write_down = guard.write_later()
    rehearsed_s = 0.0
    loop = asyncio.get_running_loop()
    while True:
        fired = gateway.unclaimed()
        if fired is not None:
            guard.shots_last = guard.shots_mark = {}
            guard.order_sent(fired.frame)
            text = (
                f"order {fired.order_id} left ahead of a decision that was then not made; orders are built when"
                " they are decided from now on, until a restart"
            )
            alarm = AlarmRaised(kind="unclaimed_order", text=text, key="unclaimed_order")
            audit.publish(alarm, t_ns=clock.now_ns())
        shots.aim()
        if every_s:
            shots.rehearse(clock.now_ns())
            if loop.time() >= rehearsed_s + every_s:
                rehearsed_s = loop.time()
                rehearsal.once()
        write_down()
        await asyncio.sleep(AIM_S)


class _BusyPoll:
    """Keeps the loop from sleeping: something is always due, so it only looks who is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle = loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._handle = self._loop.call_soon(self._turn)

    def end(self) -> None:
        """Lets the loop sleep again."""
        self._handle.cancel()
