"""Run a stage of the pipeline in its own thread, behind a bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """A bounded queue that ends: by its producer, with or without an error, or by its consumer."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False
        self._error: BaseException | None = None

    def wait_for_room(self) -> bool:
        """Wait until an item can be added; False once nobody wants more."""
        with self._changed:
            while len(self._items) >= self._size and not self._cancelled:
                self._changed.wait()
            return not self._cancelled

    def put(self, item: T) -> None:
        with self._changed:
            if not self._cancelled:
                self._items.append(item)
                self._changed.notify_all()

    def finish(self, error: BaseException | None) -> None:
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def drain(self) -> Iterator[T]:
        """The items until the producer has finished, then its error if it had one.

        All that is there is taken at once: stages that take turns by several items leave each
        other's caches alone, which saves CPU time where there are more stages than cores.
        """
        while True:
            with self._changed:
                while not self._items and not self._finished:
                    self._changed.wait()
                taken, self._items = self._items, deque()
                if not taken:
                    if self._error is not None:
                        raise self._error
                    return
                self._changed.notify_all()
            while taken:
                yield taken.popleft()


def buffered(items: Iterable[T], size: int, *, name: str = "stage") -> Generator[T, None, None]:
    """Iterate over ``items`` in a thread of its own, ``size`` of them waiting at most.

    As many may be ahead of those that the consumer took together.

    An item is asked for only when there is room for it, so that live ones do not grow old waiting.
    An exception in ``items`` reaches the consumer as itself, after the items that came before it.
    When the consumer stops early, ``items`` is closed in its thread, and the thread has ended when
    the generator has.
    """
    queue: _Queue[T] = _Queue(size)

    def produce() -> None:
        error: BaseException | None = None
        iterator = iter(items)
        try:
            while queue.wait_for_room():
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                queue.put(item)
        except BaseException as caught:  # it travels to the consumer, whatever it is
            error = caught
        try:
            if isinstance(iterator, Generator):
                iterator.close()
        except BaseException as caught:
            error = error or caught
        queue.finish(error)

    thread = threading.Thread(target=produce, name=f"depthrt-{name}", daemon=True)
    thread.start()
    try:
        yield from queue.drain()
    finally:
        queue.cancel()
        thread.join()
