"""The other programs of `bench latency`: compiled, started, told what to do, and ended.

The stand-in for the exchange (`standin.c`) and the floor (`floor.c`) are compiled on the spot with -O2; the
market that the stand-in asks over HTTP is `latency_exchange`.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reactor.bench.latency_exchange import bench_symbols
from reactor.errors import ConfigError

Who = Literal["product", "floor", "count", "other"]

COMPILERS: Final = ("cc", "gcc", "clang")
KEY, SECRET = "sim-key", "sim-secret"  # the simulator's own, which are no secret
LEVEL: Final = "59700"
"""What the floor compares prices with: the stop of the product's position."""

READY_S: Final = 30.0
LINE_S: Final = 120.0


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One order: how long after its tick it was received, the two moments on the wall clock, and its id."""

    receipt_ns: int
    tick_ns: int
    order_ns: int
    client_id: str


class Pass(msgspec.Struct, frozen=True):
    """One stretch of ticks: the orders that came of it, those that did not, and what it cost.

    Attributes:
        samples: one for every order.
        lost: ticks that should have made one.
        ticks: how many there were, quiet ones too.
        cpu_ns: of the program that was measured, in the meantime.
        elapsed_ns: by the wall.
    """

    samples: tuple[Sample, ...]
    lost: int
    ticks: int
    cpu_ns: int
    elapsed_ns: int


class Pattern(msgspec.Struct, frozen=True):
    """How ticks come.

    Attributes:
        gap_us: from one to the next.
        quiet: how many quiet ones between two that make an order.
        before, after: how many quiet ones come in the same write, before and after that one.
    """

    gap_us: int
    quiet: int
    before: int = 0
    after: int = 0


def compile_programs(folder: Path) -> dict[str, Path]:
    """Compiles the stand-in and the floor.

    Raises:
        ConfigError: there is no C compiler, or it fails.
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise ConfigError(
            f"no C compiler (looked for {', '.join(COMPILERS)}): the floor is compiled here; install gcc or clang"
        )
    programs = {}
    for name in ("standin", "floor"):
        with resources.as_file(resources.files("reactor.bench") / f"{name}.c") as source:
            programs[name] = folder / name
            command = [compiler, "-O2", "-o", str(programs[name]), str(source), "-ldl"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own source
        if done.returncode:
            raise ConfigError(
                f"{compiler} cannot compile {name}.c: {done.stderr.strip()[:300]}; install the C library's headers"
            )
    return programs


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key: files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "reactor bench")])
    now = dt.datetime.now(dt.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def away_from_standin(pid: int) -> None:
    """Keeps a program that is measured off the stand-in's processor, the last one, where there is another."""
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) > 1:
            os.sched_setaffinity(pid, processors[:-1])


