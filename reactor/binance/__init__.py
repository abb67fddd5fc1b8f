"""How Binance spells it: payloads, filters, order parameters. Pure; no sockets, no clock."""
