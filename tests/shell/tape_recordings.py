"""Where the real recordings are, for tests that need them."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def recording(*parts: str) -> Path:
    """The path of a real recording; the test is skipped where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    return path
