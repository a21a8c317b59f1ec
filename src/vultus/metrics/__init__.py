"""Metrics: one file each. Table: name -> where its class is."""

from __future__ import annotations

import importlib

import numpy as np

from vultus.errors import unknown_name
from vultus.metrics.accumulate import Accumulator
from vultus.metrics.base import Example, Info, Metric, Region, Unavailable

__all__ = ["METRICS", "Accumulator", "Example", "Info", "Metric", "Region", "Unavailable", "load_metric", "score"]

METRICS: dict[str, str] = {
    "lip_mean": "vultus.metrics.lip_mean:LipMean",
    "lip_max": "vultus.metrics.lip_max:LipMax",
    "upper_mean": "vultus.metrics.upper_mean:UpperMean",
    "face_mean": "vultus.metrics.face_mean:FaceMean",
    "f_dtw": "vultus.metrics.f_dtw:FaceWarping",
    "f_dtw_mm23": "vultus.metrics.f_dtw:PublishedFaceWarping",
    "lve": "vultus.metrics.lve:LipVertexError",
    "lve_sq": "vultus.metrics.lve:SquaredLipVertexError",
    "mve": "vultus.metrics.mve:MeanVertexError",
    "fdd": "vultus.metrics.fdd:DynamicsDeviation",
    "fdd_abs": "vultus.metrics.fdd:AbsoluteDynamicsDeviation",
    "l_vertex": "vultus.metrics.l_vertex:VertexError",
    "l_cover": "vultus.metrics.l_cover:CoverageError",
    "l_cover_frame": "vultus.metrics.l_cover:FrameCoverageError",
    "l_mean": "vultus.metrics.l_mean:MeanEstimateError",
    "rho": "vultus.metrics.rho:Calibration",
    "coverage_curve": "vultus.metrics.coverage_curve:CoverageCurve",
    "div_lips": "vultus.metrics.diversity:LipDiversity",
    "div_upper": "vultus.metrics.diversity:UpperDiversity",
    "div_face": "vultus.metrics.diversity:FaceDiversity",
    "mod": "vultus.metrics.mouth_opening:MouthOpeningDifference",
    "closure_recall": "vultus.metrics.closure:ClosureRecall",
    "false_closure": "vultus.metrics.closure:FalseClosure",
    "fv_contact": "vultus.metrics.fv_contact:LabiodentalContact",
    "onset_error": "vultus.metrics.onset_error:OnsetError",
    "onset_offset": "vultus.metrics.onset_error:OnsetOffset",
    "lip_timing": "vultus.metrics.lip_timing:LipTiming",
    "lip_offset": "vultus.metrics.lip_timing:LipOffset",
    "audio_lag": "vultus.metrics.audio_lag:AudioLag",
    "audio_lag_gap": "vultus.metrics.audio_lag:AudioLagGap",
    "loudness_response": "vultus.metrics.loudness_response:LoudnessResponse",
    "loudness_gap": "vultus.metrics.loudness_response:LoudnessGap",
    "stillness": "vultus.metrics.stillness:Stillness",
    "jerk_ratio_lips": "vultus.metrics.jerk_ratio:LIPS",
    "jerk_ratio_upper_face": "vultus.metrics.jerk_ratio:UPPER_FACE",
    "jerk_ratio_face": "vultus.metrics.jerk_ratio:FACE",
    "high_frequency_lips": "vultus.metrics.high_frequency:LIPS",
    "high_frequency_upper_face": "vultus.metrics.high_frequency:UPPER_FACE",
    "high_frequency_face": "vultus.metrics.high_frequency:FACE",
    "interpenetration": "vultus.metrics.interpenetration:Interpenetration",
    "interpenetration_depth": "vultus.metrics.interpenetration:InterpenetrationDepth",
    "sync_cos": "vultus.metrics.sync:SyncCos",
    "lse_d": "vultus.metrics.sync:LseD",
    "lse_c": "vultus.metrics.sync:LseC",
    "offset_accuracy": "vultus.metrics.sync:OffsetAccuracy",
    "fd_sync": "vultus.metrics.fd:FdSync",
    "fd_style": "vultus.metrics.fd:FdStyle",
    "style_cos": "vultus.metrics.style:StyleCos",
    "style_top1": "vultus.metrics.style:StyleTop1",
}


def load_metric(name: str) -> Metric:
    """A metric of the table, made with its defaults.

    Raises:
        VultusError: unknown name.
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    module, _, attribute = METRICS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)()


def score(name: str, example: Example) -> float:
    """The value of a metric for one sequence; Unavailable where it cannot be had, VultusError for an unknown name.

    Values over many sequences, with intervals, come from `Accumulator`.
    """
    metric = load_metric(name)
    return float(metric.combine(metric.measure(example)[None], np.ones((1, 1)))[0])
