"""The built-in model as a witness for how a network is fed and what its depth means.

A proof cannot see a wrong normalisation, because the network and the ONNX file get the same wrong
input. So the network is fed in several common ways, and each depth is compared with that of the
built-in model. Channel order changes too little to be told so.

- ``comparing``: the ways to feed a network and to read its depth, what it and the built-in model
  are shown, and how alike two depth maps are;
- ``statement``: whether what was said of a network is right;
- ``trials``, ``finding``: which of the ways is right where nobody said it: the runs, the verdict.
"""

from depthrt_export.proof.witness.comparing import (
    COMMON,
    Direction,
    Reading,
    local_rank_correlation,
    options_of,
    rank_correlation,
)
from depthrt_export.proof.witness.finding import Finding, probe
from depthrt_export.proof.witness.statement import Statement, ask_witness, judge
from depthrt_export.proof.witness.trials import pick

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
