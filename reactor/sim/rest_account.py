"""REST endpoints about the account: balances, positions, configuration, history, listen key."""

from decimal import Decimal
from typing import Any, Final

from reactor.sim import answers, events, orders
from reactor.sim.account import Account
from reactor.sim.answers import PositionView
from reactor.sim.decimals import fixed, plain
from reactor.sim.model import QUANTUM, MarginChange
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing
from reactor.sim.rest import Call, Endpoint
from reactor.sim.symbols import bracket_entry


def start_key(call: Call) -> Any:
    """Start or extend the account's listen key."""
    return {"listenKey": call.exchange.start_listen_key(call.account)}


def keep_key(call: Call) -> Any:
    """Extend the account's listen key."""
    return {"listenKey": call.exchange.keep_listen_key(call.account)}


def end_key(call: Call) -> Any:
    """End the account's listen key, for every process that uses it."""
    call.exchange.end_listen_key(call.account)
    return {}


def _views(call: Call, symbol: str | None, *, every: bool) -> list[PositionView]:
    """Return positions by symbol: all of them, or only those with amount or open orders."""
    account, markets = call.account, call.exchange.markets
    views = []
    for name in markets if symbol is None else (symbol,):
        for side in ("BOTH", "LONG", "SHORT") if every and account.hedge else account.sides():
            ordered = any(o.position_side == side for o in account.open_orders(name))
            position = account.position(name, side)
            if every or position.amount or ordered:
                views.append(PositionView(account, position, markets))
    return views


def _symbol(call: Call) -> str | None:
    if not call.params.text("symbol"):
        return None
    return orders.market_of(call.exchange, call.params).rules.symbol


def _cap(view: PositionView) -> int:
    return orders.max_notional(view.market, view.leverage)


def position_risk_v3(call: Call) -> Any:
    """Tell of positions and of symbols with open orders; a missing symbol is flat."""
    return [answers.position_v3(v) for v in _views(call, _symbol(call), every=False)]


def position_risk_v2(call: Call) -> Any:
    """Tell of every symbol, flat or not."""
    return [answers.position_v2(v, _cap(v)) for v in _views(call, _symbol(call), every=True)]


def account_v3(call: Call) -> Any:
    """Tell of balances and of the positions there are."""
    margins = call.account.margins(call.exchange.markets)
    return {
        **answers.totals(call.account, margins),
        "assets": [answers.asset(call.account, margins)],
        "positions": [answers.account_position_v3(v) for v in _views(call, None, every=False)],
    }


def account_v2(call: Call) -> Any:
    """Tell of balances, configuration and every position."""
    margins = call.account.margins(call.exchange.markets)
    return {
        **_config(call.account),
        **answers.totals(call.account, margins),
        "assets": [answers.asset(call.account, margins)],
        "positions": [
            answers.account_position_v2(v, _cap(v)) for v in _views(call, None, every=True)
        ],
    }


def _config(account: Account) -> dict[str, Any]:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "feeBurn": account.fee_burn,
        "tradeGroupId": -1,
        "updateTime": 0,
        "multiAssetsMargin": account.multi_assets,
    }


def account_config(call: Call) -> Any:
    """Tell of the account's configuration."""
    row = _config(call.account)
    del row["feeBurn"]
    return row | {"dualSidePosition": call.account.hedge}


def balance(call: Call) -> Any:
    """Tell of balances."""
    return [answers.balance(call.account, call.account.margins(call.exchange.markets))]


def symbol_config(call: Call) -> Any:
    """Tell of leverage and margin type by symbol."""
    symbol = _symbol(call)
    account = call.account
    return [
        {
            "symbol": name,
            "marginType": "ISOLATED" if name in account.isolated else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": account.leverage_of(name),
            "maxNotionalValue": str(orders.max_notional(market, account.leverage_of(name))),
        }
        for name, market in call.exchange.markets.items()
        if symbol is None or name == symbol
    ]


def leverage_bracket(call: Call) -> Any:
    """Tell of leverage brackets; one symbol comes as an object, all come as a list."""
    symbol = _symbol(call)
    if symbol is not None:
        return bracket_entry(call.exchange.symbols[symbol])
    return [bracket_entry(rules) for rules in call.exchange.symbols.values()]


def commission_rate(call: Call) -> Any:
    """Tell of the fees."""
    return {
        "symbol": orders.market_of(call.exchange, call.params).rules.symbol,
        "makerCommissionRate": fixed(call.account.maker_rate, 6),
        "takerCommissionRate": fixed(call.account.taker_rate, 6),
        "rpiCommissionRate": fixed(call.account.maker_rate, 6),
    }


def get_mode(call: Call) -> Any:
    """Tell of the position mode."""
    return {"dualSidePosition": call.account.hedge}


def change_mode(account: Account, *, hedge: bool) -> None:
    """Change the position mode.

    Raises:
        Refusal: -4059 it is so already, -4067 open orders, -4068 open positions, -4531 COIN-M holds it.
    """
    if account.hedge == hedge:
        raise Refusal(-4059)
    if account.coin_margined:
        raise Refusal(-4531)
    if account.orders or any(a.is_open for a in account.algos.values()):
        raise Refusal(-4067)
    if any(account.open_positions()):
        raise Refusal(-4068)
    account.hedge = hedge


