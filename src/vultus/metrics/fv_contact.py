"""Does the lower lip come up and in to the teeth for /f v/?

Most meshes have no teeth, but teeth stand still in the skull: where the reference's lower lip is when it is highest in
an /f/ is where they are. The prediction makes the contact if its lower lip comes near that place, seen from the side.
Height alone would not do: lips that hang half open all the time have the height of the teeth, but are not drawn in.
Heads must not turn in the data: vertices are to be in the frame of the skull.

Letters: h height and depth of the lower lip's rim in the middle of the mouth, 0 at rest; o opening
(vultus.metrics.mouth).
"""

from __future__ import annotations

import numpy as np

from vultus.metrics.base import Example, Info, Mean
from vultus.metrics.tracks import TOLERANCE, closed_below, frames_of, mouth_tracks, phones
from vultus.synthesis.inventory import LABIODENTALS

LOWEST = 0.5
"""A reference whose lower lip stays further under its rest than this share of P95(o) makes no contact."""


class LabiodentalContact(Mean):
    """Share of the contacts of /f v/ that the prediction makes, too. Rows: (hits, contacts of the reference).

    >>> LabiodentalContact().combine(np.array([[0.0, 1.0], [3.0, 3.0]]), np.ones((1, 2)))
    array([0.75])
    """

    info = Info(
        name="fv_contact",
        version=1,
        title="lip-to-teeth contacts of /f v/ that are kept",
        formula="hits / n over /f v/; c: h_reference where its height is greatest in the phone; n: those with height "
        "of c > -0.5 P95(o_reference); hits: |h_prediction - c| < 0.15 P95(o_reference) in some frame of "
        "[start - 40 ms, end + 40 ms)",
        source="ours",
        quantity="ratio",
        direction="higher",
        pooling="all /f v/ of all sequences together",
        needs=("lips", "phones"),
    )

    def measure(self, example: Example) -> np.ndarray:
        prediction, reference, width = mouth_tracks(example)
        limit = closed_below(reference, width)
        top = np.percentile(reference.opening, 95)
        hits = wanted = 0
        for phone in phones(example):
            inside, near = frames_of(phone, example), frames_of(phone, example, TOLERANCE)
            if phone.symbol not in LABIODENTALS or not len(inside) or limit == 0:
                continue
            contact = max(reference.lower_lip[inside], key=lambda place: float(place[0]))
            if contact[0] > -LOWEST * top:
                wanted += 1
                hits += bool((np.linalg.norm(prediction.lower_lip[near] - contact, axis=1) < limit).any())
        return np.array([hits, wanted], np.float64)
