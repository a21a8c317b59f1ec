"""vultus: speech to 3D facial motion."""

from vultus.version import __version__

__all__ = ["__version__"]
