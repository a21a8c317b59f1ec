"""Two channels that an encoder blind to level lacks: loudness against a running reference, and its slope.

    level      10 log10 of the Hann-weighted mean square over 512 samples (32 ms) about the frame's centre, at least
               -90 dB (full scale)
    reference  a peak follower: the mean power of this frame and the next 7 (a syllable, 0.19 s of lookahead), in dB; it
               rises at once, falls by 2 dB a second and never goes under -50 dB
    channel 0  (level - reference) / 20, at least -3
    channel 1  half the change of the level from the frame before to the frame after, in units of 5 dB, each level
               being at least reference - 60 dB; within -3 and 3

So a recording played softer gives the same values as long as it stays above the floor, speech after a silence is judged
by itself from its first syllable on, and digital silence gives -2 (its level is -90, the reference rests at -50) and 0.
The falling reference is a running maximum of (power in dB + fall * frame number), which is exact in blocks of any size.

Letters: S samples, F feature frames.
"""

from __future__ import annotations

import numpy as np

WIDTH, AHEAD = 512, 7
FALL, FLOOR, SILENCE = 2.0, -50.0, 1e-9
"""dB per second; dB; mean square that stands for -90 dB."""


class Loudness:
    """One sound on its way: `feed` samples, take frames, `finish`.

    Args:
        stride: samples between frames.
        centre: sample about which frame 0 stands.
        receptive: samples that the encoder's frame needs: a frame exists here exactly where it exists there.
    """

    dimension = 2

    def __init__(self, stride: int, centre: int, receptive: int) -> None:
        self._stride, self._skip, self._receptive = stride, centre - WIDTH // 2, receptive
        self._fall = FALL * stride / 16_000
        window = np.hanning(WIDTH + 1)[:-1]
        self._window = window / window.sum()
        self._sound = np.zeros(0, np.float32)  # from the first sample of frame `_measured`
        self._position = 0  # samples seen
        self._measured = 0
        self._power = np.zeros(0)  # of frames `_done` - 1 (from the second frame on) to `_measured` - 1
        self._done = 0
        self._peak = -np.inf  # running maximum of dB + fall * frame number

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Samples (S,) -> frames (f, 2) float32 whose lookahead is complete."""
        self._take(np.asarray(block, np.float32))
        return self._emit(self._measured - AHEAD)

    def finish(self) -> np.ndarray:
        """The rest (f, 2); the lookahead ends with the sound."""
        missing = self._receptive - self._position
        if missing > 0:
            self._take(np.zeros(missing, np.float32))
        return self._emit(self._measured)

    def _take(self, block: np.ndarray) -> None:
        skip = min(self._skip, self._position + len(block)) - min(self._skip, self._position)
        self._position += len(block)
        self._sound = np.concatenate([self._sound, block[skip:]])
        # A frame counts once the encoder could see it whole.
        count = max(0, (self._position - self._receptive) // self._stride + 1) - self._measured
        if count <= 0:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._sound, WIDTH)[:: self._stride][:count]
        power = (np.square(frames, dtype=np.float64) * self._window).sum(axis=1)
        self._power = np.concatenate([self._power, power])
        self._sound = self._sound[count * self._stride :].copy()
        self._measured += count

    def _emit(self, end: int) -> np.ndarray:
        """Frames `_done` to `end` - 1."""
        start, count = self._done, end - self._done
        if count <= 0:
            return np.zeros((0, 2), np.float32)
        past = min(start, 1)  # whether `_power` begins with the frame before
        power = self._power + SILENCE
        total, number = np.zeros(count), np.zeros(count)
        for ahead in range(AHEAD + 1):
            part = power[past + ahead : past + ahead + count]
            total[: len(part)] += part
            number[: len(part)] += 1
        fallen = self._fall * np.arange(start, end)
        peak = np.maximum.accumulate(np.append(self._peak, 10 * np.log10(total / number) + fallen))
        self._peak = float(peak[-1])
        reference = np.maximum(peak[1:] - fallen, FLOOR)
        level = 10 * np.log10(power)
        # The first and the last frame have themselves for their missing neighbour.
        padded = np.concatenate([level[: 1 - past], level, level[-1:]])
        here, before, after = padded[1 : count + 1], padded[:count], padded[2 : count + 2]
        low = reference - 60.0
        slope = (np.maximum(after, low) - np.maximum(before, low)) / 10.0
        values = np.stack([np.maximum(here - reference, -60.0) / 20.0, np.clip(slope, -3.0, 3.0)], axis=1)
        self._done = end
        self._power = self._power[end - 1 - (start - past) :]
        return values.astype(np.float32)
