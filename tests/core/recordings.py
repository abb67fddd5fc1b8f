"""Recordings of others beside the project, and how tests read them."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.core.candles import Candle

SHARED = Path(__file__).parents[3] / "shared" / "data"


def recording(*parts: str) -> Path:
    """A file of the shared recordings; the test that asks for it is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the recording {'/'.join(parts)} in ../shared/data, which is not there")
    return path


def candle_files() -> list[Path]:
    """Every candle file there is; empty where there are no recordings."""
    return sorted(SHARED.glob("klines_*/*.csv.gz"))


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, compressed or not."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from csv.DictReader(file)


def candles(path: Path) -> list[Candle]:
    """The candles of a file with `open_time_ms`."""
    return [
        Candle(
            int(row["open_time_ms"]), *(float(row[key]) for key in ("open", "high", "low", "close"))
        )
        for row in rows(path)
    ]


def frames(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stream name and payload of every combined-stream frame in a text recording."""
    with gzip.open(path, "rt") as file:
        for line in file:
            _, _, text = line.partition(" ")
            if text.startswith('{"stream"'):
                frame = json.loads(text)
                yield frame["stream"], frame["data"]
