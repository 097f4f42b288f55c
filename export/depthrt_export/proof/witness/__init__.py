"""The built-in model as a witness for how a network is fed and what its depth means.

A proof cannot see a wrong normalisation, because the network and the ONNX file get the same wrong
input. So the network is fed in several common ways, and each depth is compared with that of the
built-in model. Channel order changes too little to be told so.

- ``readings``: the ways to feed a network and to read its depth;
- ``rank_correlation``: how alike two depth maps are;
- ``statement``: whether what was said of a network is right;
- ``probing``, ``pick``: which of the ways is right where nobody said it;
- ``frames``: what both are shown.
"""

from depthrt_export.proof.witness.pick import pick
from depthrt_export.proof.witness.probing import Finding, probe
from depthrt_export.proof.witness.rank_correlation import local_rank_correlation, rank_correlation
from depthrt_export.proof.witness.readings import COMMON, Direction, Reading, options_of
from depthrt_export.proof.witness.statement import Statement, ask_witness, judge

__all__ = [
    "COMMON",
    "Direction",
    "Finding",
    "Reading",
    "Statement",
    "ask_witness",
    "judge",
    "local_rank_correlation",
    "options_of",
    "pick",
    "probe",
    "rank_correlation",
]
