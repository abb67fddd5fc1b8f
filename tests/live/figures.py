"""What the live process costs, measured: CPU, memory, cold start, recovery. Run by hand, on a machine at rest.

    PYTHONPATH=tests python tests/live/figures.py [--seconds 60] [--json]

An exchange of its own (`reactor sim`) and `reactor run --live` in front of it, two processes on loopback with real
sockets. Nine positions are open before the guard starts; prices come as trades and marks, about 100 frames a second.

- CPU: user and system time of the guard's process (/proc/PID/stat) over the span, in per cent of one core; with and
  without `--record`, and with and without the rehearsals that keep an order's way warm (`orders.rehearse_ms`). The
  quiet plan has nothing to do; the busy one moves trailing stops.
- memory: resident set at the end of the span (/proc/PID/status, VmRSS).
- cold start: from starting the interpreter to the first hard stop that the exchange has, for positions that were open.
- recovery: the market socket is reset; and then the exchange is unreachable for six seconds. Both are read from the
  guard's own tape: from the reset, and from the end of the outage, to the next price frame. `oldest price` is the
  longest that any guarded symbol was without a price from stream or poller while it was gone.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from test_live_virtual import NINE

from reactor.shell.tape_reader import open_tape

TICKS_S = os.sysconf("SC_CLK_TCK")
KEYS = {"BINANCE_API_KEY": "sim-key", "BINANCE_API_SECRET": "sim-secret"}
QUIET = 'name = "quiet"\ntrigger = "last"\n[stop]\npct = 0.2\n'
BUSY = (
    'name = "busy"\ntrigger = "last"\n[stop]\npct = 0.02\n'
    '[trailing]\nactivate = "in_profit"\npct = 0.01\n'
)


class Sim:
    """The exchange, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.session = aiohttp.ClientSession()

    async def post(self, door: str, body: Any) -> Any:
        async with self.session.post(f"{self.url}/sim/{door}", data=orjson.dumps(body)) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def state(self) -> Any:
        async with self.session.get(f"{self.url}/sim/state") as answer:
            return await answer.json()

    async def end(self) -> None:
        await self.session.close()
        await _end(self.process)


async def start_sim(scenario: str) -> Sim:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reactor", "sim", "--port", "0", "--scenario", scenario),
        *("--speed", "2", "--wallet", "10000000"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    sim = Sim(process, line.decode().split()[-1])
    for symbol, quantity in NINE.items():
        await sim.post("position", {"symbol": symbol, "quantity": quantity})
    return sim


async def start_guard(
    sim: Sim, folder: Path, plan: str, *, record: bool, rehearse: bool = True
) -> Any:
    path = folder / "plan.toml"
    path.write_text(plan)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REACTOR_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reactor", "run", "--live", "--include", "*"),
        *("--environment", f"sim:{sim.url}", "--plan", str(path), "--data-dir", str(folder)),
        *(("--record",) if record else ()),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=(folder / "said.log").open("wb"),
        env={
            **clean,
            **KEYS,
            "REACTOR_HTTP_PORT": "0",
            "REACTOR_RECORD_MIN_FREE_DISK": "1KB",
            **({} if rehearse else {"REACTOR_ORDERS_REHEARSE_MS": "0"}),
        },
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), 30)


# What is read -------------------------------------------------------------------------------------


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for path in sorted((folder / "tapes").iterdir())
        for _, lines in open_tape(path).batches()
        for line in lines
    ]


# Measurements -------------------------------------------------------------------------------------


async def cost(
    name: str, scenario: str, plan: str, *, record: bool, rehearse: bool, seconds: float
) -> Any:
    sim = await start_sim(scenario)
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        began_s = time.monotonic()
        guard = await start_guard(sim, folder, plan, record=record, rehearse=rehearse)
        guarded_s = await _first_stop(sim, began_s)
        await asyncio.sleep(15)  # candles, first stops
        before_s, at_s = cpu_s(guard.pid), time.monotonic()
        await asyncio.sleep(seconds)
        spent_s, span_s = cpu_s(guard.pid) - before_s, time.monotonic() - at_s
        found = {
            "case": name,
            "cpu_pct": round(100 * spent_s / span_s, 2),
            "rss_mb": round(resident_mb(guard.pid), 1),
            "cold_start_s": round(guarded_s, 2),
        }
        await _end(guard)
        if record:
            end_ns = lines_of(folder)[-1]["t"]
            count = sum(
                line["c"] in {"market", "public"} and line["t"] > end_ns - seconds * 1e9
                for line in lines_of(folder)
            )
            found["frames_per_s"] = round(count / seconds, 1)
    await sim.end()
    return found


