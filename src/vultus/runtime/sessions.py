"""Opening the ONNX graphs of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vultus.errors import VultusError


def open_session(folder: Path, name: str, threads: int = 1, *, keep_memory: bool = True) -> Any:
    """An onnxruntime session of a bundle's graph, on the CPU.

    Args:
        folder: the bundle.
        name: file of the graph.
        threads: of onnxruntime; one gives the same bytes everywhere on a machine.
        keep_memory: keep what a run needed for the next one: faster for small runs, more memory for large ones.

    Raises:
        VultusError: no such file, or no graph in it.
    """
    import onnxruntime

    path = folder / name
    if not path.is_file():
        raise VultusError(f"{folder}: no {name}; expected a whole bundle")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = keep_memory
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VultusError(f"{path}: onnxruntime cannot read it ({reason})") from None
