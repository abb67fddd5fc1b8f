"""Frames from a socket to decisions and orders: compiled, they come to what they come to in Python."""

import asyncio
import itertools

import msgspec
import pytest
from guard_room import PLAN
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_peer import BINARY, CONTINUATION, PING, QUIET, TEXT, farewell, frame
from test_guard_ready_orders import WIDE, turns
from wired import SYMBOLS, Told, agg, book, mark, text, trade, wired

from reactor import compiled

pytestmark = pytest.mark.skipif(compiled.hot is None, reason=compiled.why_not)

QUIET_THEN_STOP = [
    agg("99.9", 10),
    agg("99.8", 10, "ETHUSDT"),
    mark("99.9", 11),
    book("99.9", 12),
    agg("98.9", 13),  # reaches the stop at 99
    agg("99.9", 14),
    agg("98.9", 14, "ETHUSDT"),  # so does this
    agg("98.0", 15),
]
BAD = frame(3, b"no such opcode")
SPECIAL = {
    "a ping": frame(PING, b"x"),
    "an answer": text(b'{"result":null,"id":1}'),
    "data spelt in another way": text(
        b'{"data":' + agg("99.7", 12)[len('{"stream":"btcusdt@aggTrade","data":') :]
    ),
    "a message in two fragments": frame(TEXT, agg("99.7", 12)[:50], fin=False)
    + frame(CONTINUATION, agg("99.7", 12)[50:]),
    "a message in fragments with the next text between": frame(TEXT, b"{", fin=False),
    "a binary message": frame(BINARY, agg("99.7", 12)),
    "a farewell": farewell(1001, "maintenance"),
    "a broken farewell": farewell(999),
    "a frame that breaks the protocol": BAD,
    "a masked frame": frame(TEXT, agg("99.7", 12), masked=True),
    "reserved bits": frame(TEXT, agg("99.7", 12), rsv=4),
    "a size spelt at length": b"\x81\x7e\x00\x05hello",
    "a price of 70 kB": text(agg("99.7", 12, quantity="1" * 70_000)),
    "a stop of 70 kB": text(agg("98.7", 12, quantity="1" * 70_000)),
    "a price of 50 kB": text(agg("99.7", 12, quantity="1" * 50_000)),
    "a raw trade": text(trade("99.7", 12)),
    "nonsense": text(b'{"stream":"x","data":{"e":"aggTrade"}}'),
    "an envelope's first bytes": text(b'{"stream"'),
    "nothing": text(b""),
    "an event without a price": text(b'{"stream":"x","data":{"e":"depthUpdate","s":"BTCUSDT"}}'),
    "another exchange's price": text(agg("98.0", 12).replace(b'"st":1', b'"st":2')),
    "a price that is none": text(agg("1e2", 12)),
    "a price with spaces": text(agg("99.7", 12).replace(b":", b": ")),
}


async def session(
    way: str, reads: list[list[bytes]], wait: int = 4, plan: str = PLAN
) -> tuple[list[str], Told]:
    async with wired(way, plan=plan) as made:
        for parts in reads:
            made.read(*parts)
            await turns(wait)
        await turns()
        return made.gun.fired, made.told()


async def beside(
    way: str, reads: list[tuple[int, list[bytes]]], wait: int
) -> tuple[list[str], Told]:
    """A session over a socket, its successor, and one of books, which deliver beside each other."""
    async with wired(way, routes=("market", "market", "public")) as made:
        for by, parts in reads:
            made.read(*parts, by=by)
            await turns(wait)
        await turns()
        return made.gun.fired, made.told()


@pytest.mark.parametrize("name", SPECIAL)
async def test_whatever_comes_between_prices_they_come_to_the_same(name: str) -> None:
    frames = [text(message) for message in QUIET_THEN_STOP]
    for place in range(len(frames) + 1):
        read = [*frames[:place], SPECIAL[name], *frames[place:]]
        fired, told = await session("compiled", [read])
        fired_by_twin, told_by_twin = await session("Python", [read])
        assert told == told_by_twin, place
        # What it does not understand fires nothing; whatever is fired was decided, or there would be an alarm.
        assert set(fired) <= set(fired_by_twin), place
        assert len(fired) == len(set(fired))
        assert "unclaimed_order" not in told.alarms


