"""REST endpoints that place, cancel and query orders, regular and conditional."""

import functools
from collections.abc import Callable
from typing import Any, Final

import orjson

from reactor.sim import algo, algo_orders, answers, matching, orders
from reactor.sim.account import Account
from reactor.sim.model import Order
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing
from reactor.sim.rest import Call, Endpoint

BATCH_MAX = 5
CANCEL_MAX = 10
LISTS: Final = {
    "orderIdList": "orderId",
    "orderidlist": "orderId",
    "origClientOrderIdList": "origClientOrderId",
    "origclientorderidlist": "origClientOrderId",
}
WEEK_MS = 7 * 24 * 3_600_000


def _place(call: Call, params: Parameters) -> dict[str, Any]:
    kind = params.text("newOrderRespType", "ACK")
    if kind not in {"ACK", "RESULT"}:
        raise Refusal(-1136)
    ask = orders.read(call.exchange, call.account, params)
    order = orders.place(call.exchange, call.account, ask)
    rules = call.exchange.symbols[order.symbol]
    if kind == "RESULT":
        return answers.placed(rules, order)
    return answers.acknowledged(rules, order)


def new_order(call: Call) -> Any:
    """Place a regular order."""
    return _place(call, call.params)


def test_order(call: Call) -> Any:
    """Check an order without placing it."""
    orders.read(call.exchange, call.account, call.params)
    return {}


def modify_order(call: Call) -> Any:
    """Change a resting order."""
    order = orders.amend(call.exchange, call.account, call.params)
    return answers.placed(call.exchange.symbols[order.symbol], order)


def _symbol(call: Call) -> str:
    return orders.market_of(call.exchange, call.params).rules.symbol


def _optional_symbol(call: Call) -> str | None:
    return _symbol(call) if call.params.text("symbol") else None


def cancel_order(call: Call) -> Any:
    """Cancel one order."""
    symbol = _symbol(call)
    order = _cancel_one(call, call.params, symbol)
    return answers.placed(call.exchange.symbols[symbol], order)


def _cancel_one(call: Call, params: Parameters, symbol: str) -> Order:
    order = orders.find_open(call.account, params, symbol)
    if order is None:
        raise Refusal(-2011)
    return orders.cancel(call.exchange, call.account, order)


def cancel_all(call: Call) -> Any:
    """Cancel a symbol's regular orders; conditional ones stay."""
    for order in call.account.open_orders(_symbol(call)):
        orders.cancel(call.exchange, call.account, order)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def query_order(call: Call) -> Any:
    """Tell of one order, open or finished."""
    symbol = _symbol(call)
    order = orders.find(call.account, call.params, symbol, call.exchange.server_ms)
    if order is None:
        raise Refusal(-2013)
    return answers.queried(call.exchange.symbols[symbol], order)


def open_order(call: Call) -> Any:
    """Tell of one open order."""
    symbol = _symbol(call)
    order = orders.find_open(call.account, call.params, symbol)
    if order is None:
        raise Refusal(-2013)
    return answers.queried(call.exchange.symbols[symbol], order)


def _rows(call: Call, chosen: list[Order]) -> list[dict[str, Any]]:
    return [answers.queried(call.exchange.symbols[o.symbol], o) for o in chosen]


def open_orders(call: Call) -> Any:
    """Tell of the regular open orders; conditional ones are not among them."""
    return _rows(call, call.account.open_orders(_optional_symbol(call)))


def all_orders(call: Call) -> Any:
    """Tell of a symbol's orders, by id or time."""
    chosen = orders.all_orders(call.account, _optional_symbol(call))
    first = call.params.integer("orderId")
    start, end = _window(call)
    limit = call.params.limit(500, 1000)
    picked = [
        o
        for o in chosen
        if (first is None or o.order_id >= first)
        and (start is None or o.created_ms >= start)
        and (end is None or o.created_ms <= end)
    ]
    return _rows(call, picked[:limit] if first is not None else picked[-limit:])


def _window(call: Call) -> tuple[int | None, int | None]:
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    if start is not None and end is not None:
        if end < start:
            raise Refusal(-1023)
        if end - start > WEEK_MS:
            raise Refusal(-4165, days=7)
    return start, end


