"""Checks that the configs of all networks share."""

import math
from dataclasses import fields
from typing import Any


def check_types(config: Any) -> None:
    """Check that every value has the type of its field's default; read from a file, `"off"` would be true.

    Args:
        config: a dataclass whose fields all have defaults.

    Raises:
        ValueError: a value has another type; the message names the field.
    """
    for field in fields(config):
        value, expected = getattr(config, field.name), type(field.default)
        if expected is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        else:
            fits = type(value) is expected
        if not fits:
            raise ValueError(f"{field.name} must be of type {expected.__name__}, not {value!r}")