def set_mode(call: Call) -> Any:
    """Change the position mode."""
    flag = call.params.flag("dualSidePosition")
    if flag is None:
        raise missing("dualSidePosition")
    change_mode(call.account, hedge=flag)
    return {"code": 200, "msg": "success"}


def get_multi_assets(call: Call) -> Any:
    """Tell of the margin mode."""
    return {"multiAssetsMargin": call.account.multi_assets}


def set_multi_assets(call: Call) -> Any:
    """Change the margin mode (told, not modelled)."""
    flag = call.params.flag("multiAssetsMargin")
    if flag is None:
        raise missing("multiAssetsMargin")
    if call.account.multi_assets == flag:
        raise Refusal(-4171)
    call.account.multi_assets = flag
    call.exchange.tell_user(
        call.account,
        events.multi_assets_update(multi_assets=flag, time_ms=call.exchange.server_ms),
    )
    return {"code": 200, "msg": "success"}


def set_leverage(call: Call) -> Any:
    """Choose a symbol's leverage."""
    market = orders.market_of(call.exchange, call.params)
    leverage = call.params.integer("leverage")
    if leverage is None:
        raise missing("leverage")
    if not 1 <= leverage <= market.rules.brackets[0][1]:
        raise Refusal(-4028, leverage=leverage)
    symbol = market.rules.symbol
    held = any(p.symbol == symbol for p in call.account.open_positions())
    if symbol in call.account.isolated and held and leverage < call.account.leverage_of(symbol):
        raise Refusal(-4161)
    call.account.leverage[symbol] = leverage
    call.exchange.tell_user(
        call.account,
        events.leverage_update(symbol, leverage, time_ms=call.exchange.server_ms),
    )
    return {
        "leverage": leverage,
        "maxNotionalValue": str(orders.max_notional(market, leverage)),
        "symbol": symbol,
    }


def set_margin_type(call: Call) -> Any:
    """Choose cross or isolated margin for a symbol."""
    symbol = orders.market_of(call.exchange, call.params).rules.symbol
    kind = call.params.needed("marginType")
    if kind not in {"CROSSED", "ISOLATED"}:
        raise Refusal(-1130, name="marginType")
    account = call.account
    if (kind == "ISOLATED") == (symbol in account.isolated):
        raise Refusal(-4046)
    if account.open_orders(symbol):
        raise Refusal(-4047)
    if any(p.symbol == symbol for p in account.open_positions()):
        raise Refusal(-4048)
    if kind == "ISOLATED":
        account.isolated.add(symbol)
    else:
        account.isolated.discard(symbol)
    return {"code": 200, "msg": "success"}


def income(call: Call) -> Any:
    """Tell of the wallet's movements."""
    symbol, kind = _symbol(call), call.params.text("incomeType")
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    limit = call.params.limit(100, 1000)
    rows = [
        {
            "symbol": row.symbol,
            "incomeType": row.kind,
            "income": fixed(row.amount, 8),
            "asset": "USDT",
            "info": row.info or row.kind,
            "time": row.time_ms,
            "tranId": row.tran_id,
            "tradeId": row.trade_id,
        }
        for row in call.account.income
        if (symbol is None or row.symbol == symbol)
        and (not kind or row.kind == kind)
        and (start is None or row.time_ms >= start)
        and (end is None or row.time_ms <= end)
    ]
    return rows[:limit] if start is not None else rows[-limit:]


def order_limits(call: Call) -> Any:
    """Tell of the account's order limits."""
    return call.exchange.rates.as_order_limits()


def trading_status(call: Call) -> Any:
    """Tell of quantitative rules: none is broken."""
    return {"indicators": {}, "updateTime": call.exchange.server_ms}


def force_orders(call: Call) -> Any:
    """Tell of liquidations and ADL of the account."""
    kinds = {"LIQUIDATION": ("autoclose-",), "ADL": ("adl_autoclose",)}
    wanted = kinds.get(call.params.text("autoCloseType"), ("autoclose-", "adl_autoclose"))
    symbol = _symbol(call)
    rows = [
        answers.queried(call.exchange.symbols[o.symbol], o)
        for o in call.account.closed.values()
        if o.client_id.startswith(wanted) and (symbol is None or o.symbol == symbol)
    ]
    return rows[-call.params.limit(50, 100) :]


def adl_quantile(call: Call) -> Any:
    """Tell of the ADL queue: always the middle."""
    symbol = _symbol(call)
    names = [symbol] if symbol else sorted({p.symbol for p in call.account.open_positions()})
    legs = {"LONG": 2, "SHORT": 2, "HEDGE": 0} if call.account.hedge else {"BOTH": 2}
    return [{"symbol": name, "adlQuantile": legs} for name in names]


