"""Exit Reactor: exits for Binance USDⓈ-M futures positions, decided on every tick."""

__version__ = "0.1.0"