def user_trades(call: Call) -> Any:
    """Tell of the account's fills, by id, order or time."""
    symbol = _optional_symbol(call)
    start, end = _window(call)
    first, order_id = call.params.integer("fromId"), call.params.integer("orderId")
    if first is not None and (start is not None or end is not None):
        raise Refusal(-1128)
    limit = call.params.limit(500, 1000)
    picked = [
        t
        for t in call.account.trades
        if (symbol is None or t.symbol == symbol)
        and (first is None or t.trade_id >= first)
        and (order_id is None or t.order_id == order_id)
        and (start is None or t.time_ms >= start)
        and (end is None or t.time_ms <= end)
    ]
    picked = picked[:limit] if first is not None or start is not None else picked[-limit:]
    return [answers.user_trade(call.exchange.symbols[t.symbol], t) for t in picked]


def batch(call: Call) -> Any:
    """Place up to five orders; each element is an order or a refusal."""
    return _each(call, lambda params: _place(call, params))


def modify_batch(call: Call) -> Any:
    """Change up to five resting orders; each element is an order or a refusal."""

    def change(params: Parameters) -> dict[str, Any]:
        order = orders.amend(call.exchange, call.account, params)
        return answers.placed(call.exchange.symbols[order.symbol], order)

    return _each(call, change)


def _each(call: Call, act: Callable[[Parameters], dict[str, Any]]) -> list[dict[str, Any]]:
    items = _json_list(call.params.needed("batchOrders"), "batchOrders")
    if not 1 <= len(items) <= BATCH_MAX:
        raise Refusal(-4082)
    rows: list[dict[str, Any]] = []
    for item in items:
        try:
            if not isinstance(item, dict):
                raise missing("batchOrders")
            given = {k: _spelled(v) for k, v in item.items() if v is not None}
            rows.append(act(Parameters(given)))
        except Refusal as refusal:
            rows.append(refusal.body())
    return rows


def _json_list(raw: str, name: str) -> list[Any]:
    try:
        items = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise missing(name) from error
    if not isinstance(items, list):
        raise missing(name)
    return items


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cancel_batch(call: Call) -> Any:
    """Cancel up to ten orders by id or client id.

    The names of the two lists are read in lower case too: clients send them so, and are understood.
    """
    symbol = _symbol(call)
    chosen = next((name for name in LISTS if call.params.text(name)), None)
    if chosen is None:
        raise missing("origClientOrderIdList")
    ids = _json_list(call.params.needed(chosen), chosen)
    if not 1 <= len(ids) <= CANCEL_MAX:
        raise missing(chosen)
    rows: list[dict[str, Any]] = []
    for one in ids:
        try:
            order = _cancel_one(call, Parameters({LISTS[chosen]: str(one)}), symbol)
            rows.append(answers.placed(call.exchange.symbols[symbol], order))
        except Refusal as refusal:
            rows.append(refusal.body())
    return rows


def amendments(call: Call) -> Any:
    """Tell how resting orders of a symbol were changed, the latest last."""
    symbol = _symbol(call)
    rules = call.exchange.symbols[symbol]
    order_id = call.params.integer("orderId")
    client_id = call.params.text("origClientOrderId")
    start, end = _window(call)
    rows = [
        answers.amendment(rules, change)
        for change in call.account.amendments
        if change.symbol == symbol
        and (order_id is None or change.order_id == order_id)
        and (not client_id or change.client_id == client_id)
        and (start is None or change.time_ms >= start)
        and (end is None or change.time_ms <= end)
    ]
    return rows[-call.params.limit(50, 100) :]


def countdown(call: Call) -> Any:
    """Cancel a symbol's regular orders unless called again in time."""
    symbol = _symbol(call)
    span = call.params.integer("countdownTime")
    if span is None:
        raise missing("countdownTime")
    exchange, account = call.exchange, call.account
    account.countdowns[symbol] = exchange.now_ms + span if span else 0
    if span:
        exchange.schedule(span, functools.partial(_count_out, call, account, symbol))
    return {"symbol": symbol, "countdownTime": str(span)}


def _count_out(call: Call, account: Account, symbol: str) -> None:
    due = account.countdowns.get(symbol, 0)
    if due and call.exchange.now_ms >= due:
        account.countdowns[symbol] = 0
        for order in account.open_orders(symbol):
            matching.finish(call.exchange, account, order, "CANCELED", "CANCELED")


