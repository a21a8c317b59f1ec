"""Mouth curves recorded with their speech: does a model move as the speaker did? (FACEGOOD, one woman, Mandarin.)

Letters: T motion frames.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus import statistics as stats
from vultus.benchmark.mouth_tests import FPS, PIECE, Clip, Face, Predict
from vultus.clock import SAMPLE_RATE
from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.statistics import Estimate


@dataclass(frozen=True, eq=False)
class MotionTake:
    """A recording with recorded mouth curves: (T,) each at `fps`, unitless."""

    clip: Clip
    fps: float
    jaw: np.ndarray
    rounding: np.ndarray
    closure: np.ndarray


def read_facegood(folder: str | Path) -> list[MotionTake]:
    """The FACEGOOD takes of the data folder: one woman, Mandarin, mouth curves at 30 fps.

    Raises:
        VultusError: files are missing or of another shape.
    """
    folder = Path(folder)
    takes = []
    try:
        with (folder / "arkit_mapping.csv").open(encoding="utf-8", newline="") as file:
            channel = {row["source_name"]: int(row["channel"]) for row in csv.DictReader(file)}

        def highest(curves: np.ndarray, *beginnings: str) -> np.ndarray:
            used = [i for name, i in channel.items() if name.startswith(beginnings)]
            top: np.ndarray = curves[:, used].max(axis=1)
            return top

        for path in sorted(folder.glob("*.npz")):
            with np.load(path, allow_pickle=False) as archive:
                curves, fps = archive["curves"].astype(np.float64), float(archive["fps"])
            clip = Clip(path.stem, Speech.load(path.with_suffix(".flac")))
            jaw = curves[:, channel["mouth_stretch_c"]]
            rounding = highest(curves, "mouth_pucker", "mouth_oo", "mouth_oh", "mouth_funnel")
            closure = highest(curves, "mouth_suck", "mouth_press_")
            takes.append(MotionTake(clip, fps, jaw, rounding, closure))
    except (OSError, KeyError, ValueError, IndexError) as error:
        if isinstance(error, VultusError):
            raise
        raise VultusError(f"'{folder}' holds no FACEGOOD takes ({type(error).__name__}: {error})") from None
    if not takes:
        raise VultusError(f"'{folder}' holds no FACEGOOD takes; expected *.npz with curves beside *.flac")
    return takes


def level_db(source: Speech, fps: float, count: int) -> np.ndarray:
    """Level of 33 ms windows centred on the frames, dB, (count,)."""
    power = np.concatenate([[0.0], np.cumsum(source.samples.astype(np.float64) ** 2)])
    centre = np.arange(count) / fps * SAMPLE_RATE
    low, high = (np.clip(centre + o, 0, len(power) - 1).astype(int) for o in (-267, 267))
    level: np.ndarray = 10 * np.log10((power[high] - power[low]) / np.maximum(high - low, 1) + 1e-9)
    return level


def motion_tests(face: Face, predict: Predict, takes: Sequence[MotionTake]) -> dict[str, Estimate]:
    """The tests on recorded motion, all inside speech (level within 25 dB of its 95th percentile, 100 ms around it).

    Returns:
        jaw_r: correlation of the jaws at lag 0, both standardised within each take.
        jaw_r_without_level: the same after removing what 21 log-energy regressors (3 smoothings x 7 lags) explain.
        jaw_lag_ms: lag with the largest correlation within +-333 ms; positive: the model comes late.
        closure_auc: frames where a suck or press channel passes 0.05, by the gap.
        rounding_auc: frames where a pucker, oo, oh or funnel channel passes 0.15, by the rounding.
        jaw_2_8_hz: share of the jaw's power at 2 to 8 Hz; reference_2_8_hz: that of the recorded jaw.
    """
    lags = np.arange(-20, 21) / 60.0
    parts: dict[str, list[np.ndarray]] = {
        k: [] for k in ("unit", "jaw", "lagged", "rest", "rest_jaw", "gap", "round", "is_closed", "is_round")
    }
    shares = []
    for number, take in enumerate(takes):
        track = face.track(take.clip, predict)
        count = len(take.jaw)
        at = np.arange(count) / take.fps
        source = take.clip.source
        assert isinstance(source, Speech)
        level = level_db(source, take.fps, count)
        loud = level > np.percentile(level, 95) - 25
        reach = round(0.1 * take.fps)
        talking = np.convolve(loud, np.ones(2 * reach + 1), "same") > 0.5
        lagged = np.stack([np.interp(at + lag, track.times, track.jaw) for lag in lags], 1)[talking]
        jaw = take.jaw[talking]
        regressors = _level_regressors(level)[talking]
        parts["unit"].append(number * 10_000 + (at[talking] // PIECE).astype(np.int64))
        parts["jaw"].append(_standard(jaw))
        parts["lagged"].append(_standard(lagged))
        parts["rest_jaw"].append(_standard(_residual(jaw, regressors)))
        parts["rest"].append(_standard(_residual(lagged[:, len(lags) // 2], regressors)))
        parts["gap"].append(np.interp(at[talking], track.times, track.gap))
        parts["round"].append(np.interp(at[talking], track.times, track.rounding))
        parts["is_closed"].append(take.closure[talking] > 0.05)
        parts["is_round"].append(take.rounding[talking] > 0.15)
        shares.append((_share_2_8_hz(track.jaw, FPS), _share_2_8_hz(take.jaw, take.fps)))
    p = {k: np.concatenate(v) for k, v in parts.items()}
    whole, resampled = zip(
        *(stats.correlations(p["lagged"][:, i], p["jaw"], p["unit"]) for i in range(len(lags))), strict=True
    )
    table = np.nan_to_num(np.stack(resampled), nan=-2.0)
    best = 1000 * lags[int(np.argmax(np.nan_to_num(whole, nan=-2.0)))]
    mine, theirs = np.mean(shares, axis=0)
    return {
        "jaw_r": stats.correlation(p["lagged"][:, len(lags) // 2], p["jaw"], p["unit"]),
        "jaw_r_without_level": stats.correlation(p["rest"], p["rest_jaw"], p["unit"]),
        "jaw_lag_ms": Estimate(float(best), *stats.interval(1000 * lags[table.argmax(0)]), len(p["jaw"])),
        "closure_auc": stats.auc(-p["gap"], p["is_closed"], p["unit"]),
        "rounding_auc": stats.auc(p["round"], p["is_round"], p["unit"]),
        "jaw_2_8_hz": Estimate(float(mine), np.nan, np.nan, len(takes)),
        "reference_2_8_hz": Estimate(float(theirs), np.nan, np.nan, len(takes)),
    }


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    scaled: np.ndarray = (values - values.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return scaled


def _level_regressors(level: np.ndarray) -> np.ndarray:
    """(T, 22): log energy at 3 smoothings and 7 lags of a frame each, and a constant."""
    level = np.maximum(level, np.percentile(level, 95) - 50)
    columns = [np.ones(len(level))]
    for width in (1, 3, 7):
        padded = np.pad(level, width // 2 + 3, mode="edge")
        smooth = np.convolve(padded, np.full(width, 1 / width), "valid")
        columns += [smooth[k : k + len(level)] for k in range(7)]
    return np.stack(columns, 1)


def _residual(values: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    left: np.ndarray = values - regressors @ np.linalg.lstsq(regressors, values, rcond=None)[0]
    return left


def _share_2_8_hz(curve: np.ndarray, fps: float) -> float:
    """Share of the power between 0.1 and 15 Hz that lies at 2 to 8 Hz; 0 for a curve that never moves."""
    power = np.abs(np.fft.rfft((curve - curve.mean()) * np.hanning(len(curve)))) ** 2
    hertz = np.fft.rfftfreq(len(curve), 1 / fps)
    total = power[(hertz >= 0.1) & (hertz <= 15)].sum()
    return float(power[(hertz >= 2) & (hertz <= 8)].sum() / total) if total > 1e-12 else 0.0
