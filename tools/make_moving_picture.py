"""Makes the moving picture of the README: the shipped model speaking an example, drawn by our own renderer.

python tools/make_moving_picture.py                      # examples/hello.wav -> docs/img/talk.webp
python tools/make_moving_picture.py --recording talk.wav --out talk.webp
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import vultus
from vultus.render.scene import Scene

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, default=ROOT / "examples" / "hello.wav")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "talk.webp")
    parser.add_argument("--model", default="base")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    pictures = []
    for identity in (None, 11):  # the average face, and somebody else
        take = vultus.animate(options.recording, model=options.model, identity=identity, fps=20, seed=options.seed)
        scene = Scene(take.template, background="#3a3d42")
        pictures.append(
            [scene.render(take.vertices(i, i + 1)[0], take.head_rotation[i], options.size) for i in range(len(take))]
        )
    frames = [Image.fromarray(np.concatenate(pair, axis=1)) for pair in zip(*pictures, strict=True)]
    frames[0].save(
        options.out,
        save_all=True,
        append_images=frames[1:],
        duration=50,
        loop=0,
        quality=60,
        method=4,
        minimize_size=True,
    )
    print(f"{options.out}: {len(frames)} frames, {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
