from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vultus.errors import VultusError
from vultus.features import Features, load_encoder, load_torch_encoder


def test_unknown_names_answer_with_near_misses() -> None:
    with pytest.raises(VultusError, match="did you mean 'moonshine'"):
        load_encoder("moonshin")
    with pytest.raises(VultusError, match="option of encoder 'mel' 'band'; did you mean 'bands'"):
        load_encoder("mel", band=40)
    with pytest.raises(VultusError, match="encoder with a torch form 'mel'"):
        load_torch_encoder("mel")


def test_features_refuse_other_shapes() -> None:
    with pytest.raises(VultusError, match="expected"):
        Features(np.zeros(3, np.float32), 50.0, 0.0)


def test_the_core_encoders_need_neither_torch_nor_transformers_nor_onnx() -> None:
    code = (
        "import sys, numpy as np\n"
        "from vultus.features import load_encoder\n"
        "for name in ('moonshine', 'mel'):\n"
        "    list(load_encoder(name).stream([np.zeros(2000, np.float32)]))\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("call", "missing"), [
    ("load_encoder('hubert')", "transformers"),
    ("load_encoder('ctc_logits')", "torch"),
    ("load_torch_encoder('moonshine')", "torch"),
    ("load_torch_encoder('moonshine')", "onnx"),
])  # fmt: skip
def test_a_missing_package_tells_how_to_get_it(call: str, missing: str) -> None:
    if missing == "onnx":
        pytest.importorskip("torch", reason="needs torch (pip install 'vultus[train]')")
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "from vultus.errors import VultusError\n"
        "from vultus.features import load_encoder, load_torch_encoder\n"
        f"try:\n    {call}\nexcept VultusError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert missing in done.stdout
    assert "pip install 'vultus[train]'" in done.stdout
