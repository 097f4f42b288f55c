"""Images that wait, a queue for each client; clients take turns, an image each."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Entries of clients, given out in turns."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()  # the next in turn is the first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        for queue in self._queues.values():
            yield from queue

    def push(self, client: str, entry: T) -> None:
        """Append an entry to the queue of its client; a new client's turn comes last."""
        self._queues.setdefault(client, deque()).append(entry)
        self._length += 1

    def pop(self) -> T:
        """The oldest entry of the client whose turn it is.

        Raises:
            IndexError: nothing waits.
        """
        if not self._length:
            raise IndexError("nothing waits")
        client, queue = next(iter(self._queues.items()))
        entry = queue.popleft()
        self._length -= 1
        if queue:
            self._queues.move_to_end(client)
        else:
            del self._queues[client]
        return entry

    def discard(self, client: str, entry: T) -> bool:
        """Take an entry out, wherever it is; whether it was there."""
        queue = self._queues.get(client)
        if queue is None or entry not in queue:
            return False
        queue.remove(entry)
        self._length -= 1
        if not queue:
            del self._queues[client]
        return True

    def waiting(self, client: str) -> int:
        """How many entries of a client wait."""
        return len(self._queues.get(client, ()))

    def ahead(self, client: str, count: int) -> int:
        """How many entries leave before the last of ``count`` more ones of a client."""
        last = self.waiting(client) + count
        own = last - count
        others = (len(queue) for name, queue in self._queues.items() if name != client)
        return own + sum(min(length, last) for length in others)

    def newest_of_longest(self) -> tuple[str, T] | None:
        """The client with the most entries, and the newest of them; None if nothing waits."""
        if not self._length:
            return None
        client, queue = max(self._queues.items(), key=lambda pair: len(pair[1]))
        return client, queue[-1]
