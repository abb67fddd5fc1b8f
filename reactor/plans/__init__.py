"""The shipped plans, and how a plan is found by name or by file."""

from importlib import resources
from pathlib import Path

from reactor.core.plan import Plan, plan_from_toml
from reactor.errors import PlanError

DEFAULT_PLAN = "trend_follow"


def shipped_plan_names() -> list[str]:
    """The names that `--plan` takes without a file, in alphabetical order."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_plan(name_or_file: str) -> Plan:
    """Loads a shipped plan by name, or a plan file by path.

    Args:
        name_or_file: `trend_follow`, `./my_plan.toml` …; what ends in `.toml` or has a slash is a path.

    Returns:
        The validated plan.

    Raises:
        PlanError: there is no such plan or file, or its content is refused.
    """
    return plan_from_toml(plan_toml(name_or_file), source=name_or_file)


def plan_toml(name_or_file: str) -> str:
    """The text of a plan that `load_plan` would load.

    Raises:
        PlanError: there is no such plan or file.
    """
    if name_or_file.endswith(".toml") or "/" in name_or_file:
        path = Path(name_or_file)
        try:
            # Editors on Windows put a byte order mark first.
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise PlanError(f"cannot read the plan file {name_or_file}: {reason}") from None
    names = shipped_plan_names()
    if name_or_file not in names:
        raise PlanError(
            f"there is no plan {name_or_file!r}; shipped: {', '.join(names)}; or give a .toml file"
        )
    return resources.files(__name__).joinpath(f"{name_or_file}.toml").read_text(encoding="utf-8")
