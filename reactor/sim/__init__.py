"""The simulated exchange: a Binance USDⓈ-M on loopback, or in one process with no socket at all.

The exchange itself (`exchange`, `orders`, `matching`, `algo`, `account` …) is a state that time and
requests move; `simulation` joins it with the WebSocket side; `server` gives it sockets.
"""
