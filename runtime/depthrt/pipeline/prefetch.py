"""Make items in a thread of its own, some ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

from depthrt.pipeline.threads import LOOK_S, ThreadGroup

T = TypeVar("T")


class Prefetch(Iterator[T], Generic[T]):
    """Iterate over ``items`` in a thread of its own, ``size`` of them waiting at most.

    An item is asked for only when there is room for it. An exception in ``items`` reaches the
    consumer as itself, after the items before it. Closing ends ``items`` in its thread and waits
    for that a second at most: a thread that ``items`` holds up is left to itself. A finaliser only
    tells the thread to end.
    """

    def __init__(self, items: Iterable[T], size: int, *, name: str = "prefetch") -> None:
        self._ready: _ReadyItems[T] = _ReadyItems(size)
        self._ready.start_thread(partial(_produce, items, self._ready), name)

    def __next__(self) -> T:
        """The next item."""
        return self._ready.take()

    def close(self) -> None:
        """End it."""
        self._ready.close()

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._ready.abandon()


class _ReadyItems(ThreadGroup, Generic[T]):
    """Items that are ready. It does not know who takes them, so that they can be forgotten."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._items: deque[T] = deque()
        self._finished = False
        self._error: BaseException | None = None

    def wait_for_room(self) -> bool:
        """Wait until an item can be added; False once nobody wants more."""
        with self.lock:
            while len(self._items) >= self._size and not self.over:
                self.changed.wait(LOOK_S)
            return not self.over

    def put(self, item: T) -> None:
        """Add an item."""
        with self.lock:
            if not self.over:
                self._items.append(item)
                self.changed.notify_all()

    def put_end(self, error: BaseException | None) -> None:
        """No more items come, because of the error if there is one."""
        with self.lock:
            self._finished, self._error = True, error
            self.changed.notify_all()

    def take(self) -> T:
        """The next item."""
        with self.lock:
            while not (self._items or self._finished or self.over):
                self.changed.wait(LOOK_S)
            if self._items and not self.over:
                self.changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        self.close()
        if error is not None:
            raise error
        raise StopIteration

    def cancel(self) -> None:
        """Ask the thread to end, and forget what is ready."""
        super().cancel()
        self._items.clear()


def _produce(items: Iterable[T], ready: _ReadyItems[T]) -> None:
    error: BaseException | None = None
    iterator: Iterator[T] | None = None
    try:
        iterator = iter(items)
        while ready.wait_for_room():
            try:
                item = next(iterator)
            except StopIteration:
                break
            ready.put(item)
    except BaseException as caught:  # it travels to the consumer, whatever it is
        error = caught
    try:
        if isinstance(iterator, (Generator, Prefetch)):
            iterator.close()
    except BaseException as caught:
        error = error or caught
    ready.put_end(error)