def new_algo(call: Call) -> Any:
    """Place a conditional order."""
    placed = algo_orders.place(call.exchange, call.account, call.params)
    return answers.algo_placed(call.exchange.symbols[placed.symbol], placed)


def cancel_algo(call: Call) -> Any:
    """Cancel a conditional order."""
    return answers.algo_cancelled(algo_orders.cancel(call.exchange, call.account, call.params))


def cancel_all_algos(call: Call) -> Any:
    """Cancel a symbol's conditional orders."""
    for order in algo_orders.waiting(call.exchange, call.account, _symbol(call)):
        if order.status == "NEW":
            algo.end(call.exchange, call.account, order, "CANCELED")
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def query_algo(call: Call) -> Any:
    """Tell of one conditional order."""
    order = algo_orders.find(call.exchange, call.account, call.params)
    if order is None:
        raise Refusal(-2013)
    return answers.algo_queried(call.exchange.symbols[order.symbol], order)


def open_algos(call: Call) -> Any:
    """Tell of the waiting conditional orders."""
    algo_id = call.params.integer("algoId")
    chosen = algo_orders.waiting(call.exchange, call.account, _optional_symbol(call))
    return [
        answers.algo_queried(call.exchange.symbols[a.symbol], a)
        for a in chosen
        if algo_id is None or a.algo_id == algo_id
    ]


def all_algos(call: Call) -> Any:
    """Tell of a symbol's conditional orders, open and finished."""
    symbol = _symbol(call)
    start, end = _window(call)
    first = call.params.integer("algoId")
    limit = call.params.limit(500, 1000)
    account = call.account
    rows = sorted(
        (
            a
            for a in (*account.closed_algos.values(), *account.algos.values())
            if a.symbol == symbol
            and algo.visible(call.exchange, a)
            and (first is None or a.algo_id >= first)
            and (start is None or a.created_ms >= start)
            and (end is None or a.created_ms <= end)
        ),
        key=lambda a: a.algo_id,
    )
    return [answers.algo_queried(call.exchange.symbols[symbol], a) for a in rows[-limit:]]


def _listed(params: Parameters) -> int:
    return 1 if "symbol" in params else 40


ORDER: Final = (1, 1)
ENDPOINTS: Final = {
    ("POST", "/fapi/v1/order"): Endpoint(handler=new_order, weight=0, orders=ORDER, trade=True),
    ("POST", "/fapi/v1/order/test"): Endpoint(handler=test_order, weight=0, trade=True),
    ("PUT", "/fapi/v1/order"): Endpoint(handler=modify_order, orders=ORDER, trade=True),
    ("GET", "/fapi/v1/order"): Endpoint(handler=query_order),
    ("DELETE", "/fapi/v1/order"): Endpoint(handler=cancel_order, trade=True),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(handler=cancel_all, trade=True),
    ("POST", "/fapi/v1/batchOrders"): Endpoint(handler=batch, weight=5, orders=(5, 1), trade=True),
    ("PUT", "/fapi/v1/batchOrders"): Endpoint(
        handler=modify_batch, weight=5, orders=(5, 1), trade=True
    ),
    ("GET", "/fapi/v1/orderAmendment"): Endpoint(handler=amendments),
    ("DELETE", "/fapi/v1/batchOrders"): Endpoint(handler=cancel_batch, trade=True),
    ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(handler=countdown, weight=10, trade=True),
    ("GET", "/fapi/v1/openOrder"): Endpoint(handler=open_order),
    ("GET", "/fapi/v1/openOrders"): Endpoint(handler=open_orders, weight=_listed),
    ("GET", "/fapi/v1/allOrders"): Endpoint(handler=all_orders, weight=5),
    ("GET", "/fapi/v1/userTrades"): Endpoint(handler=user_trades, weight=5),
    ("POST", "/fapi/v1/algoOrder"): Endpoint(handler=new_algo, weight=0, orders=ORDER, trade=True),
    ("DELETE", "/fapi/v1/algoOrder"): Endpoint(handler=cancel_algo, trade=True),
    ("GET", "/fapi/v1/algoOrder"): Endpoint(handler=query_algo),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(handler=cancel_all_algos, trade=True),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(handler=open_algos, weight=_listed),
    ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(handler=all_algos, weight=5),
}
