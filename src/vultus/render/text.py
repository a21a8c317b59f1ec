"""A tiny bitmap font of our own, for labels in pictures: 5 x 7 pixels, two rows more for tails."""

from __future__ import annotations

import numpy as np

ADVANCE, HEIGHT = 6, 9
"""Pixels from one letter to the next, and from the top of a capital to the end of a tail."""

_DIGITS = "0123456789abcdefghijklmnopqrstuv"

#: One letter = rows from the top, each a digit of base 32 whose five bits are the pixels from left to right.
_FONT = """
A ehhvhhh  B uhhuhhu  C ehggghe  D uhhhhhu  E vgguggv  F vgguggg  G ehgnhhf  H hhhvhhh  I e44444e  J 72222ic  K hikokih
L ggggggv  M hrllhhh  N hhpljhh  O ehhhhhe  P uhhuggg  Q ehhhlid  R uhhukih  S fgge11u  T v444444  U hhhhhhe  V hhhhha4
W hhhllla  X hha4ahh  Y hha4444  Z v1248gv  a 00e1fhf  b gguhhhu  c 00ehghe  d 11fhhhf  e 00ehvge  f 698s888
g 00fhhhf1e  h gguhhhh  i 40c444e  j 2062222ic  k ggikoki  l c44444e  m 00qllll  n 00uhhhh  o 00ehhhe  p 00uhhhugg
q 00fhhhf11  r 00mpggg  s 00fge1u  t 88s8896  u 00hhhjd  v 00hhha4  w 00hhlla  x 00ha4ah  y 00hhhhf1e  z 00v248v
0 ehjlphe  1 4c4444e  2 eh1248v  3 v2421he  4 26aiv22  5 vgu11he  6 68guhhe  7 v124888  8 ehhehhe  9 ehhf12c
. 00000cc  : 0cc0cc0  / 01248g0  - 000v000  + 044v440  , 00000c48  ( 2488842  ) 8422248  % op248j3  ' c480000
_ 0000000v  ʃ 34444444o  θ ehhvhhe  ? eh12404
"""
_GLYPHS: dict[str, str] = {glyph[0]: glyph[2:] for line in _FONT.split("\n") for glyph in line.split("  ") if glyph}
_GLYPHS[" "] = "0"


def text_mask(text: str) -> np.ndarray:
    """(9, 6 n) bool pixels of one line; letters that the font lacks appear as a question mark."""
    mask = np.zeros((HEIGHT, ADVANCE * len(text)), bool)
    for place, letter in enumerate(text):
        for row, digit in enumerate(_GLYPHS.get(letter, _GLYPHS["?"])):
            bits = _DIGITS.index(digit)
            for column in range(5):
                mask[row, place * ADVANCE + column] = bool(bits >> (4 - column) & 1)
    return mask


def draw_text(
    pixels: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int] = (235, 235, 235), scale: int = 1
) -> None:
    """Writes one line into (H, W, 3) uint8 with its top left at (x, y); what lies outside is cut off."""
    mask = text_mask(text).repeat(scale, 0).repeat(scale, 1)
    mask = mask[max(0, -y) : max(0, pixels.shape[0] - y), max(0, -x) : max(0, pixels.shape[1] - x)]
    x, y = max(0, x), max(0, y)
    pixels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = colour
