from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from toy import RIG, ToyClip, ToyEncoder, V, toy_clips, toy_set

from vultus import clock
from vultus.errors import VultusError
from vultus.speech import Speech
from vultus.train.augment import Plan, apply_plan
from vultus.train.cache import FeatureCache, Job
from vultus.train.data import TrainingSet, grid_matrix
from vultus.train.recipe import DataConfig
from vultus.train.sources import measure_functionals


def test_cut_is_the_clip_at_its_time(tmp_path: Path) -> None:
    data = toy_set(tmp_path, copies=2)
    seen = 0
    for epoch in range(3):
        for place, number in enumerate(data.epoch_order(epoch)):
            cut = data._cut(data.entries[number], epoch, place)
            entry, times = cut.entry, clock.motion_times(cut.frames, 30.0, cut.start)
            sound = Speech(apply_plan(entry.clip.speech().samples, entry.plan), "copy")
            features = ToyEncoder()(sound)
            wanted = clock.resample_at(features.values, features.rate, features.offset, times)
            assert cut.features is not None
            np.testing.assert_allclose(cut.features, wanted, atol=2e-3)  # kept as float16
            source = np.clip(entry.plan.source_times(times), 0.0, (len(entry.motion) - 1) / 60.0)
            truth = entry.clip._envelope(source)[:, None] * (1 + entry.clip.number % 2) * np.linspace(0.1, 0.4, 6)
            np.testing.assert_allclose(cut.motion, truth, atol=0.02)
            seen += entry.plan != Plan()
    assert seen > 20


def test_batches_depend_on_seed_epoch_and_step_alone(tmp_path: Path) -> None:
    first, second = toy_set(tmp_path), toy_set(tmp_path)
    second.batch(0, 0, 4)  # what was asked before does not matter
    one, other = first.batch(3, 1, 4)[0], second.batch(3, 1, 4)[0]
    assert bool((one.features == other.features).all()) and bool((one.reference == other.reference).all())
    halves = [first.batch(3, 1, 4, share)[0] for share in (slice(0, 2), slice(2, 4))]
    length = min(halves[0].motion.shape[1], one.motion.shape[1])
    assert bool((halves[0].motion[:, :length] == one.motion[:2, :length]).all())
    assert not bool((first.batch(4, 1, 4)[0].template == one.template).all())
    assert sorted(first.epoch_order(0)) == sorted(first.order)


def test_reference_is_another_clip_of_the_subject_or_the_cut_itself(tmp_path: Path) -> None:
    data = toy_set(tmp_path)
    for number, entry in enumerate(data.entries):
        cut = data._cut(entry, 0, number)
        gain = cut.reference.max(0)[-1]  # subjects differ in amplitude: 0.4 and 0.8
        assert gain == pytest.approx(0.4 * (1 + entry.clip.number % 2), abs=0.02)
        shorter = min(len(cut.reference), len(cut.motion))
        assert not np.allclose(cut.reference[:shorter], cut.motion[:shorter], atol=1e-3)
    same = toy_set(tmp_path, reference="same")
    cut = same._cut(same.entries[0], 0, 0)
    np.testing.assert_array_equal(cut.reference, cut.motion)


def test_vertices_and_weights_tell_the_same(tmp_path: Path) -> None:
    weights, vertices = toy_set(tmp_path), toy_set(tmp_path, space="vertices")
    one, other = weights.batch(0, 0, 3)[0], vertices.batch(0, 0, 3)[0]
    np.testing.assert_allclose(one.motion.numpy() @ RIG, other.motion.numpy(), atol=1e-5)
    dims = weights.dimensions(5)
    faces = np.stack([clip.template.vertices for clip in toy_clips(2)]).reshape(-1, 3)
    assert (dims.num_vertices, dims.feature_dimension) == (V, 5)
    assert dims.unit == pytest.approx(float((faces - faces.mean(0)).std()), rel=1e-5)


def test_hours_and_long_clips(tmp_path: Path) -> None:
    clips = [ToyClip(0, 6.0), ToyClip(1, 1.5)]
    config = DataConfig(crop=1.5, reference="subject")
    data = TrainingSet(clips, config, ToyEncoder, tmp_path, RIG)
    assert len(data) == 5  # the long clip four times, the short one once
    less = TrainingSet(clips, dataclasses.replace(config, hours=6.0 / 3600.0), ToyEncoder, tmp_path, RIG)
    assert len(less.entries) == 1
    with pytest.raises(VultusError, match="no clips"):
        TrainingSet([], config, ToyEncoder, tmp_path, RIG)


def test_cache_computes_only_what_is_missing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ToyEncoder)
    jobs = [Job(clip.name, Plan(), clip.speech) for clip in toy_clips(4)]
    assert cache.build(jobs[:2]) == 2
    assert cache.build(jobs, workers=2) == 2  # goes on where a killed run stopped
    assert cache.build(jobs) == 0
    for job in jobs:
        np.testing.assert_allclose(cache.read(job.key, job.plan), ToyEncoder()(job.load()).values, atol=4e-3)
    assert cache.path("a", Plan()) != cache.path("a", Plan(speed=1.1))
    cache.path("toy0", Plan()).write_bytes(b"half a file")
    with pytest.raises(VultusError, match="not readable features"):
        cache.read("toy0", Plan())


def test_grid_matrix_is_the_clock() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    wanted = clock.resample_at(values, 50.0, 0.0125, clock.motion_times(31, 30.0))
    np.testing.assert_allclose(grid_matrix(50, 50.0, 0.0125, 31, 30.0) @ values, wanted, atol=1e-5)


def test_measures_as_functionals_of_the_vertices() -> None:
    from vultus.head import load_head
    from vultus.measures import FaceMeasures

    head = load_head()
    measures = FaceMeasures(head.rig, head.template)
    rows = measure_functionals("aperture_4, lip_width")
    wanted = measures.matrix[[measures.index("aperture_4"), measures.index("lip_width")]]
    np.testing.assert_allclose(rows @ head.rig.matrix.T, wanted, atol=1e-4)
    with pytest.raises(VultusError, match="did you mean 'lip_width'"):
        measure_functionals("lip_widht")
