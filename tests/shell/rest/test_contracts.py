"""Contracts and the account's set-up: known, refreshed, and what is wrong said in one line."""

import asyncio

import pytest
from rest_room import Room, ScriptedRest, virtually

from reactor.binance.messages import RestFailure
from reactor.errors import RestFailed
from reactor.shell.rest.account_setup import read_account_setup
from reactor.shell.rest.contracts import INFO_PATH, Contracts
from reactor.shell.rest.mends import MENDS, in_words
from reactor.shell.rest_seam import RestReply


def contracts_of(room: Room, *watched: str) -> Contracts:
    return Contracts(
        room.client, room.inbox, room.audit, room.clock, watched=lambda: watched, refresh_s=3600
    )


def info(*contracts: dict[str, str]) -> RestReply:
    import json

    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.1", "minPrice": "1", "maxPrice": "9"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9"},
    ]
    usual = {
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": filters,
    }
    return RestReply(200, {}, json.dumps({"symbols": [{**usual, **c} for c in contracts]}).encode())


@virtually
async def test_they_are_fetched_kept_and_handed_on() -> None:
    room = Room()
    contracts = contracts_of(room)
    assert contracts.filters("BTCUSDT") is None
    assert await contracts.refresh()
    filters = contracts.filters("BTCUSDT")
    assert filters is not None
    assert filters.tick_size is not None
    assert contracts.why_not("BTCUSDT") is None
    assert [answer.path for answer in room.inbox.answers] == [INFO_PATH]
    assert room.budget.state(room.clock.now_ns()).weight_limit == 2400


@virtually
async def test_what_cannot_be_guarded_is_said_in_one_line() -> None:
    rest = ScriptedRest(
        info(
            {"symbol": "BTCUSDT"},
            {"symbol": "BTCUSDC", "quoteAsset": "USDC", "marginAsset": "USDC"},
            {"symbol": "BTCUSDT_261225", "contractType": "CURRENT_QUARTER"},
            {"symbol": "OLDUSDT", "status": "SETTLING"},
            {"symbol": "HALTUSDT", "status": "TRADING_HALT"},
            {"symbol": "BTCBUSD", "quoteAsset": "BUSD", "marginAsset": "BUSD"},
            {"symbol": "ODDUSDT", "contractType": ""},
        )
    )
    contracts = contracts_of(Room(transport=rest))
    assert await contracts.refresh()
    for fine in ("BTCUSDT", "BTCUSDC", "BTCUSDT_261225"):
        assert contracts.why_not(fine) is None
    assert "delivery date" in (contracts.note("BTCUSDT_261225") or "")
    for symbol, says in (
        ("OLDUSDT", "being settled (SETTLING)"),
        ("HALTUSDT", "halted"),
        ("BTCBUSD", "only USDT and USDC"),
        ("ODDUSDT", "only perpetual and quarterly"),
        ("BTCUSD", "no contract of this exchange"),
    ):
        line = contracts.why_not(symbol) or ""
        assert says in line
        assert "\n" not in line


@virtually
async def test_they_are_refreshed_now_and_then_and_when_an_order_was_refused_for_them() -> None:
    room = Room()
    contracts = contracts_of(room)
    assert await contracts.refresh()
    running = asyncio.create_task(contracts.run())
    await asyncio.sleep(7201)
    assert room.paths().count(INFO_PATH) == 3
    await asyncio.sleep(100)
    for code in (-1111, -4014, -4023, -1121, -2022, None):
        contracts.on_code(code)
    await asyncio.sleep(1)
    assert room.paths().count(INFO_PATH) == 4
    contracts.on_code(-1111)
    await asyncio.sleep(50)
    assert room.paths().count(INFO_PATH) == 4, "however many orders are refused"
    contracts.on_code(-2022)
    await asyncio.sleep(50)
    assert room.paths().count(INFO_PATH) == 4
    running.cancel()


@virtually
async def test_a_failed_refresh_keeps_what_was_known_and_is_tried_again_soon() -> None:
    room = Room()
    contracts = contracts_of(room)
    assert await contracts.refresh()
    room.faults(
        {"do": "error", "status": 503, "code": -1000, "count": 4, "at": {"path": INFO_PATH}}
    )
    assert not await contracts.refresh()
    assert contracts.problem
    assert contracts.why_not("BTCUSDT") is None
    running = asyncio.create_task(contracts.run())
    await asyncio.sleep(31)
    assert contracts.problem == ""
    running.cancel()


