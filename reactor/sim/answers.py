"""REST answers, field by field. Numbers are strings unless binance.md §4 says otherwise."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reactor.sim.account import Account, Margins
from reactor.sim.decimals import ZERO, fixed, plain
from reactor.sim.market import INTERVAL_MS, Candle, Market, PublicTrade
from reactor.sim.model import AlgoOrder, Amendment, Order, Position, Trade
from reactor.sim.symbols import SymbolRules

Row = dict[str, Any]
Markets = Mapping[str, Market]


def placed(rules: SymbolRules, order: Order) -> Row:
    """Return the answer to placing, cancelling or changing an order: no avgPrice, no cumQuote."""
    size, places = rules.quantity_places, rules.price_places
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": fixed(order.price, places),
        "origQty": fixed(order.quantity, size),
        "executedQty": fixed(order.executed, size),
        "cumQty": fixed(order.executed, size),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": fixed(order.stop_price, places),
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_type or order.type,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.stp_mode,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.updated_ms,
    }


def acknowledged(rules: SymbolRules, order: Order) -> Row:
    """Return the ACK answer: accepted as NEW, whatever has become of it since."""
    size = rules.quantity_places
    return placed(rules, order) | {
        "status": "NEW",
        "executedQty": fixed(ZERO, size),
        "cumQty": fixed(ZERO, size),
        "updateTime": order.created_ms,
    }


def queried(rules: SymbolRules, order: Order) -> Row:
    """Return an order as GET order tells it, with avgPrice and cumQuote."""
    row = placed(rules, order)
    del row["cumQty"]
    return row | {
        "avgPrice": fixed(order.average, max(2, rules.price_places)),
        "cumQuote": fixed(order.quote, 5),
        "time": order.created_ms,
    }


def algo_placed(rules: SymbolRules, algo: AlgoOrder) -> Row:
    """Return the answer to placing a conditional order."""
    places, size = rules.price_places, rules.quantity_places
    trails = algo.type == "TRAILING_STOP_MARKET"
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": "0" if algo.close_position else fixed(algo.quantity, size),
        "algoStatus": algo.status,
        "triggerPrice": fixed(algo.trigger_price, places),
        "price": fixed(algo.price, places),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.stp_mode,
        "workingType": algo.working_type,
        "priceMatch": algo.price_match,
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "activatePrice": fixed(algo.activate_price, places) if trails else "",
        "callbackRate": plain(algo.callback_rate) if trails else "",
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": algo.good_till_ms,
    }


def algo_queried(rules: SymbolRules, algo: AlgoOrder) -> Row:
    """Return a conditional order as queries tell it."""
    places, size = rules.price_places, rules.quantity_places
    return algo_placed(rules, algo) | {
        "actualOrderId": str(algo.order_id) if algo.order_id else "",
        "actualPrice": fixed(algo.average, max(5, places)),
        "actualType": algo.actual_type,
        "actualQty": fixed(algo.executed, size),
        "tpTriggerPrice": fixed(ZERO, 3),
        "tpPrice": fixed(ZERO, 3),
        "slTriggerPrice": fixed(ZERO, 3),
        "slPrice": fixed(ZERO, 3),
        "tpOrderType": "",
    }


def algo_cancelled(algo: AlgoOrder) -> Row:
    """Return the answer to cancelling a conditional order; its ``code`` is a string."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "code": "200",
        "msg": "success",
    }


def amendment(rules: SymbolRules, change: Amendment) -> Row:
    """Return one row of orderAmendment."""
    places, size = rules.price_places, rules.quantity_places
    return {
        "amendmentId": change.amendment_id,
        "symbol": change.symbol,
        "pair": change.symbol,
        "orderId": change.order_id,
        "clientOrderId": change.client_id,
        "time": change.time_ms,
        "amendment": {
            "price": {
                "before": fixed(change.price[0], places),
                "after": fixed(change.price[1], places),
            },
            "origQty": {
                "before": fixed(change.quantity[0], size),
                "after": fixed(change.quantity[1], size),
            },
            "count": change.count,
        },
    }


def user_trade(rules: SymbolRules, trade: Trade) -> Row:
    """Return one row of userTrades."""
    return {
        "buyer": trade.side == "BUY",
        "commission": fixed(trade.commission, 8),
        "commissionAsset": "USDT",
        "id": trade.trade_id,
        "maker": trade.maker,
        "orderId": trade.order_id,
        "price": fixed(trade.price, rules.price_places),
        "qty": fixed(trade.quantity, rules.quantity_places),
        "quoteQty": fixed(trade.price * trade.quantity, 5),
        "baseQty": fixed(ZERO, 1),
        "marginAsset": "USDT",
        "realizedPnl": fixed(trade.realized, 8),
        "side": trade.side,
        "positionSide": trade.position_side,
        "symbol": trade.symbol,
        "pair": trade.symbol,
        "time": trade.time_ms,
    }


