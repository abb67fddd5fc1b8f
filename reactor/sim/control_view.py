"""What the control door tells of the whole exchange."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange
    from reactor.sim.streams import Hub


def state(exchange: "Exchange", hub: "Hub") -> dict[str, Any]:
    """Return prices, accounts, positions and connections, for people and tests."""
    return {
        "now": exchange.now_ms,
        "serverTime": exchange.server_ms,
        "prices": {
            name: {
                "last": str(m.last),
                "mark": str(m.mark),
                "bid": str(m.book.bid),
                "ask": str(m.book.ask),
                "status": m.status,
            }
            for name, m in exchange.markets.items()
        },
        "accounts": {
            name: {
                "wallet": str(a.wallet),
                "hedge": a.hedge,
                "listenKey": bool(a.listen_key),
                "positions": {f"{p.symbol}/{p.side}": str(p.amount) for p in a.open_positions()},
                "orders": len(a.orders),
                "algos": sum(1 for o in a.algos.values() if o.is_open),
            }
            for name, a in exchange.accounts.items()
        },
        "connections": [
            {
                "number": c.number,
                "route": c.route,
                "streams": list(c.streams)[:50],
                "listenKeys": len(c.keys),
            }
            for c in hub.connections.values()
        ],
    }
