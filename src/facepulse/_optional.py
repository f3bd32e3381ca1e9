"""Optional dependencies: an error that says how to install the ones that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from facepulse.errors import UsageError


def require_extra(extra: str, packages: Iterable[str], purpose: str) -> None:
    """Check that packages of an extra are installed.

    Args:
        extra: name of the extra, as in `pip install '.[extra]'`.
        packages: names of the packages, as they are imported.
        purpose: the task that needs them, for the error message.

    Raises:
        UsageError: a package is missing.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(f"{purpose} needs {', '.join(missing)}: pip install '.[{extra}]' in the checkout of facepulse")
