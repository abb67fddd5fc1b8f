"""Compiles `_hot.pyx` while the package is built; where that cannot be done, the package is built without it.

It needs a C compiler, and Cython and picows, which the build asks for. Nothing else depends on it: what is compiled has
its twin in Python.
"""

import hashlib
import shutil
import sys
import tempfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "_hot"


class CompiledBuildHook(BuildHookInterface[Any]):
    """Adds the compiled module to a wheel, and to the source tree for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles, before the wheel's files are gathered."""
        folder = Path(self.root) / "reactor" / "compiled"
        try:
            target = compiled(folder)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the package works without
            self.app.display_warning(f"the fast path is not compiled: {error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/reactor/compiled/{target.name}")


def compiled(folder: Path) -> Path:
    """Compiles the module in place; where that fails, none of this Python is left there.

    Args:
        folder: where its `.pyx` is.

    Returns:
        The shared object.
    """
    # Other Pythons' modules lie beside it, and none of them loads another's.
    (folder / f"{NAME}{EXTENSION_SUFFIXES[0]}").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="compiled-") as work:
        made = _built(folder / f"{NAME}.pyx", Path(work))
        return Path(shutil.move(made, folder / made.name))


def _built(source: Path, work: Path) -> Path:
    import picows.version  # noqa: PLC0415 - may be absent
    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415

    version = picows.version.__version__
    text = source.read_text(encoding="utf-8")
    stamps = f'\nSOURCE = "{hashlib.sha256(text.encode()).hexdigest()}"\nPICOWS = "{version}"\n'
    (work / f"{NAME}.pyx").write_text(text + stamps, encoding="utf-8")
    extension = Extension(
        f"reactor.compiled.{NAME}", [str(work / f"{NAME}.pyx")], extra_compile_args=["-O2", "-g0"]
    )
    modules = cythonize(
        [extension],
        include_path=[str(Path(picows.__file__).parents[1])],
        quiet=True,
        build_dir=str(work),
    )
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(work / "lib"), str(work / "temp")
    command.ensure_finalized()
    command.run()
    return next((work / "lib").rglob(f"{NAME}.*"))


if __name__ == "__main__":  # for whoever changes the source: compiles it in place
    compiled(Path(__file__).parent)
    sys.stdout.write("compiled\n")
