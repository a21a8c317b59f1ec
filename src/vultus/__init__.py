"""vultus: speech to 3D facial motion.

    import vultus
    take = vultus.animate("talk.wav")
    take.save("talk.glb")

Importing the package imports nothing heavy; the calls below load what they need when they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vultus.errors import VultusError
from vultus.version import __version__

if TYPE_CHECKING:
    from vultus.motion import Take
    from vultus.runtime.animate import animate, animate_takes
    from vultus.runtime.bundle import load

__all__ = ["Take", "VultusError", "__version__", "animate", "animate_takes", "load"]

_LAZY = {
    "animate": "vultus.runtime.animate",
    "animate_takes": "vultus.runtime.animate",
    "load": "vultus.runtime.bundle",
    "Take": "vultus.motion",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vultus' has no attribute '{name}'")