class PositionView:
    """The figures that all position answers share."""

    def __init__(self, account: Account, position: Position, markets: Markets) -> None:
        market = markets[position.symbol]
        rules = market.rules
        self.account = account
        self.position = position
        self.market = market
        self.notional = position.amount * market.mark
        self.leverage = account.leverage_of(position.symbol)
        self.initial = abs(self.notional) / self.leverage
        self.maintenance = rules.maintenance(abs(self.notional)) if position.amount else ZERO
        self.profit = position.unrealized(market.mark)
        self.isolated = position.symbol in account.isolated
        self.liquidation = account.liquidation_price(position, markets)
        mine = [
            o
            for o in account.open_orders(position.symbol)
            if o.position_side == position.side and o.type == "LIMIT"
        ]
        self.order_initial = sum((account.order_margin(o) for o in mine), ZERO)
        self.bids = sum((o.remaining * o.price for o in mine if o.side == "BUY"), ZERO)
        self.asks = sum((o.remaining * o.price for o in mine if o.side == "SELL"), ZERO)
        self.amount = fixed(position.amount, rules.quantity_places)
        self.entry = _price(position.entry)
        self.break_even = _price(position.break_even)

    def margin_wallet(self) -> str:
        """Return the isolated wallet as a string."""
        return fixed(self.position.isolated_wallet, 8)

    def isolated_margin(self) -> str:
        """Return isolated wallet plus profit, 0 for cross."""
        return (
            fixed(self.position.isolated_wallet + self.profit, 8)
            if self.isolated and self.position.amount
            else fixed(ZERO, 8)
        )


def _price(value: Decimal) -> str:
    """Spell an average price: at least one decimal, as many as it needs up to 12."""
    text = plain(value.quantize(Decimal("0.000000000001"))) if value else "0"
    return text if "." in text else f"{text}.0"


def position_v3(view: PositionView) -> Row:
    """Return one row of v3/positionRisk."""
    return {
        "symbol": view.position.symbol,
        "positionSide": view.position.side,
        "positionAmt": view.amount,
        "entryPrice": view.entry,
        "breakEvenPrice": view.break_even,
        "markPrice": fixed(view.market.mark, 8),
        "unRealizedProfit": fixed(view.profit, 8),
        "liquidationPrice": plain(view.liquidation.quantize(Decimal("0.00000001"))),
        "isolatedMargin": view.isolated_margin(),
        "notional": fixed(view.notional, 8),
        "marginAsset": "USDT",
        "isolatedWallet": view.margin_wallet(),
        "initialMargin": fixed(view.initial + view.order_initial, 8),
        "maintMargin": fixed(view.maintenance, 8),
        "positionInitialMargin": fixed(view.initial, 8),
        "openOrderInitialMargin": fixed(view.order_initial, 8),
        "adl": 2 if view.position.amount else 0,
        "bidNotional": plain(view.bids),
        "askNotional": plain(view.asks),
        "updateTime": view.position.updated_ms,
    }


def position_v2(view: PositionView, cap: int) -> Row:
    """Return one row of v2/positionRisk."""
    return {
        "symbol": view.position.symbol,
        "positionAmt": view.amount,
        "entryPrice": view.entry,
        "breakEvenPrice": view.break_even,
        "markPrice": fixed(view.market.mark, 8),
        "unRealizedProfit": fixed(view.profit, 8),
        "liquidationPrice": plain(view.liquidation.quantize(Decimal("0.00000001"))),
        "leverage": str(view.leverage),
        "maxNotionalValue": str(cap),
        "marginType": "isolated" if view.isolated else "cross",
        "isolatedMargin": view.isolated_margin(),
        "isAutoAddMargin": "false",
        "positionSide": view.position.side,
        "notional": fixed(view.notional, 8),
        "isolatedWallet": view.margin_wallet(),
        "updateTime": view.position.updated_ms,
        "isolated": view.isolated,
        "adlQuantile": 2 if view.position.amount else 0,
    }


def account_position_v3(view: PositionView) -> Row:
    """Return one row of v3/account's positions."""
    return {
        "symbol": view.position.symbol,
        "positionSide": view.position.side,
        "positionAmt": view.amount,
        "unrealizedProfit": fixed(view.profit, 8),
        "isolatedMargin": view.isolated_margin(),
        "notional": fixed(view.notional, 8),
        "isolatedWallet": view.margin_wallet(),
        "initialMargin": fixed(view.initial + view.order_initial, 8),
        "maintMargin": fixed(view.maintenance, 8),
        "updateTime": view.position.updated_ms,
    }


