"""`--tls-cert`, `--tls-key`: the exchange over https and wss, for clients that take nothing else."""

import argparse
import datetime as dt
import ssl
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reactor.errors import ConfigError
from reactor.sim.commands import _tls, add_sim_command, build
from reactor.sim.server import Server


class Pair(NamedTuple):
    """Certificate and key, as files."""

    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Pair(folder / "chain.pem", folder / "key.pem")
    found.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    found.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return found


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_sim_command(parser.add_subparsers())
    return parser.parse_args(["sim", "--scenario", "still", *words])


async def test_rest_and_streams_over_tls(pair: Pair) -> None:
    args = arguments("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    server: Server = build(args)
    port = await server.start(tls=_tls(args))
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            root = f"https://localhost:{port}"
            async with session.get(f"{root}/fapi/v1/time") as answer:
                assert (await answer.json())["serverTime"] > 0
            async with session.ws_connect(f"{root}/public/ws/btcusdt@bookTicker") as stream:
                price = {"symbol": "BTCUSDT", "price": "81000"}
                async with session.post(f"{root}/sim/price", json=price) as moved:
                    assert moved.status == 200
                assert (await stream.receive_json(timeout=10))["a"] == "81000.00"
    finally:
        await server.stop()
    assert server.errors == 0


def test_one_without_the_other_and_files_that_are_none(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="go together"):
        _tls(arguments("--tls-cert", str(pair.certificate)))
    with pytest.raises(ConfigError, match="belong together"):
        _tls(arguments("--tls-cert", str(pair.key), "--tls-key", str(pair.key)))
    with pytest.raises(ConfigError, match="No such file"):
        _tls(arguments("--tls-cert", "absent.pem", "--tls-key", str(pair.key)))
    assert _tls(arguments()) is None
