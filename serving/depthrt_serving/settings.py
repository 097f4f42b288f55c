"""What `depthrt serve` was told, and the limits that it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depthrt.spec import InputSpec

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
MIB = 1 << 20
MOST_AREA = 4  # times its own input size at which a network that keeps the aspect runs at most


def too_long(name: str, size: tuple[int, int], spec: InputSpec) -> str:
    """Why a picture of this height and width is not computed; empty: it is."""
    from depthrt.model.preprocess import network_size  # NumPy: not for `depthrt serve --help`

    height, width = network_size(size, spec)
    if height * width <= MOST_AREA * spec.height * spec.width:
        return ""
    return (
        f"{name} is {size[1]}x{size[0]}, and the network keeps the aspect: it would run at "
        f"{width}x{height}; cut {name} into parts"
    )


@dataclass(frozen=True)
class Limits:
    """What the server takes of one client, and of all.

    - ``body_bytes``: of a request with pictures;
    - ``held_bytes``: of all bodies that are in memory at a time;
    - ``pixels``: of one picture, checked before it is decoded;
    - ``connections``: open at a time;
    - ``header_s``: within which a client has to send the head of a request;
    - ``body_s``, ``body_bytes_per_s``: a body has to be there within ``body_s`` and the time that
      it takes at this rate;
    - ``answer_s``: for which a client may take nothing of an answer that is ready;
    - ``clip_bytes``, ``clips``, ``clip_kept_s``: of one video, how many are kept at a time with
      their results, and for how long after they are done;
    - ``clips_bytes``: of all videos and results together.
    """

    body_bytes: int = 32 * MIB
    pixels: int = 50_000_000
    connections: int = 256
    header_s: float = 10.0
    body_s: float = 10.0
    body_bytes_per_s: int = 64 * 1024
    answer_s: float = 30.0
    clip_bytes: int = 512 * MIB
    clips_bytes: int = 2048 * MIB
    clips: int = 16
    clip_kept_s: float = 3600.0

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies that are in memory at a time."""
        return max(256 * MIB, 2 * self.body_bytes)


@dataclass(frozen=True)
class Queueing:
    """How images wait and are batched.

    - ``images``: that wait at most, of all clients;
    - ``wait_s``: how long a batch waits for images that are being decoded;
    - ``deadline_s``: within which an answer is worth something, unless the request says otherwise;
    - ``batch``: images per inference; None: what the model takes exactly.
    """

    images: int = 64
    wait_s: float = 0.005
    deadline_s: float = 2.0
    batch: int | None = None


@dataclass(frozen=True)
class Monitoring:
    """What is watched beside counting.

    - ``drift``: whether answers are watched for drift;
    - ``reference``: the file that keeps what is usual; None: the model's, or it is learned anew;
    - ``shadow_model``: a file whose depth a share of the images is compared with;
    - ``shadow_share``: that share, 0 to 1.
    """

    drift: bool = True
    reference: Path | None = None
    shadow_model: str | None = None
    shadow_share: float = 0.0


@dataclass(frozen=True)
class Rollout:
    """How a new model takes over.

    - ``canary``: a file beside the model that gets a share of the requests, while it is there;
    - ``canary_share``: that share, 0 to 1.
    """

    canary: Path | None = None
    canary_share: float = 0.05


@dataclass(frozen=True)
class Settings:
    """What `depthrt serve` was told."""

    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    provider: str = "auto"
    threads: int | None = None
    queueing: Queueing = field(default_factory=Queueing)
    limits: Limits = field(default_factory=Limits)
    monitoring: Monitoring = field(default_factory=Monitoring)
    rollout: Rollout = field(default_factory=Rollout)

    @property
    def is_local(self) -> bool:
        """Whether nobody beyond this machine can reach the server."""
        return self.host in LOOPBACK or self.host.startswith("127.")
