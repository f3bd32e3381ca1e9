"""Names of everything that measures or can be trained, as `facepulse models` lists them."""

from __future__ import annotations

from typing import Literal, get_args

from facepulse.errors import UsageError
from facepulse.inference.registry import NETWORKS
from facepulse.inference.weights import shipped_weights
from facepulse.rppg.classical import CLASSICAL

Kind = Literal["classical", "weights", "architecture"]


def list_models(kind: Kind | None = None) -> list[str]:
    """List the names that `facepulse models` lists.

    Args:
        kind: "classical" for the methods on RGB traces; "weights" for the trained networks that come with the package,
            `architecture.tag`; "architecture" for the networks to train; None for all, in this order. Those of the
            first two kinds measure: `facepulse.measure(video, method=name)`.

    Raises:
        UsageError: there is no such kind.
    """
    names = {"classical": list(CLASSICAL), "weights": shipped_weights(), "architecture": list(NETWORKS)}
    if kind is None:
        return [name for group in names.values() for name in group]
    if kind not in names:
        raise UsageError(f"no kind of model is called {kind!r}: choose one of {', '.join(get_args(Kind))}")
    return names[kind]
