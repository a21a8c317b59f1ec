"""PNG bytes and the built-in font."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vultus.errors import VultusError
from vultus.render.png import png_bytes
from vultus.render.text import draw_text, text_mask


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5), (33, 20, 3), (64, 64)])
def test_pillow_reads_the_same_pixels(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, shape).astype(np.uint8)
    slope = np.broadcast_to(np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2)) * 3 % 256, shape).astype(np.uint8)
    for pixels in (noise, slope, np.full(shape, 200, np.uint8)):
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png_bytes(pixels)))), pixels)
        assert png_bytes(pixels) == png_bytes(pixels.copy())


def test_filters_make_smooth_pictures_small() -> None:
    y, x = np.mgrid[:128, :128]
    smooth = np.stack([x, y, (x + y) // 2], 2).astype(np.uint8)
    assert len(png_bytes(smooth)) < 2500 < smooth.size


def test_other_arrays_are_refused() -> None:
    for wrong in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros(4, np.uint8)):
        with pytest.raises(VultusError, match="picture is"):
            png_bytes(wrong)


def test_letters_are_distinct_and_an_unknown_one_is_a_question_mark() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/-+,()%'_ʃθ"
    looks = {letter: text_mask(letter).tobytes() for letter in letters}
    same = {letter for letter in letters if list(looks.values()).count(looks[letter]) > 1}
    assert not same
    np.testing.assert_array_equal(text_mask("\N{SNOWMAN}"), text_mask("?"))
    assert not text_mask(" ").any()
    rows = ["".join("#" if bit else " " for bit in row) for row in text_mask("L")]
    assert rows == ["#     "] * 6 + ["##### "] + ["      "] * 2


def test_text_is_cut_at_the_edges() -> None:
    whole = np.zeros((30, 40, 3), np.uint8)
    draw_text(whole, "Hm", 5, 4, (255, 0, 0), 2)
    assert (whole[..., 0] > 0).sum() == 4 * text_mask("Hm").sum()
    part = np.zeros((10, 12, 3), np.uint8)
    draw_text(part, "Hm", -4, -3, (255, 0, 0), 2)
    np.testing.assert_array_equal(part, whole[7:17, 9:21])
    draw_text(part, "Hm", 100, 100)