async def _first_stop(sim: Sim, began_s: float) -> float:
    while True:
        if (await sim.state())["accounts"]["main"]["algos"]:
            return time.monotonic() - began_s
        if time.monotonic() - began_s > 30:
            raise SystemExit("no hard stop within 30 s")
        await asyncio.sleep(0.01)


async def recovery() -> Any:
    sim = await start_sim("calm")
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        guard = await start_guard(sim, folder, QUIET, record=True)
        await _first_stop(sim, time.monotonic())
        await asyncio.sleep(8)
        reset_ns = time.time_ns()
        await sim.post("connections", {"how": "reset", "route": "market"})
        await asyncio.sleep(8)
        mute_ns = time.time_ns()
        # Sockets are refused and cut, REST goes on: the poller must bring prices.
        await sim.post("connections", {"how": "mute", "route": "market", "ms": 20_000})
        await asyncio.sleep(30)
        out_ns = time.time_ns()
        await sim.post("faults", [{"do": "maintenance", "ms": 6000, "how": "reset"}])
        back_ns = out_ns + 6_000_000_000
        await asyncio.sleep(25)
        await _end(guard)
        lines = lines_of(folder)
    await sim.end()
    return {
        "case": "recovery",
        "reset_to_next_price_s": round(_next_price_s(lines, reset_ns), 3),
        "outage_end_to_next_price_s": round(_next_price_s(lines, back_ns), 3),
        "oldest_price_while_mute_s": round(_oldest_s(lines, mute_ns, mute_ns + 25 * 10**9), 2),
    }


def _next_price_s(lines: list[dict[str, Any]], since_ns: int) -> float:
    """The first price frame of the stream after this instant and after the link is up again."""
    ups = [
        line["t"]
        for line in lines
        if line["c"] == "link"
        and line["m"]["state"] == "up"
        and line["t"] > since_ns
        and line["m"]["stream"] == "market"
    ]
    since_ns_up = min(ups, default=since_ns)
    first = next(
        line["t"]
        for line in lines
        if line["c"] == "market"
        and line["t"] >= min(since_ns_up, since_ns + 10**9)
        and line["t"] > since_ns
    )
    return float(first - since_ns) / 1e9


def _oldest_s(lines: list[dict[str, Any]], begin_ns: int, end_ns: int) -> float:
    """The longest that one symbol was without any price of its trigger, in a span."""
    newest = dict.fromkeys(NINE, begin_ns)
    oldest_ns = 0
    for line in lines:
        if not begin_ns <= line["t"] <= end_ns:
            continue
        for symbol in _priced(line):
            if symbol in newest:
                oldest_ns = max(oldest_ns, line["t"] - newest[symbol])
                newest[symbol] = line["t"]
    return max(oldest_ns, *(end_ns - one for one in newest.values())) / 1e9


def _priced(line: dict[str, Any]) -> list[str]:
    message = line["m"]
    if line["c"] == "market" and message["stream"].endswith("aggTrade"):
        return [message["data"]["s"]]
    if line["c"] == "rest" and message["path"].endswith(("ticker/price", "premiumIndex")):
        body = message["body"]
        return [row["symbol"] for row in (body if isinstance(body, list) else [body])]
    return []


async def measure(seconds: float) -> list[Any]:
    found = []
    for name, scenario, plan, record, rehearse in (
        ("quiet, no rehearsals", "calm", QUIET, False, False),
        ("quiet, no rehearsals, recorded", "calm", QUIET, True, False),
        ("busy, no rehearsals, recorded", "trend", BUSY, True, False),
        ("quiet", "calm", QUIET, False, True),
        ("busy, recorded", "trend", BUSY, True, True),
    ):
        row = await cost(name, scenario, plan, record=record, rehearse=rehearse, seconds=seconds)
        found.append(row)
        print(found[-1], file=sys.stderr, flush=True)
    found.append(await recovery())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = asyncio.run(measure(args.seconds))
    for row in found:
        print(json.dumps(row) if args.json else row)


if __name__ == "__main__":
    main()
