"""`reactor run` as a person types it, from a cold start to an orderly end."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from .exchange import Exchange
from .live import replays, tidy
from .process import KEYS

BTC = "BTCUSDT"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_from_a_cold_start_to_an_orderly_end(tmp_path: Path, end: signal.Signals) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        command = [sys.executable, "-m", "reactor", "run", "--live", "--record"]
        command += ["--environment", f"sim:{exchange.url}", "--include", BTC]
        command += ["--data-dir", str(tmp_path / "data"), "--plan", "challenge_100"]
        environ = {**os.environ, **KEYS, "REACTOR_HTTP_ENABLED": "false"}
        began_s = time.monotonic()
        run = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environ, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await exchange.guarded(BTC)
            guarded_s = time.monotonic() - began_s
            print(f"cold start to the first hard stop: {guarded_s:.2f} s")
            assert guarded_s < 15, "3 s on a machine of its own"
            run.send_signal(end)
            ended_s = time.monotonic()
            assert await asyncio.wait_for(run.wait(), 10) == 0
            assert time.monotonic() - ended_s < 5
        finally:
            if run.returncode is None:
                run.kill()
        await exchange.guarded(BTC)
        await tidy(exchange)
    replays(tmp_path)
