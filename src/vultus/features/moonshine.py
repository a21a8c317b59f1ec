from pathlib import Path
ASSET = Path(__file__).parent.parent / "assets" / "moonshine_tiny_block5.onnx"
FRAME_STRIDE, MIN_SAMPLES = 384, 895
RATE = 16000 / FRAME_STRIDE
OFFSET = 447 / 16000
def num_frames(num_samples: int) -> int:
    return 1 + max(0, num_samples - MIN_SAMPLES) // FRAME_STRIDE