def account_position_v2(view: PositionView, cap: int) -> Row:
    """Return one row of v2/account's positions."""
    return {
        "symbol": view.position.symbol,
        "initialMargin": fixed(view.initial + view.order_initial, 8),
        "maintMargin": fixed(view.maintenance, 8),
        "unrealizedProfit": fixed(view.profit, 8),
        "positionInitialMargin": fixed(view.initial, 8),
        "openOrderInitialMargin": fixed(view.order_initial, 8),
        "leverage": str(view.leverage),
        "isolated": view.isolated,
        "entryPrice": view.entry,
        "breakEvenPrice": view.break_even,
        "maxNotional": str(cap),
        "bidNotional": plain(view.bids),
        "askNotional": plain(view.asks),
        "positionSide": view.position.side,
        "positionAmt": view.amount,
        "notional": fixed(view.notional, 8),
        "isolatedWallet": view.margin_wallet(),
        "updateTime": view.position.updated_ms,
    }


def totals(account: Account, margins: Margins) -> Row:
    """Return the totals of an account answer."""
    cross = account.wallet - margins.isolated_wallets
    free = account.available(margins)
    return {
        "totalInitialMargin": fixed(margins.initial, 8),
        "totalMaintMargin": fixed(margins.maintenance, 8),
        "totalWalletBalance": fixed(account.wallet, 8),
        "totalUnrealizedProfit": fixed(margins.unrealized, 8),
        "totalMarginBalance": fixed(account.wallet + margins.unrealized, 8),
        "totalPositionInitialMargin": fixed(margins.position_initial, 8),
        "totalOpenOrderInitialMargin": fixed(margins.order_initial, 8),
        "totalCrossWalletBalance": fixed(cross, 8),
        "totalCrossUnPnl": fixed(margins.cross_unrealized, 8),
        "availableBalance": fixed(free, 8),
        "maxWithdrawAmount": fixed(min(free, max(ZERO, cross)), 8),
    }


def asset(account: Account, margins: Margins) -> Row:
    """Return the USDT row of an account answer's assets."""
    total = totals(account, margins)
    return {
        "asset": "USDT",
        "walletBalance": total["totalWalletBalance"],
        "unrealizedProfit": total["totalUnrealizedProfit"],
        "marginBalance": total["totalMarginBalance"],
        "maintMargin": total["totalMaintMargin"],
        "initialMargin": total["totalInitialMargin"],
        "positionInitialMargin": total["totalPositionInitialMargin"],
        "openOrderInitialMargin": total["totalOpenOrderInitialMargin"],
        "crossWalletBalance": total["totalCrossWalletBalance"],
        "crossUnPnl": total["totalCrossUnPnl"],
        "availableBalance": total["availableBalance"],
        "maxWithdrawAmount": total["maxWithdrawAmount"],
        "marginAvailable": True,
        "updateTime": account.updated_ms,
    }


def balance(account: Account, margins: Margins) -> Row:
    """Return the USDT row of balance."""
    row = asset(account, margins)
    return {
        "accountAlias": "SgsR",
        "asset": "USDT",
        "balance": row["walletBalance"],
        "crossWalletBalance": row["crossWalletBalance"],
        "crossUnPnl": row["crossUnPnl"],
        "availableBalance": row["availableBalance"],
        "maxWithdrawAmount": row["maxWithdrawAmount"],
        "marginAvailable": True,
        "updateTime": account.updated_ms,
    }


def premium(market: Market, now_ms: int) -> Row:
    """Return one row of premiumIndex."""
    return {
        "symbol": market.rules.symbol,
        "markPrice": fixed(market.mark, 8),
        "indexPrice": fixed(market.index, 8),
        "estimatedSettlePrice": fixed(market.index, 8),
        "lastFundingRate": fixed(market.funding_rate, 8),
        "interestRate": "0.00010000",
        "nextFundingTime": market.next_funding_ms,
        "time": now_ms,
    }


def print_row(market: Market, trade: PublicTrade) -> Row:
    """Return one row of trades and historicalTrades."""
    rules = market.rules
    return {
        "id": trade.trade_id,
        "price": fixed(trade.price, rules.price_places),
        "qty": fixed(trade.quantity, rules.quantity_places),
        "quoteQty": fixed(trade.price * trade.quantity, 2),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_maker,
        "isRPITrade": False,
    }


def candle_row(rules: SymbolRules, interval: str, candle: Candle) -> list[Any]:
    """Return one row of klines."""
    places, size = rules.price_places, rules.quantity_places
    return [
        candle.open_ms,
        fixed(candle.open, places),
        fixed(candle.high, places),
        fixed(candle.low, places),
        fixed(candle.close, places),
        fixed(candle.volume, size),
        candle.open_ms + INTERVAL_MS[interval] - 1,
        fixed(candle.quote, 5),
        candle.trades,
        fixed(candle.taker_base, size),
        fixed(candle.taker_quote, 5),
        "0",
    ]