def cpu_ns(pid: int) -> int:
    """The CPU time of a running process, all its threads, from the kernel's own clock of it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class StandIn:
    """The stand-in for the exchange, and the market behind it.

    Attributes:
        port, tls_port: where it listens; the latter is 0 without a certificate.
        certificate: its file, for who is to trust it.
    """

    def __init__(self, programs: dict[str, Path], folder: Path, *, symbols: int, tls: bool) -> None:
        """Starts it; see `open_standin`."""
        self._floor_program = programs["floor"]
        self.certificate: Path | None = None
        self._market = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "reactor.bench.latency_exchange", str(symbols)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._floors: dict[bool, subprocess.Popen[str]] = {}
        assert self._market.stdout is not None
        market_port = self._market.stdout.readline().strip()
        command = [str(programs["standin"]), market_port, ",".join(bench_symbols(symbols))]
        if tls:
            self.certificate, key = make_certificate(folder)
            command += [str(self.certificate), str(key)]
        self._process = subprocess.Popen(  # noqa: S603 - compiled by us
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        words = self._line().split()
        self.port, self.tls_port = int(words[1]), int(words[2])

    def close(self) -> None:
        """Ends it, its floors and its market."""
        for process in (*self._floors.values(), self._process, self._market):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def floor(self, *, tls: bool = False) -> int:
        """The process of the floor over this kind of connection, started where it is not; ends the other kind's."""
        other = self._floors.pop(not tls, None)
        if other is not None:
            other.kill()
            other.communicate()
        floor = self._floors.get(tls)
        if floor is None:
            port = self.tls_port if tls else self.port
            command = [str(self._floor_program), str(port), "BTCUSDT", LEVEL, KEY, SECRET]
            floor = self._floors[tls] = subprocess.Popen(  # noqa: S603 - compiled by us
                [*command, "tls"] if tls else command, stdout=subprocess.PIPE, text=True
            )
            away_from_standin(floor.pid)
            assert floor.stdout is not None
            if floor.stdout.readline().strip() != "ready":
                raise ConfigError("the floor did not start; see what it says above")
            self.until_connected(0b11000)
        return floor.pid

    @contextlib.contextmanager
    def spinning_floor(self) -> Iterator[int]:
        """The floor without sleep, in the product's place, while it is used: its process."""
        command = [str(self._floor_program), str(self.port), "BTCUSDT", LEVEL, KEY, SECRET, "spin"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as floor:  # noqa: S603 - compiled by us
            try:
                away_from_standin(floor.pid)
                self.until_connected(0b101)
                yield floor.pid
            finally:
                floor.kill()

    def connected(self) -> int:
        """What is connected: market 1, private 2, orders 4, the floor's 8 and 16, the counter 32.

        Another client's: market 64, private 128, orders 256.
        """
        return int(self._ask("who")[0][0])

    def until_connected(self, bits: int) -> None:
        """Waits until all of these are; see `connected`."""
        end_s = time.monotonic() + READY_S
        while self.connected() & bits != bits:
            if time.monotonic() > end_s:
                raise ConfigError("the program to be measured did not connect to the stand-in")
            time.sleep(0.02)

    def first_ticks(self, who: Who = "product") -> None:
        """One quiet tick of every symbol."""
        self._ask(f"tick {who}")

    def run(self, who: Who, pattern: Pattern, count: int, *, pid: int) -> Pass:
        """Sends ticks until so many should have made an order."""
        started_ns, cpu_before_ns = time.monotonic_ns(), cpu_ns(pid)
        (lost, ticks), samples = self._ask(
            f"run {who} {count} {pattern.gap_us} {pattern.quiet} {pattern.before} {pattern.after}"
        )
        return Pass(
            samples=tuple(samples),
            lost=int(lost),
            ticks=int(ticks),
            cpu_ns=cpu_ns(pid) - cpu_before_ns,
            elapsed_ns=time.monotonic_ns() - started_ns,
        )

    def flood(self, who: Who, count: int, *, pid: int, block: int = 64) -> Pass:
        """Sends so many quiet ticks as fast as they are taken, and waits until the last one was."""
        cpu_before_ns = cpu_ns(pid)
        (_, ticks, elapsed_ns), _ = self._ask(f"flood {who} {count} {block}")
        return Pass((), 0, int(ticks), cpu_ns(pid) - cpu_before_ns, int(elapsed_ns))

    def _ask(self, line: str) -> tuple[Sequence[str], list[Sample]]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        samples = []
        while True:
            kind, *words = self._line().split()
            if kind == "s":
                receipt, tick, order = map(int, words[:3])
                samples.append(Sample(receipt, tick, order, words[3] if len(words) > 3 else ""))
            elif kind == "end":
                return words, samples
            else:
                raise ConfigError(f"the stand-in says: {' '.join(words)}")

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError("the stand-in ended; see what it says above")
        return line


@contextlib.contextmanager
def open_standin(folder: Path, *, symbols: int = 1, tls: bool = False) -> Iterator[StandIn]:
    """A stand-in that runs while it is used.

    Args:
        folder: for the programs and the certificate.
        symbols: of the market behind it; a position is open in each.
        tls: whether it listens with TLS too.
    """
    made = StandIn(compile_programs(folder), folder, symbols=symbols, tls=tls)
    try:
        yield made
    finally:
        made.close()


def environment_of(certificate: Path | None) -> dict[str, str]:
    """The variables of a program that trusts the stand-in."""
    trust = {} if certificate is None else {"SSL_CERT_FILE": str(certificate)}
    return os.environ | trust | {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET}
