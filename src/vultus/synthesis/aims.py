"""What each phone asks of the mouth: the table behind `gestures`.

Lengths in mm: jaw opening at the incisors; distance of the lips; change of the mouth's width; protrusion of the lips;
rise of the upper lip. Tongue quantities from 0 to 1. The numbers are for a stressed vowel of 100 ms at a normal
loudness; they were set by hand against what is commonly measured (jaw 5 to 15 mm in open vowels, lips 2 to 4 mm apart
in /u w/) and by looking at rendered sentences.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Aim:
    """What one phone asks of the mouth; strengths 0 (indifferent) to about 2 (insists)."""

    jaw: float = 3.0
    jaw_strength: float = 0.3
    aperture: float = 5.5
    lip_strength: float = 0.15
    width: float = 0.0
    protrusion: float = 0.0
    shape_strength: float = 0.1
    upper: float = 0.0
    tip: float = 0.0
    tip_out: float = 0.0
    dorsum: float = 0.0
    low: float = 0.0
    tongue_strength: float = 0.5
    lead: float = 0.09
    """Reach of the lip gesture before the sound, seconds (rounding starts early)."""


def _vowel(jaw: float, aperture: float, width: float = 0.0, protrusion: float = 0.0, *, upper: float = 0.0,
           low: float = 0.0, dorsum: float = 0.0, strength: float = 1.0, lead: float = 0.065) -> Aim:  # fmt: skip
    rounded = 2.0 if protrusion > 6 else 1.6 if protrusion > 4 else 1.2 if protrusion > 2.5 else 0.9
    return Aim(jaw, strength, aperture, strength, width, protrusion, rounded * strength, upper, 0.0, 0.0, dorsum, low,
               0.8, 0.16 if protrusion > 6 else lead)  # fmt: skip


AIMS: dict[str, tuple[Aim, ...]] = {
    "SIL": (Aim(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, tongue_strength=0.8),),
    # vowels: jaw, aperture, width, protrusion; two aims are a diphthong
    "AA": (_vowel(13.8, 15.0, 0.0, 0.0, low=0.9),),
    "AE": (_vowel(12.7, 14.3, 2.5, 0.0, upper=0.8, low=0.8),),
    "AH": (_vowel(9.0, 10.5, 0.3, 0.0, low=0.45),),
    "AO": (_vowel(10.8, 11.2, -3.0, 3.2, low=0.7, lead=0.12),),
    "AX": (_vowel(5.5, 7.1, 0.0, 0.0, low=0.2, strength=0.5),),
    "EH": (_vowel(9.7, 11.3, 1.6, 0.0, upper=0.6, low=0.5),),
    "ER": (_vowel(5.3, 6.2, -2.0, 2.4, dorsum=0.2),),
    "IH": (_vowel(5.5, 7.9, 1.6, 0.0, upper=0.5),),
    "IY": (_vowel(3.7, 6.6, 3.6, 0.0, upper=0.9),),
    "UH": (_vowel(4.4, 4.8, -4.0, 4.0, dorsum=0.2),),
    "UW": (_vowel(3.2, 3.6, -9.0, 7.6, dorsum=0.3),),
    "AC": (_vowel(12.1, 13.5, 0.6, 0.0, upper=0.3, low=0.8),),
    "EE": (_vowel(5.7, 8.1, 2.6, 0.0, upper=0.8, low=0.1),),
    "OO": (_vowel(6.4, 6.0, -6.0, 6.0, low=0.1),),
    "UE": (_vowel(3.2, 3.6, -8.0, 7.2),),
    "OE": (_vowel(6.2, 6.6, -4.6, 5.2, low=0.1),),
    "AAN": (_vowel(11.0, 12.3, -0.8, 0.8, low=0.7),),
    "EHN": (_vowel(9.5, 11.2, 1.2, 0.0, upper=0.4, low=0.5),),
    "AON": (_vowel(8.6, 8.6, -3.8, 3.8, low=0.5),),
    "OEN": (_vowel(7.9, 9.0, -2.0, 2.4, low=0.4),),
    "EY": (_vowel(7.7, 9.8, 2.2, 0.0, upper=0.8, low=0.3), _vowel(3.8, 6.8, 3.2, 0.0, upper=0.9)),
    "AY": (_vowel(13.8, 15.0, 0.4, 0.0, low=0.9), _vowel(4.4, 7.4, 2.6, 0.0, upper=0.6)),
    "AW": (_vowel(13.4, 14.6, 0.3, 0.0, low=0.9), _vowel(5.1, 4.7, -5.6, 5.4)),
    "OW": (_vowel(7.3, 7.1, -5.0, 5.0, low=0.3, lead=0.14), _vowel(3.8, 4.0, -8.4, 7.2)),
    "OY": (_vowel(9.0, 8.8, -4.6, 4.6, low=0.4), _vowel(4.2, 6.8, 2.0, 0.0, upper=0.5)),
    # consonants
    "P": (Aim(2.6, 0.8, 5.0, 0.0, shape_strength=0.05, tongue_strength=0.1),),
    "B": (Aim(2.6, 0.8, 5.0, 0.0, shape_strength=0.05, tongue_strength=0.1),),
    "M": (Aim(2.4, 0.8, 5.0, 0.0, shape_strength=0.05, tongue_strength=0.1),),
    "BH": (Aim(3.0, 0.7, 1.8, 2.0, 0.0, 0.5, 0.3, tongue_strength=0.1),),
    "F": (Aim(2.4, 1.7, 2.2, 0.8, 0.6, 0.0, 0.4, upper=1.2, tongue_strength=0.1),),
    "V": (Aim(2.5, 1.6, 2.2, 0.8, 0.6, 0.0, 0.4, upper=1.2, tongue_strength=0.1),),
    "W": (Aim(3.4, 0.5, 2.2, 2.4, -10.0, 8.2, 2.0, dorsum=0.4, lead=0.18),),
    "HW": (Aim(3.0, 0.5, 2.4, 2.4, -9.5, 8.0, 2.0, lead=0.18),),
    "R": (Aim(3.6, 0.5, 4.6, 0.7, -3.0, 3.6, 0.8, dorsum=0.25, tip=0.15, lead=0.12),),
    "SH": (Aim(1.6, 1.6, 5.4, 1.0, -4.0, 5.2, 1.3, upper=0.8, tip=0.55, lead=0.13),),
    "ZH": (Aim(1.7, 1.6, 5.4, 1.0, -4.0, 5.2, 1.3, upper=0.8, tip=0.55, lead=0.13),),
    "CH": (Aim(1.7, 1.5, 5.2, 1.0, -3.8, 5.0, 1.2, upper=0.8, tip=0.8, lead=0.12),),
    "JH": (Aim(1.8, 1.5, 5.2, 1.0, -3.8, 5.0, 1.2, upper=0.8, tip=0.8, lead=0.12),),
    "S": (Aim(1.2, 1.8, 4.0, 0.7, 2.2, 0.0, 0.6, upper=1.3, tip=0.6, tongue_strength=1.0),),
    "Z": (Aim(1.3, 1.7, 4.0, 0.7, 2.2, 0.0, 0.6, upper=1.3, tip=0.6, tongue_strength=1.0),),
    "TS": (Aim(1.2, 1.8, 4.0, 0.7, 2.2, 0.0, 0.6, upper=1.3, tip=0.8, tongue_strength=1.0),),
    "DZ": (Aim(1.3, 1.7, 4.0, 0.7, 2.2, 0.0, 0.6, upper=1.3, tip=0.8, tongue_strength=1.0),),
    "T": (Aim(2.3, 0.9, 4.6, 0.22, 0.6, 0.0, 0.12, upper=0.4, tip=1.0, tongue_strength=2.0),),
    "D": (Aim(2.4, 0.9, 4.6, 0.22, 0.6, 0.0, 0.12, upper=0.4, tip=1.0, tongue_strength=2.0),),
    "N": (Aim(2.8, 0.7, 4.8, 0.2, 0.4, 0.0, 0.1, upper=0.3, tip=1.0, tongue_strength=2.0),),
    "DX": (Aim(3.2, 0.5, 5.8, 0.12, 0.3, 0.0, 0.06, tip=0.9, tongue_strength=2.0),),
    "RR": (Aim(3.0, 0.6, 5.8, 0.2, 0.3, 0.0, 0.1, tip=0.9, tongue_strength=2.0),),
    "L": (Aim(3.4, 0.6, 6.0, 0.25, 0.3, 0.0, 0.12, upper=0.2, tip=1.0, tongue_strength=2.0),),
    "TH": (Aim(2.8, 1.0, 5.6, 0.6, 0.4, 0.0, 0.25, upper=0.6, tip=0.35, tip_out=0.4, tongue_strength=2.0),),
    "DH": (Aim(2.8, 1.0, 5.4, 0.5, 0.4, 0.0, 0.25, upper=0.5, tip=0.35, tip_out=0.35, tongue_strength=2.0),),
    "K": (Aim(3.6, 0.4, 6.0, 0.12, 0.0, 0.0, 0.06, dorsum=1.0, tongue_strength=2.0),),
    "G": (Aim(3.6, 0.4, 6.0, 0.12, 0.0, 0.0, 0.06, dorsum=1.0, tongue_strength=2.0),),
    "NG": (Aim(3.8, 0.35, 6.0, 0.12, 0.0, 0.0, 0.06, dorsum=1.0, tongue_strength=2.0),),
    "X": (Aim(3.8, 0.4, 6.2, 0.15, 0.0, 0.0, 0.06, dorsum=0.85, tongue_strength=1.6),),
    "RX": (Aim(4.4, 0.35, 6.4, 0.15, 0.0, 0.0, 0.06, dorsum=0.7, tongue_strength=1.2),),
    "Y": (Aim(2.8, 0.7, 5.6, 0.4, 2.6, 0.0, 0.6, upper=0.6, dorsum=0.2, tongue_strength=0.8),),
    "NY": (Aim(2.6, 0.7, 5.4, 0.3, 2.0, 0.0, 0.4, upper=0.4, tip=0.7, dorsum=0.3, tongue_strength=1.5),),
    "LY": (Aim(3.0, 0.7, 5.6, 0.3, 2.0, 0.0, 0.4, upper=0.4, tip=0.7, dorsum=0.3, tongue_strength=1.5),),
    "HH": (Aim(5.0, 0.08, 6.5, 0.06, shape_strength=0.03, tongue_strength=0.05),),
    "Q": (Aim(4.0, 0.06, 5.5, 0.05, shape_strength=0.03, tongue_strength=0.05),),
}
"""What each phone of the inventory asks for; two aims share the phone 55 to 45."""
