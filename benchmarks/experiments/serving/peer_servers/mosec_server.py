"""mosec: two workers that batch."""

from __future__ import annotations

from mosec import Server, Worker

from experiments.serving.peer_servers.model import BATCH, WAIT_MS, WORKERS, Depth


class DepthWorker(Worker):  # type: ignore[misc]
    """Depth of pictures, as npy."""

    resp_mime_type = "application/x-npy"

    def __init__(self) -> None:
        super().__init__()
        self.depth = Depth()

    def deserialize(self, data: bytes) -> bytes:
        """As it is."""
        return data

    def forward(self, data: list[bytes]) -> list[bytes]:
        """Decode, prepare, and run the network."""
        return self.depth.infer([self.depth.prepare(content) for content in data])

    def serialize(self, data: bytes) -> bytes:
        """As it is."""
        return data


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        DepthWorker, num=WORKERS, max_batch_size=BATCH, max_wait_time=WAIT_MS, timeout=10
    )
    server.run()
