"""What every network's config has in common."""

import math
from dataclasses import fields
from typing import Any


def check_types(config: Any) -> None:
    """Refuse values of another type than the field's default: read from a file, `"off"` would count as true.

    Args:
        config: a dataclass whose fields all have defaults.

    Raises:
        ValueError: names the field, what came and what is wanted.
    """
    for field in fields(config):
        value, wanted = getattr(config, field.name), type(field.default)
        if wanted is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        else:
            fits = type(value) is wanted
        if not fits:
            raise ValueError(f"{field.name} must be of type {wanted.__name__}, not {value!r}")
