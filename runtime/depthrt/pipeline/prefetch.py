"""Make items in a thread of its own, some ahead of whoever takes them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

from depthrt.pipeline.exit import end_at_exit

T = TypeVar("T")
_CLOSE_S = 0.8  # that closing waits for the thread
_LOOK_S = 1.0  # that a thread waits at most without a look at whether it is to end


class Prefetch(Iterator[T], Generic[T]):
    """Iterate over ``items`` in a thread of its own, ``size`` of them waiting at most.

    An item is asked for only when there is room for it. An exception in ``items`` reaches the
    consumer as itself, after the items before it. Closing ends ``items`` in its thread and waits
    for that a second at most: a thread that ``items`` holds up is left to itself. A finaliser only
    tells the thread to end.
    """

    def __init__(self, items: Iterable[T], size: int, *, name: str = "prefetch") -> None:
        self._shared: _Shared[T] = _Shared(size)
        self._shared.thread = threading.Thread(
            target=_produce, args=(items, self._shared), name=f"depthrt-{name}", daemon=True
        )
        end_at_exit(self._shared)
        self._shared.thread.start()

    def __next__(self) -> T:
        """The next item."""
        return self._shared.take()

    def close(self) -> None:
        """End it."""
        self._shared.close()

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._shared.abandon()


class _Shared(Generic[T]):
    """What the thread and the consumer share; it does not know the consumer, who may be gone."""

    is_busy = False

    def __init__(self, size: int) -> None:
        self.thread: threading.Thread | None = None
        self.over = False
        self._size = size
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._finished = False
        self._error: BaseException | None = None
        self._close_by_s: float | None = None  # when the thread has been waited for long enough

    def wait_for_room(self) -> bool:
        """Wait until an item can be added; False once nobody wants more."""
        with self._changed:
            while len(self._items) >= self._size and not self.over:
                self._changed.wait(_LOOK_S)
            return not self.over

    def put(self, item: T) -> None:
        """Add an item."""
        with self._changed:
            if not self.over:
                self._items.append(item)
                self._changed.notify_all()

    def finish(self, error: BaseException | None) -> None:
        """No more items come, because of the error if there is one."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def take(self) -> T:
        """The next item."""
        with self._changed:
            while not (self._items or self._finished or self.over):
                self._changed.wait(_LOOK_S)
            if self._items and not self.over:
                self._changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        self.close()
        if error is not None:
            raise error
        raise StopIteration

    def cancel(self) -> None:
        """Ask it to end; wait for nobody."""
        with self._changed:
            self.over = True
            self._items.clear()
            self._changed.notify_all()

    def abandon(self) -> None:
        """Ask it to end, from a finaliser."""
        self.over = True
        if self._changed.acquire(blocking=False):
            self._changed.notify_all()
            self._changed.release()

    def close(self) -> None:
        """End it, and wait for the thread a second at most."""
        self.cancel()
        if self._close_by_s is None:
            self._close_by_s = time.monotonic() + _CLOSE_S
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(max(0.0, self._close_by_s - time.monotonic()))


def _produce(items: Iterable[T], shared: _Shared[T]) -> None:
    error: BaseException | None = None
    iterator: Iterator[T] | None = None
    try:
        iterator = iter(items)
        while shared.wait_for_room():
            try:
                item = next(iterator)
            except StopIteration:
                break
            shared.put(item)
    except BaseException as caught:  # it travels to the consumer, whatever it is
        error = caught
    try:
        if isinstance(iterator, (Generator, Prefetch)):
            iterator.close()
    except BaseException as caught:
        error = error or caught
    shared.finish(error)
