"""How `reactor run` ends when it is told to at an awkward moment: always with 0, and never late."""

import subprocess
import sys
import time

import pytest

TOLD_WHILE_IMPORTING = """
import os, sys, types
class Module(types.ModuleType):
    def __getattr__(self, name):
        os.kill(os.getpid(), {number})
sys.modules["reactor.bootstrap"] = Module("reactor.bootstrap")
from reactor.cli import main
sys.exit(main(["run"]))
"""

HANGS_AT_THE_END = """
import asyncio, time
from reactor import bootstrap
bootstrap.END_S = 0.2
async def told():
    bootstrap._tell_to_end(asyncio.Event())
    time.sleep(100)
asyncio.run(told())
"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [2, 15])
def test_told_to_end_before_it_has_begun(number: int) -> None:
    done = ended(TOLD_WHILE_IMPORTING.format(number=number))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_hangs_at_the_end_is_not_waited_for() -> None:
    began_s = time.monotonic()
    done = ended(HANGS_AT_THE_END)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "the next start recovers" in done.stderr
    assert time.monotonic() - began_s < 50