async def test_plain_prices_of_one_read_fire_the_same_and_in_the_same_order() -> None:
    read = [text(message) for message in QUIET_THEN_STOP]
    for cut in range(1, len(read[0]) + len(read[1]), 7):
        data = b"".join(read)
        reads = [[data[:cut]], [data[cut:-30]], [data[-30:]]]
        fired, told = await session("compiled", reads)
        assert fired == ["BTCUSDT", "ETHUSDT"]
        assert (fired, told) == await session("Python", reads)
        assert told.delivered == [len(read)]
        market = [message for _, channel, message, _ in told.lines if channel == "market"]
        assert market[4:] == QUIET_THEN_STOP


PRICES = st.one_of(
    st.sampled_from(["100.0", "99.9", "99.0", "98.9", "101.5", "102.0", "60.0"]),
    st.integers(980, 1030).map(lambda tenths: f"{tenths // 10}.{tenths % 10}"),
)
KINDS = st.sampled_from([agg, agg, agg, mark, book])
FRAMES = st.tuples(KINDS, PRICES, st.integers(-1, 3), st.sampled_from(SYMBOLS))
PLAIN = st.lists(st.tuples(FRAMES, st.booleans()), min_size=1, max_size=14)
MARKED = PLAN.replace('"last"', '"mark"')


def _reads(story: list[tuple[tuple[object, str, int, str], bool]]) -> list[list[bytes]]:
    reads: list[list[bytes]] = [[]]
    number = 10
    for (kind, price, step, symbol), ends in story:
        number += step
        reads[-1].append(text(kind(price, number, symbol)))  # type: ignore[operator] # one of ours
        if ends:
            reads.append([])
    return reads


@settings(max_examples=150)
@given(PLAIN, st.integers(0, 3), st.sampled_from([PLAN, MARKED, WIDE]))
def test_any_plain_prices_in_any_reads_come_to_the_same(
    story: list[tuple[tuple[object, str, int, str], bool]], wait: int, plan: str
) -> None:
    reads = _reads(story)
    assert asyncio.run(session("compiled", reads, wait, plan)) == asyncio.run(
        session("Python", reads, wait, plan)
    )


@settings(max_examples=100)
@given(PLAIN, st.data())
def test_prices_of_sockets_that_deliver_beside_each_other_come_to_the_same(
    story: list[tuple[tuple[object, str, int, str], bool]], data: st.DataObject
) -> None:
    reads: list[tuple[int, list[bytes]]] = []
    for read in _reads(story):
        reads.append((data.draw(st.integers(0, 2)), read))
        if data.draw(st.booleans()):  # the same again, by another socket, as when one is replaced
            reads.append((data.draw(st.integers(0, 2)), read[data.draw(st.integers(0, 2)) :]))
    wait = data.draw(st.integers(0, 2))
    fired, told = asyncio.run(beside("compiled", reads, wait))
    assert (fired, told) == asyncio.run(beside("Python", reads, wait))
    assert len(fired) == len(set(fired))
    assert "unclaimed_order" not in told.alarms


@settings(max_examples=100)
@given(PLAIN, st.lists(st.tuples(st.integers(0, 20), st.sampled_from(sorted(SPECIAL)))), st.data())
def test_anything_in_any_reads_is_decided_the_same(
    story: list[tuple[tuple[object, str, int, str], bool]],
    specials: list[tuple[int, str]],
    data: st.DataObject,
) -> None:
    frames = [part for read in _reads(story) for part in read]
    for place, name in specials:
        frames.insert(place, SPECIAL[name])
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    edges = [0, *cuts, len(stream)]
    reads = [[stream[a:b]] for a, b in itertools.pairwise(edges)]
    fired, told = asyncio.run(session("compiled", reads))
    fired_by_twin, told_by_twin = asyncio.run(session("Python", reads))
    assert told == told_by_twin
    assert set(fired) <= set(fired_by_twin)
    assert "unclaimed_order" not in told.alarms


