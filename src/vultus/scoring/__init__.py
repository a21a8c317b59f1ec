"""Scoring networks: a sync network (does the mouth fit the sound?) and a style network (who moves like this?).

They only score; no method is trained against the network that scores it. A scoring bundle is a folder with config.json,
arrays.npz, ONNX graphs, card.md and SHA256SUMS; it is for one topology, told by `Topology.digest`. Shipped bundles are
in bundles/scoring; `vultus scorer train sync|style` makes others.

How a metric finds its network: `Example.extras` may hold

    "scorers"        folders that are searched before the shipped bundles (each a bundle, or a folder of bundles)
    "scorer_gates"   kind -> GateReport, measured on the reference motion of the data that are scored

`vultus.scoring.gate.scorer_extras(examples, folders)` makes both. A network whose gate failed, at training or on these
data, refuses to score: the metric is Unavailable and says what was measured.
"""