def position_margin(call: Call) -> Any:
    """Add margin to an isolated position (type 1) or take it out (2)."""
    exchange, account = call.exchange, call.account
    market = orders.market_of(exchange, call.params)
    symbol = market.rules.symbol
    amount, kind = call.params.decimal("amount"), call.params.integer("type")
    if amount is None:
        raise missing("amount")
    if kind not in {1, 2}:
        raise missing("type")
    if amount <= 0:
        raise Refusal(-4055)
    side = orders.read_position_side(account, call.params)
    position = account.position(symbol, side)
    if symbol not in account.isolated:
        raise Refusal(-4049)
    if not position.amount:
        raise Refusal(-4054)
    moved = amount.quantize(QUANTUM)
    if kind == 1 and moved > account.available(account.margins(exchange.markets)):
        raise Refusal(-4050)
    needed = abs(position.amount) * market.mark / account.leverage_of(symbol)
    spare = position.isolated_wallet + min(position.unrealized(market.mark), Decimal(0)) - needed
    if kind == 2 and moved > spare:
        raise Refusal(-4051)
    exchange.remember(account)
    now_ms = exchange.server_ms
    position.isolated_wallet += moved if kind == 1 else -moved
    position.updated_ms = now_ms
    account.margin_changes.append(MarginChange(symbol, side, kind, moved, now_ms))
    exchange.tell_user(
        account,
        events.account_update(
            account, "MARGIN_TRANSFER", [position], exchange.markets, time_ms=now_ms
        ),
    )
    return {
        "amount": float(plain(amount)),
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": kind,
    }


def margin_history(call: Call) -> Any:
    """Tell of the changes of isolated margin, the latest last."""
    symbol, kind = _symbol(call), call.params.integer("type")
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    rows = [
        {
            "symbol": change.symbol,
            "type": change.kind,
            "deltaType": "USER_ADJUST",
            "amount": fixed(change.amount, 8),
            "asset": "USDT",
            "time": change.time_ms,
            "positionSide": change.position_side,
        }
        for change in call.account.margin_changes
        if (symbol is None or change.symbol == symbol)
        and (kind is None or change.kind == kind)
        and (start is None or change.time_ms >= start)
        and (end is None or change.time_ms <= end)
    ]
    return rows[-call.params.limit(500, 1000) :]


def get_fee_burn(call: Call) -> Any:
    """Tell whether fees may be paid in BNB."""
    return {"feeBurn": call.account.fee_burn}


def set_fee_burn(call: Call) -> Any:
    """Choose whether fees may be paid in BNB (told, not modelled: there is no BNB here)."""
    flag = call.params.flag("feeBurn")
    if flag is None:
        raise missing("feeBurn")
    call.account.fee_burn = flag
    return {"code": 200, "msg": "success"}


def _force_weight(params: Parameters) -> int:
    return 20 if "symbol" in params else 50


def _key(handler: Any) -> Endpoint:
    return Endpoint(handler=handler, security="key")


ENDPOINTS: Final = {
    ("POST", "/fapi/v1/listenKey"): _key(start_key),
    ("PUT", "/fapi/v1/listenKey"): _key(keep_key),
    ("DELETE", "/fapi/v1/listenKey"): _key(end_key),
    ("GET", "/fapi/v3/positionRisk"): Endpoint(handler=position_risk_v3, weight=5),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(handler=position_risk_v2, weight=5),
    ("GET", "/fapi/v3/account"): Endpoint(handler=account_v3, weight=5),
    ("GET", "/fapi/v2/account"): Endpoint(handler=account_v2, weight=5),
    ("GET", "/fapi/v3/balance"): Endpoint(handler=balance, weight=5),
    ("GET", "/fapi/v2/balance"): Endpoint(handler=balance, weight=5),
    ("GET", "/fapi/v1/accountConfig"): Endpoint(handler=account_config, weight=5),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint(handler=symbol_config, weight=5),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint(handler=leverage_bracket),
    ("GET", "/fapi/v1/commissionRate"): Endpoint(handler=commission_rate, weight=20),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(handler=get_mode, weight=30),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(handler=set_mode, trade=True),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(handler=get_multi_assets, weight=30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(handler=set_multi_assets, trade=True),
    ("POST", "/fapi/v1/leverage"): Endpoint(handler=set_leverage, trade=True),
    ("POST", "/fapi/v1/marginType"): Endpoint(handler=set_margin_type, trade=True),
    ("POST", "/fapi/v1/positionMargin"): Endpoint(handler=position_margin, trade=True),
    ("GET", "/fapi/v1/positionMargin/history"): Endpoint(handler=margin_history),
    ("GET", "/fapi/v1/feeBurn"): Endpoint(handler=get_fee_burn, weight=30),
    ("POST", "/fapi/v1/feeBurn"): Endpoint(handler=set_fee_burn, trade=True),
    ("GET", "/fapi/v1/income"): Endpoint(handler=income, weight=30),
    ("GET", "/fapi/v1/rateLimit/order"): Endpoint(handler=order_limits),
    ("GET", "/fapi/v1/apiTradingStatus"): Endpoint(handler=trading_status),
    ("GET", "/fapi/v1/forceOrders"): Endpoint(handler=force_orders, weight=_force_weight),
    ("GET", "/fapi/v1/adlQuantile"): Endpoint(handler=adl_quantile, weight=5),
}
