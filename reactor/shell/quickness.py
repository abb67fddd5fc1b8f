"""What keeps a running process quick, beside the code that it runs (`docs/latency.md` says what each is worth)."""

import asyncio
import gc
from collections.abc import Callable
from typing import Final, Protocol

from reactor.audit import Audit, AuditEvent, Started
from reactor.config import Config
from reactor.shell.assembly import order_ids
from reactor.shell.busy_poll import BusyPoll
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.rehearsal import Rehearsal

YOUNG_MAX: Final = 20_000
"""New objects until the collector looks at them. Ticks make none that it tracks; what an exit is followed by makes
some thousands, and should not be looked through while the next price waits."""


class Practises(Protocol):
    """The guard: practises an order that lies ready."""

    def practise(self) -> None:
        """Everything but sending it."""
        ...


async def stay_quick(
    config: Config,
    audit: Audit,
    gateway: Callable[[], Gateway | None],
    guard: Callable[[], Practises],
) -> None:
    """Waits until the process has started, then sees to it until cancelled.

    Args:
        config: of the session.
        audit: tells of the start.
        gateway: gives what sends, once it is there; None where nothing sends.
        guard: gives what practises, once it is there.
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
    busy = BusyPoll(loop, guard().practise) if config.streams.busy_poll else None
    try:
        sends = gateway()
        if sends is None:
            await loop.create_future()
        else:
            await _rehearse(config, sends)
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
    await rehearsal.run(every_s=every_s)
