"""A depthrt model, ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import DepthrtError, UsageError
from depthrt.frame import Image, image_size
from depthrt.model.catalogue.registry import find_model
from depthrt.model.file_check import read_spec
from depthrt.model.fixed_batch import PLANNING, PlannedBatch
from depthrt.model.golden.load_check import check_once
from depthrt.model.inference import Abort, Prediction, checked, run_session, with_gaps
from depthrt.model.preprocess import check_image, content_size, network_size, prepare
from depthrt.model.providers import Purpose, SessionOptions, short_name, untuned_options
from depthrt.model.session import open_session
from depthrt.spec import ModelSpec
from depthrt.system.cpu_cores import usable_cores

if TYPE_CHECKING:
    import onnxruntime as ort

    from depthrt.model.tuning_cache import Choice


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
        options: SessionOptions | None = None,
    ) -> None:
        """Wrap an open session.

        Args:
            session: a session of the file.
            spec: how its frames are prepared and what its depth means.
            path: the file.
            tuned: what ``depthrt tune`` found, if the session was opened as it says.
            options: those the session was opened with; None: one inference at a time.
        """
        self.session = session
        self.spec = spec
        self.path = path
        self.tuned = tuned
        self.options = (options or SessionOptions()).bound_to(self.provider, usable_cores())
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
        parallel: int | None = None,
        verify: bool = True,
    ) -> DepthModel:
        """Load a model file; without a path the built-in model.

        The first time that a file meets a machine, a provider or a version of onnxruntime, one of
        its golden frames is run (one inference), and wrong depth is refused.

        Args:
            path: a depthrt ``.onnx`` file or the name of a built-in model.
            provider: ``auto`` or one of ``cpu``, ``cuda``, ``tensorrt``, ``openvino``, ...; one
                that is asked for by name and not bound is an error.
            threads: threads inside one operator, 1 or more; None shares out the usable cores among
                the ``parallel`` inferences.
            spinning: threads wait busily during an inference: faster for one frame, slower where
                all cores have work. None: only for the objective ``latency``.
            objective: what the session is for: the lowest latency of one frame, alone or ``live``
                beside a decoder, or the most frames per second. If ``depthrt tune`` has been run
                for this file on this machine, its choice for the objective is taken as long as
                ``provider``, ``threads``, ``spinning`` and ``parallel`` are not given.
            parallel: inferences that a stream runs at a time, 1 or more; above 1 on the CPU
                provider only. None: for throughput as many as there are cores for ``threads`` each,
                up to 4; else 1.
            verify: check depth as said above; the environment variable ``DEPTHRT_VERIFY=0`` turns
                it off, too.

        Raises:
            AccuracyGateError: depth is wrong here; the message says what to do.
            ModelError: no file, no depthrt model, corrupt, or a spec from the future.
            ProviderError: the provider cannot be had here.
            UsageError: a number below 1, or parallel inferences on a provider that has none.
        """
        file = find_model(path)
        for name, number in (("threads", threads), ("parallel", parallel)):
            if number is not None and number < 1:
                raise UsageError(f"{name}={number} must be 1 or more")
        asked = untuned_options(
            objective, usable_cores(),
            provider=provider, threads=threads, spinning=spinning, parallel=parallel,
        )  # fmt: skip
        untouched = provider == "auto" and threads is spinning is parallel is None
        tuned = _tuned_choice(file, objective) if untouched else None
        with _opencv_loading():
            session = None if tuned is None else _try_session(file, tuned.options)
            if session is None:
                tuned, session = None, open_session(file, asked)
        if tuned is not None:
            asked = tuned.options
        model = cls(session, read_spec(session, file), file, tuned, asked)
        if (parallel or 1) > model.parallel:
            raise UsageError(
                f"parallel={parallel}: provider {model.provider} runs one inference at a time"
            )
        if verify:
            check_once(model)
        return model

    @property
    def provider(self) -> str:
        """The provider that onnxruntime bound, by its short name."""
        return short_name(self.session.get_providers()[0])

    @property
    def parallel(self) -> int:
        """Inferences that run at a time."""
        return self.options.parallel

    @property
    def batch(self) -> int:
        """Frames per inference for a recorded source; what was tuned, else 1."""
        # On a CPU a batch gains a bare int8 session 8-13%, but costs 5% beside a decoder and
        # an encoder, whose caches it takes.
        return 1 if self.tuned is None else self.tuned.batch

    def sha256(self) -> str:
        """The hash of the model file."""
        from depthrt.files.file_hash import file_sha256

        return file_sha256(self.path)

    def warm_up(self, batch: int = 1) -> None:
        """Run once on a grey batch at the spec's size: the first run of a session is slower."""
        size = (self.spec.input.height, self.spec.input.width)
        if self._planned is not None:
            self._planned = PlannedBatch()  # later runs are expected to have this many frames
        frames = self._next_run(batch, size)
        self._run(np.full((frames, 3, *size), 116, np.uint8))

    def infer(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        """Depth of prepared images; only the network runs.

        Args:
            batch: uint8 RGB N,3,h,w from :func:`depthrt.prepare`.
            abort: ends the inference early, from another thread.

        Returns:
            float32 N,h,w, unnormalised.

        Raises:
            InferenceError: the session failed or was aborted, or the depth holds NaN or infinity.
        """
        return checked(self._outputs(batch, abort), self.spec).depth

    def predict(
        self, batch: NDArray[np.uint8], abort: Abort | None = None, *, gaps: bool = False
    ) -> Prediction:
        """As :meth:`infer`, with the optional outputs of the file (``spec.outputs``).

        Depth that is NaN or infinite where ``valid`` is false is no error: it becomes the farthest
        depth of the valid pixels, here as in :meth:`infer`. With ``gaps``, ``valid`` is made false
        wherever depth is NaN or infinite, and is there then, whatever the file gives.

        Raises:
            InferenceError: as :meth:`infer`, or an angle of view not between 0 and 180 degrees.
        """
        if not (gaps or self.spec.outputs):
            return Prediction(self.infer(batch, abort))
        return (with_gaps if gaps else checked)(self._outputs(batch, abort), self.spec)

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
            for i, found in zip(members, self.predict(batch), strict=True):
                depths[i] = self.depth(found.depth, image_size(images[i]), found.optional)
        return [depth for depth in depths if depth is not None]

    def __call__(self, image: Image) -> Depth:
        """The depth map of one image (uint8 RGB, H,W,3)."""
        return self.infer_images([image])[0]

    def depth(
        self,
        values: NDArray[np.float32],
        size: tuple[int, int],
        optional: Mapping[str, NDArray[Any]] | None = None,
    ) -> Depth:
        """Wrap the network's outputs for an image; padding is cut off.

        Args:
            values: its depth, h,w.
            size: height and width of the image.
            optional: its optional outputs by name, without the axis N.
        """
        spec = self.spec
        rows, columns = content_size(size, spec.input)
        depth = Depth(values[:rows, :columns], spec.kind, spec.unit, size, spec.input.resize)
        return depth.with_optional(optional, values.shape[1]) if optional else depth

    def _next_run(self, frames: int, size: tuple[int, ...]) -> int:
        """Batch size that the session runs so many frames at; the last frame fills it up."""
        if self.fixed_batch is not None:
            return self.fixed_batch
        return frames if self._planned is None else self._planned.next_run(frames, size)

    def _outputs(self, batch: NDArray[np.uint8], abort: Abort | None) -> list[NDArray[Any]]:
        """Depth and the optional outputs, in the order of the spec."""
        options = None if abort is None else abort.run_options()
        step = self._next_run(len(batch), batch.shape[2:])
        if step == len(batch):
            return self._run(batch, options)
        starts = range(0, len(batch), step)
        parts = [self._run_filled(batch[i : i + step], step, options) for i in starts]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _run(
        self, batch: NDArray[np.uint8], options: ort.RunOptions | None = None
    ) -> list[NDArray[Any]]:
        return run_session(self.session, self.spec, batch, options)

    def _run_filled(
        self, part: NDArray[np.uint8], step: int, options: ort.RunOptions | None
    ) -> list[NDArray[Any]]:
        """Run a batch of ``step`` images, filled up with the last one."""
        missing = step - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        return [made[: len(part)] for made in self._run(full, options)]


@contextmanager
def _opencv_loading() -> Iterator[None]:
    """Load OpenCV, which the first image needs, in a thread while a session is made.

    Both take about as long, and a session is made without Python's lock. At the end the thread is
    waited for, as OpenCV has a folder of its own on Python's path while it loads.
    """

    def load() -> None:
        with suppress(Exception):  # the first use of OpenCV raises it again
            import cv2  # noqa: F401

    thread = Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _tuned_choice(path: Path, purpose: Purpose) -> Choice | None:
    from depthrt.model.tuning_cache import find_choice

    return find_choice(path, "throughput" if purpose == "throughput" else "latency")


def _try_session(path: Path, options: SessionOptions) -> ort.InferenceSession | None:
    """A session with the tuned options; None if it can no longer be opened."""
    try:
        return open_session(path, options)
    except DepthrtError:
        return None