@virtually
async def test_a_watched_contract_that_stops_trading_is_told() -> None:
    rest = ScriptedRest(
        info({"symbol": "BTCUSDT"}, {"symbol": "ETHUSDT"}),
        info({"symbol": "BTCUSDT", "status": "TRADING_HALT"}),
        info({"symbol": "BTCUSDT"}),
    )
    room = Room(transport=rest)
    contracts = contracts_of(room, "BTCUSDT")
    for _ in range(4):
        assert await contracts.refresh()
    texts = [alarm.text for alarm in room.alarms("contract")]
    assert len(texts) == 2, "and nothing of ETHUSDT, which nobody holds"
    assert "from TRADING to TRADING_HALT" in texts[0]
    assert "trades again" in texts[1]


@virtually
async def test_leverage_brackets_are_read_for_whom_they_are_wanted() -> None:
    room = Room()
    contracts = contracts_of(room)
    assert await contracts.load_brackets(["BTCUSDT", "NONEUSDT"]) == ("NONEUSDT",)
    assert contracts.brackets["BTCUSDT"].brackets
    assert len(room.inbox.answers) == 1


@virtually
async def test_the_account_says_how_it_is_set_up() -> None:
    room = Room()
    setup = await read_account_setup(room.client, room.inbox)
    assert (setup.hedge, setup.can_trade, setup.problems) == (False, True, ())
    assert len(room.inbox.answers) == 1
    room.control("mode", {"mode": "hedge"})
    assert (await read_account_setup(room.client)).hedge is True
    assert room.budget.state(room.clock.now_ns()).weight_used == 10


@pytest.mark.parametrize(
    ("body", "problem", "note"),
    [
        (b'{"dualSidePosition":false,"canTrade":false}', "may not trade", ""),
        (
            b'{"dualSidePosition":true,"canTrade":true,"multiAssetsMargin":true}',
            "",
            "multi-assets mode is on",
        ),
        (b'{"canTrade":true}', "cannot be read", ""),
    ],
)
def test_an_account_that_is_not_as_it_should_be_is_one_line(
    body: bytes, problem: str, note: str
) -> None:
    @virtually
    async def test() -> None:
        room = Room(transport=ScriptedRest(RestReply(200, {}, body)))
        setup = await read_account_setup(room.client)
        assert problem in "".join(setup.problems)
        assert bool(setup.problems) == bool(problem)
        assert note in "".join(setup.notes)
        assert bool(setup.notes) == bool(note)

    test()


@pytest.mark.parametrize("code", [-2014, -2015, -1022])
def test_a_refused_key_is_one_line_with_its_mend(code: int) -> None:
    @virtually
    async def test() -> None:
        reply = RestReply(401, {}, b'{"code":%d,"msg":"Invalid."}' % code)
        (problem,) = (await read_account_setup(Room(transport=ScriptedRest(reply)).client)).problems
        assert problem == f"account: Invalid ({code}): {MENDS[code]}"

    test()


@pytest.mark.parametrize(
    ("status", "code"), [(429, -1003), (503, -1008), (418, -1003), (408, -1007), (503, -1001)]
)
def test_a_refusal_of_this_moment_is_asked_again_by_who_asked(status: int, code: int) -> None:
    @virtually
    async def test() -> None:
        reply = RestReply(status, {}, b'{"code":%d,"msg":"Not now."}' % code)
        with pytest.raises(RestFailed, match=r"Not now|[Tt]oo many|banned"):
            await read_account_setup(Room(transport=ScriptedRest(reply)).client)

    test()


@virtually
async def test_no_answer_is_the_callers_to_handle() -> None:
    room = Room(transport=ScriptedRest(RestFailed("GET 127.0.0.1/x: no answer in time")))
    with pytest.raises(RestFailed):
        await read_account_setup(room.client)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (RestFailure(None, "<html>", 403), "firewall"),
        (RestFailure(None, "<html>", 451), "country"),
        (RestFailure(None, "<html>", 404), "is this address an exchange?"),
        (RestFailure(None, "", 418), "banned"),
        (RestFailure(-4444, "Something.", 400), "Something. (-4444)"),
    ],
)
def test_other_refusals_in_words(failure: RestFailure, says: str) -> None:
    assert says in in_words(failure)
