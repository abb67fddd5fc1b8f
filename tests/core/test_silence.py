"""Who is blind, since when, and what is done about it."""

from hypothesis import given
from hypothesis import strategies as st

from reactor.core.silence import (
    BlindAlarm,
    MarketHeard,
    MarketSilent,
    ReplaceSocket,
    SeesAgain,
    Silence,
    Unwatched,
    Verdict,
    WentBlind,
)

MS = 1_000_000
START = 1_795_000_000_000 * MS


class Room:
    """Symbols that tick once a second until they are muted, looked at four times a second."""

    def __init__(self, *symbols: str, blind_ms: int = 3000) -> None:
        self.silence = Silence(blind_ms=blind_ms)
        self.heard: dict[str, int | None] = dict.fromkeys(symbols)
        self.muted: set[str] = set()
        self.now_ns = START

    def health(self) -> str:
        return self.silence.health

    def pass_ms(self, ms: int) -> list[Verdict]:
        out: list[Verdict] = []
        for _ in range(ms // 250):
            self.now_ns += 250 * MS
            if (self.now_ns - START) % (1000 * MS) == 0:
                for symbol in self.heard:
                    if symbol not in self.muted:
                        self.heard[symbol] = self.now_ns
            out += self.silence.look(self.heard, self.now_ns)
        return out


def test_a_market_that_ticks_is_left_alone() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    assert room.pass_ms(600_000) == []
    assert room.health() == "delivering"


def test_no_data_at_all_is_never_fine() -> None:
    assert Silence().health == "nothing_watched"
    room = Room("BTCUSDT")
    room.muted.add("BTCUSDT")
    room.silence.look({}, START)
    assert room.health() == "nothing_watched"
    assert room.pass_ms(250) == []
    assert room.health() == "unknown"
    verdicts = room.pass_ms(3250)
    assert WentBlind(symbol="BTCUSDT", age_ms=3250) in verdicts
    assert room.health() == "silent"


def test_one_blind_symbol_goes_to_rest_alone_and_comes_back_alone() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    room.pass_ms(10_000)
    room.muted.add("ETHUSDT")
    assert room.pass_ms(3000) == []
    verdicts = room.pass_ms(250)
    assert verdicts == [
        WentBlind(symbol="ETHUSDT", age_ms=3250),
        BlindAlarm(symbol="ETHUSDT", age_ms=3250, number=1),
    ]
    assert room.silence.blind == {"ETHUSDT"}
    assert room.health() == "partly_blind"
    room.muted.clear()
    assert room.pass_ms(1000) == [SeesAgain(symbol="ETHUSDT", blind_ms=4000)]
    assert room.health() == "delivering"


def test_the_second_alarm_replaces_the_socket() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    room.pass_ms(10_000)
    room.muted.add("ETHUSDT")
    verdicts = room.pass_ms(6250)
    assert [type(verdict) for verdict in verdicts] == [
        WentBlind,
        BlindAlarm,
        BlindAlarm,
        ReplaceSocket,
    ]
    assert "ETHUSDT" in str(verdicts[-1])


def test_a_symbol_that_falls_silent_again_and_again_counts_as_one_that_stays_silent() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    room.pass_ms(10_000)
    replaced = []
    for _ in range(2):
        room.muted.add("ETHUSDT")
        replaced += [v for v in room.pass_ms(4000) if isinstance(v, ReplaceSocket)]
        room.muted.clear()
        room.pass_ms(10_000)
    assert len(replaced) == 1


def test_a_minute_of_delivery_is_forgiveness() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    room.pass_ms(10_000)
    verdicts: list[Verdict] = []
    for _ in range(5):
        room.muted.add("ETHUSDT")
        verdicts += room.pass_ms(4000)
        room.muted.clear()
        verdicts += room.pass_ms(70_000)
    assert [v.number for v in verdicts if isinstance(v, BlindAlarm)] == [1] * 5
    assert not any(isinstance(verdict, ReplaceSocket) for verdict in verdicts)


def test_a_symbol_that_no_socket_delivers_does_not_take_the_others_socket_for_ever() -> None:
    room = Room("BTCUSDT", "DELISTED")
    room.muted.add("DELISTED")
    verdicts = room.pass_ms(3_600_000)
    replaced = sum(isinstance(verdict, ReplaceSocket) for verdict in verdicts)
    # 10, 20, 40 … seconds apart, then ten minutes.
    assert 6 <= replaced <= 14


def test_a_silent_market_is_one_alarm_and_many_replacements() -> None:
    symbols = [f"S{number}USDT" for number in range(200)]
    room = Room(*symbols)
    room.pass_ms(10_000)
    room.muted.update(symbols)
    verdicts = room.pass_ms(120_000)
    assert sum(isinstance(verdict, WentBlind) for verdict in verdicts) == 200
    assert not any(isinstance(verdict, BlindAlarm) for verdict in verdicts)
    assert [v for v in verdicts if isinstance(v, MarketSilent)] == [
        MarketSilent(symbols=200, age_ms=3250)
    ]
    assert sum(isinstance(verdict, ReplaceSocket) for verdict in verdicts) >= 3
    room.muted.clear()
    verdicts = room.pass_ms(1000)
    assert sum(isinstance(verdict, SeesAgain) for verdict in verdicts) == 200
    assert isinstance(verdicts[-1], MarketHeard)
    assert room.health() == "delivering"


def test_a_process_that_stood_still_reads_its_sockets_before_it_judges() -> None:
    room = Room("BTCUSDT")
    room.pass_ms(10_000)
    room.now_ns += 20_000 * MS
    assert room.silence.look(room.heard, room.now_ns) == []
    room.heard["BTCUSDT"] = room.now_ns
    assert room.pass_ms(1000) == []


def test_standing_still_hides_nothing_for_long() -> None:
    room = Room("BTCUSDT")
    room.pass_ms(10_000)
    room.muted.add("BTCUSDT")
    room.now_ns += 20_000 * MS
    assert room.silence.look(room.heard, room.now_ns) == []
    assert any(isinstance(verdict, WentBlind) for verdict in room.pass_ms(250))


def test_an_old_price_that_comes_late_does_not_open_the_eyes() -> None:
    silence = Silence()
    silence.look({"BTCUSDT": START}, START)
    silence.look({"BTCUSDT": START}, START + 900 * MS)
    for at in range(1000, 5000, 250):
        silence.look({"BTCUSDT": START}, START + at * MS)
    assert silence.blind == {"BTCUSDT"}
    assert silence.look({"BTCUSDT": START + 1000 * MS}, START + 5000 * MS) == []
    assert silence.blind == {"BTCUSDT"}


def test_what_is_not_watched_any_more_is_let_go() -> None:
    room = Room("BTCUSDT", "ETHUSDT")
    room.muted.add("ETHUSDT")
    room.pass_ms(5000)
    del room.heard["ETHUSDT"]
    assert room.pass_ms(250) == [Unwatched(symbol="ETHUSDT")]
    assert room.health() == "delivering"
    del room.heard["BTCUSDT"]
    assert room.pass_ms(250) == []
    assert room.health() == "nothing_watched"


SYMBOLS = ("A", "B", "C")


@given(
    st.lists(
        st.tuples(st.integers(1, 900), st.frozensets(st.sampled_from(SYMBOLS)), st.booleans()),
        max_size=120,
    )
)
def test_blind_is_who_was_not_heard_and_every_switch_is_told_once(
    steps: list[tuple[int, frozenset[str], bool]],
) -> None:
    silence = Silence(blind_ms=2000)
    heard: dict[str, int | None] = dict.fromkeys(SYMBOLS)
    now_ns = START
    silence.look(heard, now_ns)
    on_rest: set[str] = set()
    for ms, ticking, _ in steps:
        now_ns += ms * MS
        heard.update(dict.fromkeys(ticking, now_ns))
        for verdict in silence.look(heard, now_ns):
            if isinstance(verdict, WentBlind):
                assert verdict.symbol not in on_rest
                on_rest.add(verdict.symbol)
            elif isinstance(verdict, SeesAgain):
                on_rest.remove(verdict.symbol)
        assert silence.blind == on_rest
        expected = {s for s in SYMBOLS if now_ns - (heard[s] or START) > 2000 * MS}
        assert on_rest == expected
