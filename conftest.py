"""What holds for every test."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from reactor import compiled

# How long an example takes says something about the machine, nothing about the code.
# The same examples every time, so that a change is judged by what it changed; new ones for who asks.
fixed = "REACTOR_NEW_EXAMPLES" not in os.environ
settings.register_profile("any machine", settings.default, deadline=None, derandomize=fixed)
settings.load_profile("any machine")


@pytest.fixture(params=["compiled", "Python"], scope="module")
def written(request: pytest.FixtureRequest) -> Iterator[str]:
    """How what is made meanwhile is written: in machine code, or as its twin in Python."""
    way: str = request.param
    if way == "compiled" and compiled.hot is None:
        pytest.skip(compiled.why_not)
    with pytest.MonkeyPatch.context() as patch:
        if way == "Python":
            patch.setattr(compiled, "hot", None)
        yield way
