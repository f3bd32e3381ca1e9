"""Aliases of the array types in signatures."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Image: TypeAlias = NDArray[np.uint8]
"""RGB image (H, W, 3)."""
Frames: TypeAlias = NDArray[np.uint8]
"""RGB images (T, H, W, 3)."""
