"""The file of one clip: three layers of weights, head rotation and phones in one small npz, written atomically.

Letters: T motion frames, P phones.

    speech, expression, random   (T, 55) float16, columns as vultus.motion.WEIGHT_NAMES, rounded to 1/2048
    head                         (T, 3) float32 axis-angle, radians
    phone_symbols                (P,) unicode; phone_times (P, 2) float64 seconds; phone_stress (P,) int8
    meta                         JSON as (n,) uint8
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import VultusError

if TYPE_CHECKING:
    from vultus.synthesis.phones import Phone

LAYERS = ("speech", "expression", "random")
STEP = 1 / 2048
"""Weights are rounded to this: under 0.02 mm on the face, and the files shrink to about a third."""
LAYER_BYTES_PER_FRAME = 3 * 55 * 2 + 3 * 4


def pack_clip(layers: dict[str, np.ndarray], head: np.ndarray, phones: Sequence[Phone], meta: dict[str, Any]) -> bytes:
    """A clip as the bytes of its npz; equal input gives equal bytes."""
    arrays: dict[str, np.ndarray] = {
        name: (np.round(np.asarray(layers[name], np.float32) / STEP) * STEP).astype(np.float16) for name in LAYERS
    }
    arrays["head"] = np.asarray(head, np.float32)
    arrays["phone_symbols"] = np.array([p.symbol for p in phones], dtype="<U8")
    arrays["phone_times"] = np.array([(p.start, p.end) for p in phones], np.float64).reshape(-1, 2)
    arrays["phone_stress"] = np.array([p.stress for p in phones], np.int8)
    arrays["meta"] = np.frombuffer(json.dumps(meta, sort_keys=True, ensure_ascii=False).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_clip(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some arrays of a clip file.

    Raises:
        VultusError: the file is missing or damaged.
    """
    try:
        # opened here, for np.load leaves a damaged file open
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except FileNotFoundError:
        raise VultusError(
            f"clip {path.name} is missing; run `vultus data synthesize` again, it makes what is absent"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise VultusError(
            f"clip {path.name} is damaged ({type(error).__name__}); "
            "run `vultus data synthesize` again, it makes it anew"
        ) from None
