"""The live table: what is on it, what stands first, and that nothing about a terminal stops anything."""

import asyncio
import io
from contextlib import suppress
from decimal import Decimal

import pytest
from rich.console import Console
from watched import Watched, an_exit, answer, guarded, order, position, protection

from reactor.audit import AlarmRaised, Decided, Degraded, LinkChanged, SourceChanged
from reactor.core.decisions import StopKind, StopMoved
from reactor.watch.health import ReadyLimits
from reactor.watch.tables import plain_lines, screen
from reactor.watch.terminal import Terminal
from reactor.watch.view import Status, status


def looked(watched: Watched) -> Status:
    return status(watched.picture, ReadyLimits(), now_ns=watched.clock.now_ns())


def drawn(watched: Watched, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, no_color=True).print(screen(looked(watched), width=width))
    return out.getvalue()


def troubled() -> Watched:
    watched = Watched()
    guarded(watched)
    watched.tell(
        position("ADAUSDT", managed=False),
        position("ETHUSDT", paused=True),
        protection("ETHUSDT"),
        position("XRPUSDT", price=Decimal("0.5231"), source="mark rest", side="SHORT"),
        protection("XRPUSDT", "naked", side="SHORT"),
        position("ATOMUSDT"),
        protection("ATOMUSDT", "unprotected"),
        an_exit(),
        SourceChanged(symbol="XRPUSDT", source="rest"),
        LinkChanged(stream="market", state="down"),
        AlarmRaised(kind="naked", text="no hard stop", symbol="XRPUSDT"),
        Degraded(part="journal", degraded=True, reason="disk full"),
    )
    watched.tell(
        position(),
        position("ETHUSDT", paused=True),
        position("XRPUSDT", side="SHORT", source="mark rest"),
        after_s=11,
    )
    return watched


@pytest.mark.parametrize("width", [80, 160])
def test_everything_that_matters_is_there_and_the_worst_first(width: int) -> None:
    text = drawn(troubled(), width)
    assert max(map(len, text.splitlines())) <= width
    for word in ("NOT READY", "61800", "61182 trail", "rest", "market down", "disk full", "naked"):
        assert word in text
    places = [text.index(f"{symbol} ") for symbol in ("ATOMUSDT", "BTCUSDT", "ETHUSDT", "ADAUSDT")]
    assert places == sorted(places)
    assert "BTCUSDT-LONG-1-1" in text
    assert "1.50" in text
    assert ("327.60" in text) == (width == 160)


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120, 140, 160, 220])
def test_a_quiet_position_is_one_line_at_every_width(width: int) -> None:
    watched = Watched()
    guarded(watched)
    watched.tell(position(price=Decimal("61800.12345678"), entry=Decimal("60000.000047770701")))
    lines = drawn(watched, width).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("position"))
    assert lines[head + 1].startswith("BTCUSDT L")
    assert "61800.12 " in lines[head + 1]
    assert "protected" in lines[head + 1]
    assert "…" not in lines[head + 1]
    assert not lines[head + 2].strip()
    if width != 120:
        assert ("60000.00 " in lines[head + 1]) == (width > 120)


def test_a_stop_that_moves_and_moves_is_one_line() -> None:
    watched = Watched()
    guarded(watched)
    watched.tell(an_exit())
    for price in range(61200, 61220):
        watched.tell(a_move("BTCUSDT", price), a_move("ETHUSDT", price), after_s=0.2)
    texts = [f"{made.symbol} {made.text}" for made in looked(watched).decisions]
    assert texts[:2] == [
        "ETHUSDT stop 61219 (trailing_stop) at 61500",
        "BTCUSDT stop 61219 (trailing_stop) at 61500",
    ]
    assert len(texts) == 3
    assert "close" in texts[2]


def a_move(symbol: str, stop: int) -> Decided:
    return Decided(
        id=f"{symbol}-{stop}",
        decision=StopMoved(
            t_ns=1,
            tick=1,
            symbol=symbol,
            side="LONG",
            epoch=1,
            kind=StopKind.TRAILING_STOP,
            stop=Decimal(stop),
            price=Decimal(61500),
        ),
    )


def test_an_empty_start_says_so() -> None:
    text = drawn(Watched(), 80)
    assert "NOT READY" in text
    assert "no open positions" in text
    assert "none yet" in text


def test_lines_for_what_is_no_terminal() -> None:
    head, *rest = plain_lines(looked(troubled()))
    assert head.startswith("14:13:31 NOT READY live positions=5")
    assert "market=down" in head
    assert [line.split()[0] for line in rest] == ["ATOMUSDT", "XRPUSDT", "BTCUSDT", "ETHUSDT"]
    assert all("price" in line and "protection" in line for line in rest)


async def shown(
    console: Console, *, redraw_s: float = 0.25, plain_s: float = 0.01
) -> asyncio.Task[None]:
    terminal = Terminal(
        lambda: looked(troubled()), console=console, redraw_s=redraw_s, plain_s=plain_s
    )
    terminal.say("[a line] of logs\n")
    return asyncio.create_task(terminal.run(), name="terminal")


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_it_shows_until_it_is_cancelled(is_terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, height=40, force_terminal=is_terminal)
    task = await shown(console)
    async with asyncio.timeout(10):
        while out.getvalue().count("NOT READY") < 2:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert out.getvalue().startswith("[a line] of logs\n")
    assert ("\x1b[" in out.getvalue()) == is_terminal


async def test_a_terminal_that_goes_away_ends_the_table_and_nothing_else() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if "NOT READY" in text:
                raise BrokenPipeError
            return super().write(text)

    task = await shown(Console(file=Gone(), width=80))
    async with asyncio.timeout(10):
        await task


@pytest.mark.parametrize("width", [40, 120])
def test_how_long_orders_took_is_told_once_there_was_one(width: int) -> None:
    watched = Watched()
    guarded(watched)
    assert "orders   " not in drawn(watched, width)
    watched.tell(order(t_sent_ns=watched.clock.now_ns()))
    watched.tell(answer(), after_s=0.004)
    (line,) = [line for line in drawn(watched, width).splitlines() if line.startswith("orders   ")]
    assert "tick to wire" in line
    assert len(line) <= width
    if width > 100:
        assert "to answer" in line
