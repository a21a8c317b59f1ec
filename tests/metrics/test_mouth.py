"""The opening of the mouth on any mesh: the shipped head, a made-up one, turned and scaled ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mouths import (
    COUNT,
    FOREHEAD,
    LIPS,
    LOWER,
    LOWER_EDGE,
    NUM,
    UPPER,
    UPPER_EDGE,
    faces,
    frames,
    mouth,
    opened,
    talk,
    template,
)

from examples import make_example, region_of
from vultus.errors import VultusError
from vultus.metrics import Unavailable
from vultus.metrics.mouth import find_mouth, mouth_opening_curve
from vultus.metrics.tracks import closed_below, mouth_tracks, speech_level, tracks
from vultus.speech import Speech
from vultus.topology import Topology

BARE = Topology(faces(), NUM)
ONE = {"lips": region_of("lips", LIPS)}
BOTH = {
    "upper_lip": region_of("upper_lip", UPPER + UPPER_EDGE),
    "lower_lip": region_of("lower_lip", sorted(LOWER + LOWER_EDGE)),
}
RIMS = {"upper_lip": region_of("upper_lip", UPPER), "lower_lip": region_of("lower_lip", sorted(LOWER))}
CURVE = np.array([0.0, 3.0, 8.0, -0.5])


@pytest.mark.parametrize("regions", [BOTH, ONE, {**BOTH, **ONE}, RIMS], ids=["both lips", "lips only", "all", "rims"])
def test_the_curve_that_was_put_in_comes_out(regions: dict) -> None:
    found = mouth_opening_curve(opened(CURVE), template(), BARE, regions)
    np.testing.assert_allclose(1000 * found, CURVE, atol=1e-4)


def test_regions_of_the_topology_are_used_where_the_protocol_has_none() -> None:
    own = Topology(faces(), len(template()), {k: v.vertices.astype(np.int32) for k, v in BOTH.items()})
    np.testing.assert_allclose(1000 * mouth_opening_curve(opened(CURVE), template(), own, {}), CURVE, atol=1e-4)


def test_up_may_be_any_axis() -> None:
    turned = opened(CURVE)[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32)  # the face looks along y, z is down
    still = template()[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32)
    # Rims lie on one line, which does not tell what is up, and one region of lips does not either; the forehead does.
    forehead = {"upper_face": region_of("upper_face", FOREHEAD)}
    for regions in (BOTH, {**RIMS, **forehead}, {**ONE, **forehead}):
        assert find_mouth(still, BARE, regions).up == (2, -1.0)
        np.testing.assert_allclose(1000 * mouth_opening_curve(turned, still, BARE, regions), CURVE, atol=1e-4)


def test_opening_is_linear_and_moves_with_the_head() -> None:
    motion = opened(CURVE)
    moved = mouth_opening_curve(motion + np.float32(0.3), template(), BARE, BOTH)
    np.testing.assert_allclose(1000 * moved, CURVE, atol=1e-3)
    scaled = mouth_opening_curve(1000 * motion, 1000 * template(), BARE, BOTH)
    np.testing.assert_allclose(scaled, CURVE, atol=1e-3)


def test_lips_of_one_piece_have_no_opening() -> None:
    for topology in (Topology(np.zeros((0, 3), np.int32), NUM), Topology(np.array([[3, 4, 14]]), NUM)):
        with pytest.raises(Unavailable, match="upper_lip"):
            mouth_opening_curve(opened(CURVE), template(), topology, ONE)
    sewn = np.concatenate([faces(), [[UPPER[k], LOWER[k], LOWER[k + 1]] for k in range(1, COUNT - 2)]])
    with pytest.raises(Unavailable, match="does not fall into two lips"):
        mouth_opening_curve(opened(CURVE), template(), Topology(sewn, NUM), ONE)


def test_other_meshes_without_a_mouth() -> None:
    with pytest.raises(Unavailable, match="no regions"):
        find_mouth(template(), BARE, {})
    with pytest.raises(Unavailable, match="same vertices"):
        find_mouth(template(), BARE, {"upper_lip": BOTH["upper_lip"], "lower_lip": BOTH["upper_lip"]})
    with pytest.raises(Unavailable, match="middle"):
        ends = {
            "upper_lip": region_of("upper_lip", [0, 1, 9, 10]),
            "lower_lip": region_of("lower_lip", [0, 10, 11, 19]),
        }
        find_mouth(template(), BARE, ends)
    with pytest.raises(Unavailable, match="width"):
        find_mouth(0 * template(), BARE, BOTH)


def test_the_general_way_agrees_with_the_measures_of_the_shipped_head() -> None:
    from vultus.measures import measure_vertices

    example = make_example(num_samples=1)
    names, values = measure_vertices(example.reference)
    aperture = values[:, names.index("aperture")]
    bare = Topology(example.topology.faces, example.topology.num_vertices)
    for topology, regions in ((example.topology, {}), (bare, {"lips": example.regions["lips"]})):
        found = 1000 * mouth_opening_curve(example.reference, example.template, topology, regions)
        assert np.abs(found - aperture).max() < 0.35 and np.corrcoef(found, aperture)[0, 1] > 0.9995
    used, _, width = mouth_tracks(replace(example, samples=[example.reference]))
    rest = measure_vertices(example.template[None])[1][0, names.index("aperture")]
    np.testing.assert_allclose(used.opening, aperture - rest, atol=1e-3)
    assert used.gaps.shape[1] == 9 and 35 < width < 60


def test_tracks_read_each_motion_once_and_check_it() -> None:
    class Counting(list):
        taken = 0

        def __getitem__(self, which):
            Counting.taken += 1
            return super().__getitem__(which)

    example = mouth(CURVE, CURVE + 1)
    counted = replace(example, samples=Counting(example.samples))
    for _ in range(3):
        prediction, reference, width = mouth_tracks(counted)
    assert Counting.taken == 1 and width == pytest.approx(50)
    np.testing.assert_allclose(prediction.opening - reference.opening, 1, atol=1e-4)
    np.testing.assert_allclose(prediction.lower_lip[:, 0], -CURVE - 1, atol=1e-4)
    bad = opened(CURVE)
    bad[2, 5, 1] = np.nan
    for broken in (mouth(CURVE, bad), mouth(bad, CURVE), mouth(CURVE, CURVE[:-1])):
        with pytest.raises(VultusError):
            tracks(broken)


def test_a_large_region_is_sampled_evenly() -> None:
    count = 2500
    rng = np.random.default_rng(0)
    motion = rng.normal(0, 0.01, (4, count, 3)).astype(np.float32)
    weights = rng.uniform(0.5, 1, count).astype(np.float32)
    example = mouth(CURVE, CURVE)
    example = replace(
        example,
        reference=motion,
        samples=[motion],
        template=motion[0],
        topology=Topology(np.zeros((0, 3), np.int32), count),
        regions={"face": region_of("face", np.arange(count), weights.tolist())},
    )
    both = tracks(example)
    assert both.missing and both.reference.offsets["face"].shape == (4, 834, 3)
    np.testing.assert_allclose(both.weights["face"], weights[::3] / weights[::3].sum(), rtol=1e-5)
    np.testing.assert_allclose(both.reference.offsets["face"], 1000 * (motion - motion[0])[:, ::3], atol=1e-4)


def test_closed_is_a_share_of_the_reference() -> None:
    curve = talk(frames(10))
    _, reference, width = mouth_tracks(mouth(curve, curve))
    assert closed_below(reference, width) == pytest.approx(0.15 * np.percentile(curve, 95), rel=1e-4)
    _, still, width = mouth_tracks(mouth(0.01 * curve, curve))
    assert closed_below(still, width) == 0


def test_speech_level_hears_the_speech_band_alone() -> None:
    curve = talk(frames(4))
    times = np.arange(4 * 16000) / 16000
    voice, hum = np.sin(2 * np.pi * 440 * times), np.sin(2 * np.pi * 50 * times)
    for sound, expected in ((0.1 * voice, -23.01), (0.1 * voice + 0.5 * hum, -23.01)):
        level = speech_level(mouth(curve, curve, speech=Speech(sound.astype(np.float32))))
        assert level[100:-100] == pytest.approx(expected, abs=0.3)
    with pytest.raises(Unavailable, match="silent"):
        speech_level(mouth(curve, curve, speech=Speech(np.zeros(16000, np.float32))))
    with pytest.raises(Unavailable, match="no speech"):
        speech_level(mouth(curve, curve))


@pytest.mark.needs_data
def test_a_head_that_nothing_was_made_for(real_data: Path) -> None:
    """ICT's face: lips as everything near the mouth's landmarks, skin too, told apart by the mesh alone."""
    with np.load(real_data / "ict_facekit" / "ict_facekit_light.npz", allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    quads, still = data["faces"], data["neutral"]
    triangles = np.concatenate([quads[:, :3], quads[quads[:, 3] >= 0][:, [0, 2, 3]]])
    marks = data["landmarks_multipie68"]
    first, last = data["region_vertex_ranges"][list(data["region_names"]).index("face")]
    about = still[marks[48:68]]
    away = (still[first:last] - about.mean(0)) / np.ptp(about[:, 0]) / [0.55, 0.4, 1.0]
    lips = {"lips": region_of("lips", first + np.flatnonzero(np.linalg.norm(away, axis=1) < 1))}
    names = list(data["expression_names"])
    jaw, smile = (data["expression_deltas"][names.index(n)].astype(np.float32) for n in ("jawOpen", "mouthSmile_L"))
    share = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None]
    found = mouth_opening_curve(still + share * jaw, still, Topology(triangles, len(still)), lips)
    apart = [(still + w * jaw)[marks[62], 1] - (still + w * jaw)[marks[66], 1] for w in share[:, 0, 0]]
    np.testing.assert_allclose(found, np.array(apart) - apart[0], rtol=0.1, atol=1e-4)  # inner lips, upper and lower
    smiling = mouth_opening_curve(still + share * smile, still, Topology(triangles, len(still)), lips)
    assert np.abs(smiling).max() < 0.01 * found.max()
