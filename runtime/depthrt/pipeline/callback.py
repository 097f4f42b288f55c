"""Results handed to a callback, while the caller does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from types import TracebackType

from depthrt.pipeline.stream import Results
from depthrt.pipeline.threads import ThreadGroup
from depthrt.result import Result

Callback = Callable[[Result], "bool | None"]


class Background:
    """A run in a thread of its own; see :func:`start`. Leaving its ``with`` block stops it."""

    def __init__(self, results: Generator[Result, None, None], on_result: Callback) -> None:
        self._results, self._on_result = results, on_result
        self._error: BaseException | None = None
        self._group = ThreadGroup()
        self._thread = self._group.start_thread(self._run, "callback")

    @property
    def is_running(self) -> bool:
        """Whether more results may come."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end, from whatever thread, and wait for nobody.

        The callback is not called again once it has returned.
        """
        self._group.cancel()
        if isinstance(self._results, Results):  # the thread may wait for a source that stalls
            self._results.stop()

    def close(self) -> None:
        """Stop it, and wait for it a second at most; what it raised is left for :meth:`join`."""
        self.stop()
        self._group.close()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False when it has not come within ``timeout_s`` seconds.

        Raises:
            BaseException: what ended the run early, the pipeline's or the callback's own.
        """
        if not self._wait(timeout_s):
            return False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return True

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            self.join()
        else:  # that of the block is the one to be seen
            self._wait(None)

    def _wait(self, timeout_s: float | None) -> bool:
        """Wait for the thread; True at once in the callback itself, which cannot wait for it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _run(self) -> None:
        try:
            with closing(self._results) as results:
                for result in results:
                    if self._group.over or self._on_result(result) is False:
                        return
        except BaseException as caught:  # it travels to whoever joins
            self._error = caught


def start(results: Generator[Result, None, None], on_result: Callback) -> Background:
    """Call a function with every result, in order, from a thread of its own.

    >>> running = depthrt.start(depthrt.stream(0, model), lambda result: steer(result.depth))
    >>> running.stop()
    >>> running.join()

    The callback ends the run by returning False. While it works, a recording waits and a live
    source drops frames. What it raises ends the run and is raised by :meth:`Background.join`.

    Args:
        results: of :func:`depthrt.stream` or :func:`depthrt.stream_many`.
        on_result: called with each; what it returns is ignored unless it is False.
    """
    return Background(results, on_result)
