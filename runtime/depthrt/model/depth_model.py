"""A depthrt model, ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import DepthrtError, InferenceError, ModelError
from depthrt.frame import Image, image_size
from depthrt.model.fixed_batch import PLANNING, PlannedBatch
from depthrt.model.preprocess import check_image, content_size, network_size, prepare
from depthrt.model.providers import SessionOptions, short_name
from depthrt.model.registry import find_model
from depthrt.model.session import import_onnxruntime, open_session, usable_cores
from depthrt.spec import METADATA_KEY, ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort

    from depthrt.model.tuning_cache import Choice, Objective


Purpose: TypeAlias = Literal["latency", "throughput", "live"]

MOST_PARALLEL = 4  # inferences at a time: each holds its activations in memory


class Abort:
    """Ends inferences that are under way, from whatever thread; later ones end at once."""

    def __init__(self) -> None:
        self._asked = False
        self._options: ort.RunOptions | None = None

    def now(self) -> None:
        """End them; each raises an InferenceError after the operator that it is in."""
        self._asked = True
        if self._options is not None:
            self._options.terminate = True

    def run_options(self) -> ort.RunOptions:
        """What onnxruntime asks between operators."""
        if self._options is None:
            self._options = import_onnxruntime().RunOptions()
        if self._asked:
            self._options.terminate = True
        return self._options


class DepthModel:
    """A depth network in an onnxruntime session, with the spec that its file carries.

    >>> model = DepthModel.load()                # the built-in model
    >>> depth = model(image)                     # image: uint8 RGB, H,W,3
    >>> depth.at_image_size()                    # float32, H,W

    Safe to call from several threads.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        spec: ModelSpec,
        path: Path,
        tuned: Choice | None = None,
        parallel: int = 1,
    ) -> None:
        self.session = session
        self.spec = spec
        self.path = path
        self.tuned = tuned
        self.parallel = parallel if self.provider == "cpu" else 1
        batch, _, height, width = session.get_inputs()[0].shape
        self.fixed_batch: int | None = batch if isinstance(batch, int) else None
        self._planned = PlannedBatch() if self.provider in PLANNING else None
        self.dynamic_size: bool = not (isinstance(height, int) and isinstance(width, int))

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        provider: str = "auto",
        threads: int | None = None,
        spinning: bool | None = None,
        objective: Purpose = "latency",
    ) -> DepthModel:
        """Load a model file; without a path the built-in model.

        Args:
            path: a depthrt ``.onnx`` file or the name of a built-in model.
            provider: ``auto`` or one of ``cpu``, ``cuda``, ``tensorrt``, ``openvino``, ...; one
                that is asked for by name and not bound is an error.
            threads: threads inside one operator; None takes every usable core.
            spinning: threads wait busily during an inference: faster for one frame, slower where
                all cores have work; None: for the latency of one frame yes, else no.
            objective: what the session is for: the lowest latency of one frame, alone or ``live``
                beside a decoder, or the most frames per second. Where ``depthrt tune`` has been
                run for this file on this machine, and ``provider``, ``threads`` and ``spinning``
                are left alone, it decides which of its two choices to take. For throughput a CPU
                session that was not tuned is made for ``parallel`` inferences at a time.

        Raises:
            ModelError: no file, no depthrt model, corrupt, or a spec from the future.
            ProviderError: the provider cannot be had here.
        """
        file = find_model(path)
        busy = objective == "latency" if spinning is None else spinning
        asked = SessionOptions(provider, threads, busy)
        untouched = provider == "auto" and threads is None and spinning is None
        # One thread for each of several frames, not several threads for one: nobody waits for the
        # slowest part of an operator, and the cores are shared out better beside a decoder.
        many = objective == "throughput" and threads is None
        parallel = min(usable_cores(), MOST_PARALLEL) if many else 1
        best: Objective = "throughput" if objective == "throughput" else "latency"
        tuned = _tuned_choice(file, best) if untouched else None
        with _opencv_loading():
            session = None if tuned is None else _try_session(file, tuned.options)
            if session is None:
                tuned, session = None, open_session(file, asked, parallel=parallel)
            else:
                parallel = 1  # measured with one inference at a time
        metadata = session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise ModelError(
                f"{file} is an ONNX file but no depthrt model (no {METADATA_KEY!r} entry in its "
                "metadata): make one with `depthrt export`"
            )
        try:
            spec = ModelSpec.from_json(metadata[METADATA_KEY])
            _check_contract(session, spec)
        except ModelError as error:
            raise ModelError(f"{file}: {error}") from error
        return cls(session, spec, file, tuned, parallel)

    @property
    def provider(self) -> str:
        """The provider that onnxruntime bound, by its short name."""
        return short_name(self.session.get_providers()[0])

    @property
    def batch(self) -> int:
        """Frames per inference that suit a recorded source, tuned where ``depthrt tune`` was."""
        # On a CPU a batch brings a bare int8 session 8-13%, and beside a decoder and an encoder,
        # whose caches it takes, it costs 5%.
        return 1 if self.tuned is None else self.tuned.batch

    def sha256(self) -> str:
        """The hash of the model file."""
        from depthrt.files.file_hash import file_sha256

        return file_sha256(self.path)

    def warm_up(self, batch: int = 1) -> None:
        """Run once on a grey batch at the spec's size, so that the next run is a usual one."""
        size = (self.spec.input.height, self.spec.input.width)
        if self._planned is not None:
            self._planned = PlannedBatch()  # what comes now is of this many frames
        frames = self._next_run(batch, size)
        self._run(np.full((frames, 3, *size), 116, np.uint8))

    def infer(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        """Depth of prepared images: the network alone.

        Args:
            batch: uint8 RGB N,3,h,w from :func:`depthrt.prepare`.
            abort: can end the inference early, from another thread.

        Returns:
            float32 N,h,w, unnormalised.

        Raises:
            InferenceError: the session failed or was aborted, or the depth holds NaN or infinity.
        """
        options = None if abort is None else abort.run_options()
        step = self._next_run(len(batch), batch.shape[2:])
        if step == len(batch):
            depth = self._run(batch, options)
        else:
            starts = range(0, len(batch), step)
            parts = [self._run_fixed(batch[i : i + step], step, options) for i in starts]
            depth = np.concatenate(parts)
        if not np.isfinite(depth).all():
            share = 1 - float(np.isfinite(depth).mean())
            raise InferenceError(
                f"model {self.spec.name} gave {share:.1%} non-finite depth values (NaN or "
                "infinity): export it again in float32, or check its weights"
            )
        return depth

    def infer_images(self, images: Sequence[Image]) -> list[Depth]:
        """Depth maps of images of any sizes, batched where their network sizes agree.

        Raises:
            UsageError: an image that is not uint8 RGB (H,W,3).
            InferenceError: as :meth:`infer`.
        """
        sizes = [network_size(check_image(image), self.spec.input) for image in images]
        depths: list[Depth | None] = [None] * len(images)
        for size in dict.fromkeys(sizes):
            members = [i for i, other in enumerate(sizes) if other == size]
            batch = np.empty((len(members), 3, *size), np.uint8)
            for row, i in enumerate(members):
                prepare(images[i], self.spec.input, out=batch[row])
            for i, values in zip(members, self.infer(batch), strict=True):
                depths[i] = self.depth(values, image_size(images[i]))
        return [depth for depth in depths if depth is not None]

    def __call__(self, image: Image) -> Depth:
        """The depth map of one image (uint8 RGB, H,W,3)."""
        return self.infer_images([image])[0]

    def depth(self, values: NDArray[np.float32], size: tuple[int, int]) -> Depth:
        """Wrap the network's output (h,w) for an image of this height and width."""
        rows, columns = content_size(size, self.spec.input)
        return Depth(values[:rows, :columns], self.spec.kind, self.spec.unit, size)

    def _next_run(self, frames: int, size: tuple[int, ...]) -> int:
        """Frames that the session is given at once for so many: those missing are repeated."""
        if self.fixed_batch is not None:
            return self.fixed_batch
        return frames if self._planned is None else self._planned.next_run(frames, size)

    def _run(
        self, batch: NDArray[np.uint8], options: ort.RunOptions | None = None
    ) -> NDArray[np.float32]:
        try:
            (depth,) = self.session.run(["depth"], {"image": batch}, options)
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            reason = str(error).strip().splitlines()[0]
            raise InferenceError(
                f"model {self.spec.name} failed on a batch of shape {tuple(batch.shape)}: {reason}"
            ) from error
        expected = (len(batch), *batch.shape[2:])
        if depth.shape != expected:
            raise InferenceError(
                f"model {self.spec.name} gave depth of shape {depth.shape} for pixels of "
                f"{tuple(batch.shape)}, not {expected}: export it again"
            )
        return np.asarray(depth, np.float32)

    def _run_fixed(
        self, part: NDArray[np.uint8], step: int, options: ort.RunOptions | None
    ) -> NDArray[np.float32]:
        missing = step - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        return self._run(full, options)[: len(part)]


@contextmanager
def _opencv_loading() -> Iterator[None]:
    """OpenCV, which the first image needs, is loaded beside this: a session is made outside
    Python's lock, and takes as long.

    It is waited for, since OpenCV has its own folder on Python's path while it loads.
    """

    def load() -> None:
        with suppress(Exception):  # raised again where it is needed
            import cv2  # noqa: F401

    thread = Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _tuned_choice(path: Path, objective: Objective) -> Choice | None:
    from depthrt.model.tuning_cache import find_choice

    return find_choice(path, objective)


def _try_session(path: Path, options: SessionOptions) -> ort.InferenceSession | None:
    """A session as it was tuned; None where that no longer works."""
    try:
        return open_session(path, options)
    except DepthrtError:
        return None


def _check_contract(session: ort.InferenceSession, spec: ModelSpec) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    given = [(i.name, i.type, len(i.shape)) for i in inputs]
    if given != [("image", "tensor(uint8)", 4)] or inputs[0].shape[1] != 3:
        raise ModelError(f"the input must be one uint8 tensor image N,3,H,W, not {given}")
    made = [(o.name, o.type, len(o.shape)) for o in outputs]
    if made != [("depth", "tensor(float)", 3)]:
        raise ModelError(f"the output must be one float32 tensor depth N,H,W, not {made}")
    for one, other in zip(inputs[0].shape[:1] + inputs[0].shape[2:], outputs[0].shape, strict=True):
        if isinstance(one, int) and isinstance(other, int) and (one != other or not one):
            raise ModelError(f"depth is {outputs[0].shape} for an image of {inputs[0].shape}")
    size = inputs[0].shape[2:]
    fixed = all(isinstance(side, int) for side in size)
    if fixed and tuple(size) != (spec.input.height, spec.input.width):
        raise ModelError(
            f"the graph takes {size[0]}x{size[1]}, but the spec says "
            f"{spec.input.height}x{spec.input.width}"
        )
    if fixed and spec.input.resize == "keep_aspect":
        raise ModelError("the spec keeps the aspect of frames, but the graph has one fixed size")
