"""How a server of others is to run a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from depthrt.errors import UsageError

Device = Literal["auto", "cpu", "gpu"]
_SCHEMES = ("s3", "gs", "pvc", "https", "http", "hdfs", "webhdfs", "hf", "oci")
_CPUS = re.compile(r"\d+(?:\.\d{1,3})?|\d+m")
_MEMORY = re.compile(r"\d+(?:\.\d+)?(?:[KMGT]i?)?")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class TritonSettings:
    """What Triton's ``config.pbtxt`` says beside the model.

    - ``batch``: images per inference at most, where the graph leaves the batch open;
    - ``delay_us``: microseconds that a batch waits for more images;
    - ``instances``: sessions of the model, on each GPU where ``device`` is ``gpu``;
    - ``threads``: of one inference on a CPU; None: onnxruntime's own choice.
    """

    batch: int = 8
    delay_us: int = 2000
    instances: int = 1
    device: Device = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class KserveSettings:
    """What KServe's InferenceService says beside the model.

    - ``storage_uri``: where its nodes fetch the model repository; empty: a volume claim of the name
      ``depthrt-models``;
    - ``cpus``, ``memory``: of a replica, in Kubernetes' units; ``gpus``: NVIDIA ones;
    - ``replicas``: least and most; least 0 scales to nothing without requests;
    - ``canary``: per cent of the requests that a changed model gets first; None: all.
    """

    storage_uri: str = ""
    namespace: str | None = None
    cpus: str = "2"
    memory: str = "2Gi"
    gpus: int = 0
    replicas: tuple[int, int] = (1, 3)
    canary: int | None = None

    def check(self) -> None:
        """Refuse what Kubernetes or KServe would.

        Raises:
            UsageError: which, and what is taken.
        """
        scheme = urlsplit(self.storage_uri).scheme
        if self.storage_uri and scheme not in _SCHEMES:
            known = ", ".join(f"{name}://" for name in _SCHEMES)
            raise UsageError(f"--storage-uri {self.storage_uri!r} begins with none of {known}")
        if not _CPUS.fullmatch(self.cpus):
            raise UsageError(f"--cpus {self.cpus!r} is no number of cores, such as 2 or 500m")
        if not _MEMORY.fullmatch(self.memory):
            raise UsageError(f"--memory {self.memory!r} is no amount of memory, such as 2Gi")
        if self.namespace is not None and not _LABEL.fullmatch(self.namespace):
            raise UsageError(f"--namespace {self.namespace!r}: small letters, digits and - alone")
        least, most = self.replicas
        if not 0 <= least <= most or not most:
            raise UsageError(f"--replicas {least}-{most}: the least first, the most at least 1")


def parse_replicas(text: str) -> tuple[int, int]:
    """``1-3`` as least and most; one number is both.

    Raises:
        UsageError: it is neither.
    """
    parts = text.split("-")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"--replicas {text!r} is no number and no range, such as 1-3")
    least, most = int(parts[0]), int(parts[-1])
    if not least <= most or not most:
        raise UsageError(f"--replicas {text}: the least first, the most at least 1")
    return least, most
