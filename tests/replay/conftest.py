"""Lets the tests here use the reference machine of `tests/reference`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
