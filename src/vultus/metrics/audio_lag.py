"""Does the motion stand where its sound stands? The lag at which speech level and lip opening go together best.

Sign: above 0 the motion comes after the sound (late), below 0 before it. People are some tens of ms off 0, by speaker
and by how frames were stamped, so the gap to the reference is what a model is judged by.

Peaks of a few seconds are ragged: correlations are averaged over sequences before the highest is looked for.

Letters: T motion frames, K lags, n sequences, R draws, o opening of the mouth (vultus.metrics.mouth), L speech level.
"""

from __future__ import annotations

import numpy as np

from vultus.clock import motion_times
from vultus.metrics.base import Example, Info
from vultus.metrics.tracks import LEVEL_RATE, level_at, mouth_tracks, speech_level

REACH = 400.0  # ms to both sides: a lag of 300 ms still has a peak with two slopes
LAGS = np.arange(-REACH, REACH + 1, 1000 / LEVEL_RATE)
SHORTEST = 1.0  # seconds within reach of all lags that a sequence must have


def correlations(example: Example) -> tuple[np.ndarray, np.ndarray, float]:
    """Correlation of o(t) and L(t - lag) over the same frames for every lag: (prediction's (K,), reference's (K,),
    seconds they rest on); 0 s where the sequence is too short."""
    if "lags" not in example.cache:
        example.cache["lags"] = _correlations(example)
    found: tuple[np.ndarray, np.ndarray, float] = example.cache["lags"]
    return found


def _correlations(example: Example) -> tuple[np.ndarray, np.ndarray, float]:
    prediction, reference, width = mouth_tracks(example)
    level = speech_level(example)
    times = motion_times(len(example.reference), example.fps)
    end = min(times[-1], (len(level) - 1) / LEVEL_RATE)
    used = (times >= REACH / 1000) & (times <= end - REACH / 1000)
    seconds = used.sum() / example.fps
    if seconds < SHORTEST:
        return np.zeros(len(LAGS)), np.zeros(len(LAGS)), 0.0
    shifted = level_at(level, times[used][None] - LAGS[:, None] / 1000)
    first, second = (_pearson(shifted, track.opening[used], width) for track in (prediction, reference))
    return first, second, seconds


def _pearson(levels: np.ndarray, opening: np.ndarray, width: float) -> np.ndarray:
    """(K, t) and (t,) -> (K,); 0 for a mouth that moves by less than 0.05 mm or a level that does not."""
    opening = opening - opening.mean()
    levels = levels - levels.mean(1, keepdims=True)
    size = np.linalg.norm(levels, axis=1) * np.linalg.norm(opening)
    moves = opening.std() > 0.001 * width
    return np.where((size > 1e-9) & moves, levels @ opening / np.maximum(size, 1e-9), 0.0)


def best_lag(curves: np.ndarray) -> np.ndarray:
    """Lag of the highest value of each curve (R, K) -> (R,) ms, between lags by a parabola; NaN for a flat one.

    >>> best_lag(-np.square(LAGS - 41.0)[None]).round(3)
    array([41.])
    """
    top = curves.argmax(1)
    inner = np.clip(top, 1, curves.shape[1] - 2)
    a, b, c = (np.take_along_axis(curves, (inner + k)[:, None], 1)[:, 0] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.where((bend < 0) & (inner == top), 0.5 * (a - c) / np.where(bend < 0, bend, 1.0), 0.0)
    lag = LAGS[top] + shift * (1000 / LEVEL_RATE)
    return np.where(np.ptp(curves, axis=1) > 0, lag, np.nan)


class AudioLag:
    """Lag of the prediction behind the sound. Rows: (seconds x correlation at each lag, seconds)."""

    info = Info(
        name="audio_lag",
        version=1,
        title="lag of the motion behind the sound",
        formula="argmax over lag in [-400, 400] ms of the mean over sequences, weighted by duration, of the Pearson "
        "correlation of o_prediction(t) and L(t - lag); L: level of 100 to 4000 Hz in 50 ms about t, dB; above 0: late",
        source="ours",
        quantity="time",
        direction="none",
        pooling="correlations averaged over sequences, weighted by seconds, then the best lag",
        needs=("lips", "speech"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, _, seconds = correlations(example)
        return np.append(prediction, 1.0) * seconds

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`; NaN where no sequence is long enough or no mouth moves."""
        return best_lag(times @ rows[:, : len(LAGS)])


class AudioLagGap:
    """How much later than the reference's the best lag is. Rows: (seconds x correlations of both, seconds)."""

    info = Info(
        name="audio_lag_gap",
        version=1,
        title="lag behind the sound, against the reference's",
        formula="audio_lag of the prediction minus audio_lag of the reference; above 0: later than the speaker",
        source="ours",
        quantity="time",
        direction="zero",
        pooling="as audio_lag",
        needs=("lips", "speech"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, seconds = correlations(example)
        return np.concatenate([prediction, reference, [1.0]]) * seconds

    def combine(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """See `Metric.combine`."""
        count = len(LAGS)
        return best_lag(times @ rows[:, :count]) - best_lag(times @ rows[:, count : 2 * count])
