"""Run a stage of the pipeline in its own thread, behind a bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """A bounded queue that ends: by its producer, with or without an error, or by its consumer."""

    def __init__(self, size: int, on_drop: Callable[[], None] | None) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Add an item, waiting for room, or dropping the oldest; False once nobody wants more."""
        with self._changed:
            if self._on_drop is not None and len(self._items) >= self._size:
                self._items.popleft()
                self._on_drop()
            while len(self._items) >= self._size and not self._cancelled:
                self._changed.wait()
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

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
        """The items until the producer has finished, then its error if it had one."""
        while True:
            with self._changed:
                while not self._items and not self._finished:
                    self._changed.wait()
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def buffered(
    items: Iterable[T], size: int, *, on_drop: Callable[[], None] | None = None, name: str = "stage"
) -> Generator[T, None, None]:
    """Iterate over ``items`` in a thread of its own, at most ``size`` of them ahead.

    An exception in ``items`` reaches the consumer as itself, after the items that came before it.
    When the consumer stops early, ``items`` is closed in its thread, and the thread has ended when
    the generator has. With ``on_drop`` the queue keeps the newest items: the oldest is dropped and
    ``on_drop`` called when there is no room.
    """
    queue: _Queue[T] = _Queue(size, on_drop)

    def produce() -> None:
        error: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                if not queue.put(item):
                    break
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
