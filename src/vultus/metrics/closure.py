"""Do the lips close where they must, and stay open where they must not?

Lips are closed where the opening o is under 15 % of the 95th percentile of the REFERENCE's opening over the sequence.
With a prediction's own percentile a mouth that hardly moves would close as often as one that moves well.
The reference decides which phones count, so that a label without its closure (a wrong alignment, a sound swallowed) is
nobody's fault, and a perfect prediction scores 1 and 0. A mouth always shut has recall 1: read the two together.

Letters: o opening of the mouth (vultus.metrics.mouth).
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import TOLERANCE, closed_below, frames_of, mouth_tracks, phones
from vultus.synthesis.inventory import BILABIALS, OPEN_VOWELS

LONG_ENOUGH = 0.07
"""Seconds an open vowel lasts that must be seen; a shorter one can lie between the frames of 25 fps film."""


class ClosureRecall(Mean):
    """Share of the closures of /p b m/ that the prediction makes, too. Rows: (hits, closures of the reference).

    >>> ClosureRecall().combine(np.array([[1.0, 2.0], [3.0, 3.0]]), np.ones((1, 2)))
    array([0.8])
    """

    info = Info(
        name="closure_recall",
        version=1,
        title="closures of /p b m/ that are kept",
        formula="hits / n; n: /p b m/ in which o_reference < 0.15 P95(o_reference) in some frame of [start - 40 ms, "
        "end + 40 ms); hits: those in which o_prediction is under the same limit in some frame, too",
        source="ours; cf. the bilabial accuracy of Electronic Arts' tiny-voice2face",
        quantity="ratio",
        direction="higher",
        pooling="all closures of all sequences together",
        needs=("lips", "phones"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, width = mouth_tracks(example)
        limit = closed_below(reference, width)
        hits = wanted = 0
        for phone in phones(example):
            near = frames_of(phone, example, TOLERANCE)
            if phone.symbol in BILABIALS and limit and (reference.opening[near] < limit).any():
                wanted += 1
                hits += bool((prediction.opening[near] < limit).any())
        return np.array([hits, wanted], np.float64)


class FalseClosure(Mean):
    """Share of open vowels through which the lips stay shut. Rows: (shut, open vowels of the reference)."""

    info = Info(
        name="false_closure",
        version=1,
        title="open vowels with closed lips",
        formula="shut / n; n: open vowels (AA AE AH AO EH AY AW and their neighbours) of 70 ms and more with "
        "o_reference >= 0.15 P95(o_reference) in some frame; shut: those with o_prediction under that limit in all",
        source="ours",
        quantity="ratio",
        direction="lower",
        pooling="all open vowels of all sequences together",
        needs=("lips", "phones"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, width = mouth_tracks(example)
        limit = closed_below(reference, width)
        shut = wanted = 0
        for phone in phones(example):
            inside = frames_of(phone, example)
            if phone.symbol not in OPEN_VOWELS or phone.duration < LONG_ENOUGH or limit == 0:
                continue
            if (reference.opening[inside] >= limit).any():
                wanted += 1
                shut += bool((prediction.opening[inside] < limit).all())
        return np.array([shut, wanted], np.float64)
