"""Writes docs/head_shapes.md and its pictures with our own renderer.

python tools/head_pages.py            # into this repository's docs/
python tools/head_pages.py FOLDER     # somewhere else
"""

from __future__ import annotations

import sys
from pathlib import Path

from vultus.render.figures import FACE_NAMES, MOUTH_NAMES, MOUTH_SHAPES, TONGUE_JAW, shape_figures
from vultus.render.png import write_png

MAX_BYTES = 400_000

TEXT = """# The shapes of the head

The pictures of this page are drawn by `vultus.render`, the renderer behind `.mp4` and `.png`;
`python tools/head_pages.py` makes page and pictures anew. How the head was made is told in [head.md](head.md).
Left and right are the subject's own, as in ARKit.

## ARKit shapes of the face, each at weight 1

![{num_face} shapes](img/head_shapes_face.png)

## ARKit shapes of mouth, jaw and tongue, each at weight 1

`mouthClose` is meant to go with `jawOpen`: it brings the lips together that the jaw has parted, and alone it pushes
them past each other.

![{num_mouth} shapes](img/head_shapes_mouth.png)

## Tongue shapes of our own

Three shapes beyond ARKit, here with `jawOpen` at {jaw}: the tip to the ridge behind the upper teeth (/t d n l/), tip
and blade down and forward (open vowels), body up and back (/k g/).

![tongue shapes](img/head_shapes_tongue.png)

## Mouth shapes of speech

Weights set by hand, to show what the rig can do; the models find their own.

![{num_speech} mouth shapes](img/head_mouth_shapes.png)

| sound | weights |
|---|---|
{table}

## People

`load_head(seed)`: the same shapes on eight random adults.

![eight people](img/head_people.png)
"""


def main() -> int:
    docs = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs"
    (docs / "img").mkdir(parents=True, exist_ok=True)
    for name, picture in shape_figures().items():
        path = docs / "img" / f"head_{name}.png"
        write_png(path, picture)
        size = path.stat().st_size
        print(f"{path.name:28} {picture.shape[1]:5} x {picture.shape[0]:5} {size / 1000:7.0f} kB")
        if size > MAX_BYTES:
            print(f"{path.name} is larger than {MAX_BYTES / 1000:.0f} kB", file=sys.stderr)
            return 1
    rows = [
        f"| {sound} | {', '.join(f'{name} {weight:g}' for name, weight in weights.items()) or 'none'} |"
        for sound, weights in MOUTH_SHAPES.items()
    ]
    text = TEXT.format(
        num_face=len(FACE_NAMES),
        num_mouth=len(MOUTH_NAMES),
        num_speech=len(MOUTH_SHAPES),
        jaw=TONGUE_JAW,
        table="\n".join(rows),
    )
    (docs / "head_shapes.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
