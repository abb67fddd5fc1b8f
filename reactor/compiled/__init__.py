"""The fast path in machine code, where this installation has it: `hot`, or None and why not in `why_not`.

`_hot.pyx` has twins in Python (`shell/lookout.py`, `shell/shots.py`, `Sender.fire`, `shell/transport/picows_frames.py`), which do
the same and are used where it is missing: without a C compiler at installation, with another picows than it was built with,
or with `REACTOR_COMPILED=0` in the environment.
"""

import hashlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Final

SWITCH: Final = "REACTOR_COMPILED"
"""The environment variable that switches it off: `0`."""


def _load() -> tuple[ModuleType | None, str]:
    if os.environ.get(SWITCH) == "0":
        return None, f"switched off by {SWITCH}=0"
    if importlib.util.find_spec(f"{__name__}._hot") is None:
        return None, (
            "it was not compiled when the package was installed: a C compiler is needed then"
        )
    try:
        from picows.version import __version__ as picows_version  # noqa: PLC0415 - may be absent

        from reactor.compiled import _hot  # noqa: PLC0415 - may be absent
    except Exception as error:  # noqa: BLE001 - what was compiled against something else may fail in any way
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"it cannot be loaded: {why}"
    if picows_version != _hot.PICOWS:
        return None, (
            f"it was compiled with picows {_hot.PICOWS}, and {picows_version} is here: install the package again"
        )
    source = Path(__file__).with_name("_hot.pyx")
    if source.is_file() and hashlib.sha256(source.read_bytes()).hexdigest() != _hot.SOURCE:
        return None, "it was compiled from another source: install the package again"
    return _hot, ""


hot, why_not = _load()
