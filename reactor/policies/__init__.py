"""The shipped exit policies, and how policy files are read."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from reactor.core.policy import Matrix, matrix_from_tables
from reactor.errors import PolicyError


def shipped_matrices() -> dict[str, Matrix]:
    """The shipped profiles, SAFE and AGGRESSIVE, by name."""
    matrices = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            tables = tomllib.loads(file.read_text(encoding="utf-8-sig"))
            matrix = matrix_from_tables(tables, source=file.name)
            matrices[matrix.name] = matrix
    return matrices


def read_policy_tables(path: Path) -> dict[str, Any]:
    """Reads a policy file and checks it; answers its tables, as a tape's header keeps them.

    Raises:
        PolicyError: it cannot be read, is no TOML, or leaves a case open.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise PolicyError(f"cannot read the policy file {path}: {reason}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(f"{path}: not a TOML file: {error}") from None
    matrix_from_tables(tables, source=str(path))
    return tables
