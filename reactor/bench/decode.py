"""`reactor bench decode`: what it costs to get from bytes to a decision that nothing is to be done."""

from collections.abc import Callable
from json import loads as json_loads

import orjson

from reactor.bench import frames
from reactor.bench.held import NS_PER_MS, TICK_MS, Held, plan_on_last
from reactor.bench.measure import Case, Work, interleave
from reactor.bench.outcome import Outcome, Ratio
from reactor.binance.decode import decode_market
from reactor.binance.market_messages import AggTrade
from reactor.errors import InvariantError
from reactor.shell.pump import Pump

ROUNDS = 51
FRAMES = 1000
"""Frames a round: about a millisecond."""

PARSE, EVALUATE = "orjson.loads, aggTrade line", "decode + evaluate, aggTrade line"
PARSE_STDLIB = "json.loads, aggTrade line"
PARSE_FRAME, DECODE_FRAME = "orjson.loads, aggTrade frame", "decode and check, aggTrade frame"
PARSE_BOOK, EVALUATE_BOOK = "orjson.loads, bookTicker line", "decode, bookTicker line"
PARSE_MARK, EVALUATE_MARK = "orjson.loads, markPrice line", "decode, markPrice line"

METHOD = f"""\
Each round every case takes the same {FRAMES} messages, made anew so that no id repeats. A line is a
tape's: receive time, channel and the enveloped frame as the exchange sends it. "Decode + evaluate" is
the pump: bytes to typed frame to the engine's tick, with a position of challenge_100 held, all quiet.
bookTicker and markPrice lines are decoded and find no plan that looks at them. "Decode and check" is
the checked decoder of single frames, which judges every field and never raises."""


def bench_decode(*, rounds: int = ROUNDS) -> Outcome:
    """Measures frames from bytes to the engine.

    Args:
        rounds: how many rounds count.

    Raises:
        InvariantError: a line was not read, or a tick was not quiet: the figures would lie.
    """
    held = Held(plan_on_last("challenge_100"))
    notes: list[str] = []
    pump = Pump(held.engine, note=lambda _kind, text: notes.append(text), follow_account=False)
    maker = _Maker(held)

    def feed(lines: list[bytes]) -> None:
        pump.feed(1, lines, _refuse_decisions)

    measured = interleave(
        [
            _case(PARSE, maker.agg_trade_lines, _each(orjson.loads)),
            _case(PARSE_STDLIB, maker.agg_trade_lines, _each(json_loads)),
            _case(EVALUATE, maker.agg_trade_lines, feed),
            _case(PARSE_FRAME, maker.agg_trades, _each(orjson.loads)),
            _case(DECODE_FRAME, maker.agg_trades, _each(decode_market)),
            _case(PARSE_BOOK, maker.book_ticker_lines, _each(orjson.loads)),
            _case(EVALUATE_BOOK, maker.book_ticker_lines, feed),
            _case(PARSE_MARK, maker.mark_price_lines, _each(orjson.loads)),
            _case(EVALUATE_MARK, maker.mark_price_lines, feed),
        ],
        rounds=rounds,
    )
    if notes or pump.skipped or not held.would_be_quiet(held.quiet_quotes(FRAMES)):
        raise InvariantError(f"a frame was not read or not quiet: {notes[:1]}")
    if not isinstance(decode_market(maker.agg_trades()[0]), AggTrade):
        raise InvariantError("the checked decoder refused a frame")
    return Outcome(
        name="decode",
        method=METHOD,
        timings=measured.timings(),
        ratios=[
            Ratio(
                "decode + evaluate / orjson.loads, aggTrade",
                measured.ratio(EVALUATE, PARSE),
                at_most=1.2,
            ),
            Ratio("decode / orjson.loads, bookTicker", measured.ratio(EVALUATE_BOOK, PARSE_BOOK)),
            Ratio("decode / orjson.loads, markPrice", measured.ratio(EVALUATE_MARK, PARSE_MARK)),
            Ratio(
                "decode and check / orjson.loads, one frame",
                measured.ratio(DECODE_FRAME, PARSE_FRAME),
            ),
            Ratio("json.loads / orjson.loads", measured.ratio(PARSE_STDLIB, PARSE)),
        ],
        noise=measured.noise(PARSE),
        figures={
            "decode_evaluate_ns": round(measured.median_ns(EVALUATE), 1),
            "orjson_loads_ns": round(measured.median_ns(PARSE), 1),
            "decode_check_ns": round(measured.median_ns(DECODE_FRAME), 1),
        },
    )


class _Maker:
    """Makes messages that nothing has seen yet."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._quotes = held.quiet_quotes(FRAMES)

    def agg_trades(self) -> list[bytes]:
        ids = self._held.take_ids(FRAMES)
        return [
            frames.agg_trade(symbol, f"{price}0", trade_id, TICK_MS).encode()
            for (symbol, price), trade_id in zip(self._quotes, ids, strict=True)
        ]

    def agg_trade_lines(self) -> list[bytes]:
        return _as_lines(self.agg_trades())

    def book_ticker_lines(self) -> list[bytes]:
        ids = self._held.take_ids(FRAMES)
        return _as_lines(
            [
                frames.book_ticker(symbol, f"{price}0", f"{price}0", update_id, TICK_MS).encode()
                for (symbol, price), update_id in zip(self._quotes, ids, strict=True)
            ]
        )

    def mark_price_lines(self) -> list[bytes]:
        return _as_lines(
            [
                frames.mark_price(symbol, f"{price}0", TICK_MS).encode()
                for symbol, price in self._quotes
            ]
        )


def _as_lines(messages: list[bytes]) -> list[bytes]:
    t_ns = TICK_MS * NS_PER_MS
    return [frames.tape_line(message.decode(), t_ns).encode() for message in messages]


def _case(
    name: str, messages: Callable[[], list[bytes]], take: Callable[[list[bytes]], None]
) -> Case:
    def make() -> Work:
        made = messages()
        return lambda: take(made)

    return Case(name, FRAMES, make)


def _each(call: Callable[[bytes], object]) -> Callable[[list[bytes]], None]:
    def take(messages: list[bytes]) -> None:
        for message in messages:
            call(message)

    return take


def _refuse_decisions(decisions: object) -> None:
    raise InvariantError(f"a tick that should have been quiet decided {decisions}")
