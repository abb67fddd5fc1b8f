"""Whole processes are tried here; their parts have tests of their own."""

import pytest


@pytest.fixture(autouse=True)
def _keys_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets a key of whoever runs it."""
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
