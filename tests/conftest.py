"""Where tests find the real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, laid out as docs/real_data.md tells; mark tests that ask for it `needs_data`."""
    folder = os.environ.get("VULTUS_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the recordings of docs/real_data.md in the folder that VULTUS_REAL_DATA names")
    return Path(folder)
