"""What only some need is an extra: whoever asks for it without having it is told how to install it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from facepulse.errors import UsageError


def require_extra(extra: str, packages: Iterable[str], purpose: str) -> None:
    """Make sure that the packages which an extra installs are there.

    Args:
        extra: its name, as in `pip install 'facepulse[extra]'`.
        packages: as they are imported.
        purpose: what they are needed for.

    Raises:
        UsageError: a package is missing.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(f"{purpose} needs {', '.join(missing)}: pip install 'facepulse[{extra}]'")
