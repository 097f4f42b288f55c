"""LitServe: two workers that batch; pictures come as a form, as its documentation has it.

LitServe looks at annotations themselves: they must be no texts.
"""

import sys
from typing import Any

import litserve
from fastapi import Request, Response

from experiments.serving.peer_servers.model import BATCH, WAIT_MS, WORKERS, Depth


class Api(litserve.LitAPI):
    """Depth of a picture, as npy."""

    def setup(self, device: str) -> None:
        """Load the model, in each worker."""
        self.depth = Depth()

    def decode_request(self, request: Request) -> Any:
        """Decode and prepare."""
        return self.depth.prepare(request["picture"].file.read())

    def batch(self, inputs: list[Any]) -> list[Any]:
        """The session stacks them itself."""
        return inputs

    def predict(self, batch: list[Any]) -> list[bytes]:
        """Run the network."""
        return self.depth.infer(batch)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """One for each request."""
        return output

    def encode_response(self, output: bytes) -> Response:
        """As it is."""
        return Response(output, media_type="application/x-npy")


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=WAIT_MS / 1e3)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