@pytest.mark.parametrize("way", ["compiled", "Python"])
async def test_a_price_behind_a_frame_that_ends_the_connection_fires_nothing(way: str) -> None:
    options = msgspec.structs.replace(QUIET, message_bytes_max=500)
    async with wired(way, options=options) as made:
        long = agg("99.7", 12, quantity="1" * 400)
        made.read(*map(text, (agg("99.9", 10), agg("99.8", 11), long, agg("98.9", 13))))
        await turns()
        assert made.gun.fired == []
        assert made.told().alarms == []
        assert made.told().delivered == [2]


async def test_prices_that_were_looked_at_together_count_from_that_moment() -> None:
    async with wired("compiled", plan=f"{PLAN}[time_stop]\nseconds = 5\n") as made:
        room = made.room
        due_ns = room.guard.positions["BTCUSDT", "LONG"].time_stop_ns
        assert due_ns is not None
        before = len(room.tape.lines)
        room.clock.ns = due_ns - 80_000_000
        room.clock.step_ns = 20_000_000
        made.read(*map(text, QUIET_THEN_STOP))
        assert made.gun.fired == ["BTCUSDT", "ETHUSDT"]
        room.clock.step_ns = 0
        await turns()
        # Nothing that became due while they were handed on was decided first.
        reasons = {exit_.symbol: exit_.reasons for exit_ in room.sender.exits}
        assert reasons == {"BTCUSDT": ("stop_loss",), "ETHUSDT": ("stop_loss",)}
        lines = room.tape.lines[before:]
        assert len({t_ns for t_ns, channel, *_ in lines if channel == "market"}) == 1


@pytest.mark.parametrize("way", ["compiled", "Python"])
@pytest.mark.parametrize("what", ["abort", "close", "stop", "end"])
async def test_an_end_in_the_middle_of_a_read_leaves_no_order_undecided(
    way: str, what: str
) -> None:
    frames = [text(message) for message in QUIET_THEN_STOP]
    for place in range(len(frames) + 1):
        async with wired(way) as made:
            line = made.connections[0].socket
            assert line is not None
            ends = {
                "abort": line.abort,
                "close": line.close,
                "stop": made.room.guard.stop,
                "end": made.room.guard.end,
            }
            made.on_answer = ends[what]
            made.read(*frames[:place], SPECIAL["an answer"], *frames[place:])
            await turns()
            exits = [exit_.symbol for exit_ in made.room.sender.exits]
            # After a farewell of ours prices come until the peer's; after the rest none is looked at.
            reached = {"BTCUSDT": 4, "ETHUSDT": 6}
            expected = [one for one, at in reached.items() if at < place or what == "close"]
            assert exits == expected, place
            assert made.gun.fired == expected, place
            assert made.told().alarms == []


@pytest.mark.parametrize("way", ["compiled", "Python"])
async def test_a_write_of_the_peer_comes_to_the_same(way: str) -> None:
    async with wired(way) as made:
        seen: list[list[bytes]] = []
        for cut in (0, 1, 3, 150, 700):
            before = len(made.room.tape.lines)
            numbers = range(100 + 20 * cut, 110 + 20 * cut)
            messages = [agg("99.9", number) for number in numbers]
            messages.append(agg("98.9" if cut == 700 else "99.9", numbers[-1] + 1))
            data = b"".join(map(text, messages))
            total = made.connections[0].delivered + len(messages)
            made.peers[0].send(data[:cut])
            await turns()
            made.peers[0].send(data[cut:])
            async with asyncio.timeout(15):
                while made.connections[0].delivered < total:  # noqa: ASYNC110 - the socket tells nobody
                    await asyncio.sleep(0.001)
            await turns()
            lines = made.room.tape.lines[before:]
            seen.append([message for _, channel, message, _ in lines if channel == "market"])
            assert seen[-1] == messages
        assert made.gun.fired == ["BTCUSDT"]
        assert [exit_.symbol for exit_ in made.room.sender.exits] == ["BTCUSDT"]
        assert made.told().alarms == []
