"""What works on this machine: versions, providers, codecs, cameras."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any, Literal

from depthrt.errors import DepthrtError
from depthrt.jobs import machine
from depthrt.jobs.doctor.opencv import (
    OPENCV_WHEELS,
    opencv_failure,
    opencv_problems,
    shows_windows,
)
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores
from depthrt.system.installation import install_onnxruntime

# Distributions that each install the package onnxruntime, and so overwrite one another.
WHEELS = tuple(
    f"onnxruntime{suffix}"
    for suffix in ("", "-gpu", "-openvino", "-directml", "-qnn", "-migraphx", "-rocm", "-silicon")
)
PACKAGES = (
    "depthrt", "numpy", *OPENCV_WHEELS, "av", *WHEELS, "openvino", "torch", "onnx",
)  # fmt: skip
CODECS: dict[str, tuple[str, Literal["r", "w"]]] = {
    "H.264 decoder": ("h264", "r"),
    "H.264 encoder": ("libx264", "w"),
    "FFV1": ("ffv1", "w"),
}
_MAX_CAMERAS = 8


@dataclass(frozen=True)
class Report:
    """What was found; ``problems`` are sentences that say what to do about each."""

    versions: dict[str, str]
    python: str
    place: str
    machine: str
    system: str
    processor: str
    processor_features: list[str]
    cores: int
    cores_of: dict[str, int | None]
    memory_gb: float | None
    gpus: list[str]
    ffmpeg: str
    extras: dict[str, str]
    tunings: str
    engines: str
    onnxruntime_wheels: list[str]
    providers: dict[str, str]
    codecs: dict[str, bool]
    cameras: list[int]
    display: bool
    opencv_wheels: list[str]
    windows: bool
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """5 when no provider works, 1 for any other problem, else 0."""
        if "works" not in self.providers.values():
            return 5
        return 1 if self.problems else 0

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        memory = "unknown" if self.memory_gb is None else f"{self.memory_gb} GB"
        rows = [
            f"python {self.python}",
            f"system: {self.system}",
            f"processor: {self.processor}",
            f"its features: {' '.join(self.processor_features) or 'unknown'}",
            machine.cores_line(self.cores_of),
            f"memory: {memory}",
            f"GPUs: {'; '.join(self.gpus) or 'no NVIDIA driver found'}",
            f"depthrt in {self.place}",
        ]
        rows += [f"{k} {v}" for k, v in self.versions.items() if k != "python"]
        rows.append(f"FFmpeg {self.ffmpeg} (of PyAV)")
        rows += [f"extra {k}: {v}" for k, v in self.extras.items()]
        rows.append(f"tunings: {self.tunings}")
        rows.append(f"engines: {self.engines}")
        rows += [f"provider {k}: {v}" for k, v in self.providers.items()]
        rows += [f"{k}: {'yes' if v else 'missing'}" for k, v in self.codecs.items()]
        rows.append(f"cameras: {', '.join(map(str, self.cameras)) or 'none'}")
        rows.append(f"display: {'yes' if self.display else 'none, so no --show'}")
        rows.append(f"windows: {'yes' if self.windows else 'OpenCV has none, so no --show'}")
        rows += [f"PROBLEM: {problem}" for problem in self.problems]
        return rows


def examine() -> Report:
    """Examine everything that a run needs; what is broken is reported, not raised."""
    wheels, cv2_wheels, failure = onnxruntime_wheels(), opencv_wheels(), opencv_failure()
    providers = {"none": f"not tried: {failure}"} if failure else usable_providers()
    codecs = {name: _has_codec(*codec) for name, codec in CODECS.items()}
    problems = opencv_problems(cv2_wheels, failure)
    if len(wheels) > 1:
        problems.append(
            f"{' and '.join(wheels)} overwrite one another's files: pip uninstall all of them, "
            f"then {install_onnxruntime()}"
        )
    elif wheels and "none" in providers and not failure:
        problems.append(
            f"{wheels[0]} is installed but does not load: pip uninstall it, then "
            f"{install_onnxruntime()}"
        )
    if not wheels:
        problems.append(f"no onnxruntime wheel: {install_onnxruntime()}")
    problems += [f"{name} is missing: reinstall av" for name, found in codecs.items() if not found]
    return Report(
        versions=_versions(),
        python=machine.python(),
        place=machine.place(),
        system=machine.system(),
        processor_features=machine.processor_features(),
        cores_of=machine.cores(),
        memory_gb=machine.memory_gb(),
        gpus=machine.gpus(),
        ffmpeg=machine.ffmpeg(),
        extras=machine.extras(),
        tunings=machine.tunings(),
        engines=machine.engines(),
        machine=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=usable_cores(),
        onnxruntime_wheels=wheels,
        providers=providers,
        codecs=codecs,
        cameras=[] if failure else cameras(),
        display=not failure and display(),
        opencv_wheels=cv2_wheels,
        windows=not failure and shows_windows(),
        problems=problems,
    )


def _processor() -> str:
    """The CPU's name, and how many bits int8 weights should use on it."""
    bits = "7-bit weights, as it has no VNNI" if cpu_features.sums_saturate() else "8-bit weights"
    return f"{cpu_features.name()} (int8 is fast with {bits})"


def onnxruntime_wheels() -> list[str]:
    """Installed distributions that provide the package ``onnxruntime`` which Python imports."""
    return _installed_of(WHEELS)


def opencv_wheels() -> list[str]:
    """Installed distributions that provide the package ``cv2`` which Python imports."""
    return _installed_of(OPENCV_WHEELS)


def _installed_of(names: Sequence[str]) -> list[str]:
    """Which of distributions that provide the same package are where Python imports it from.

    Distributions in one folder overwrite one another. Folders later in ``sys.path`` are ignored.
    """
    folders: dict[Path, set[str]] = {}
    for distribution in distributions():
        name = _name_of(distribution).lower().replace("_", "-")
        if name in names:
            folders.setdefault(Path(str(distribution.locate_file(""))), set()).add(name)
    first = next(iter(folders.values()), set())
    return [name for name in names if name in first]


def _name_of(distribution: Distribution) -> str:
    """The name of an installed package; empty where its installation is broken."""
    try:
        metadata = distribution.metadata
    except FileNotFoundError:  # importlib_metadata raises it, where installed
        return ""
    return str(metadata["Name"]) if "Name" in metadata else ""


def usable_providers() -> dict[str, str]:
    """For each provider that onnxruntime offers: ``works``, or why the built-in model fails."""
    from depthrt.model.depth_model import DepthModel
    from depthrt.model.providers import PROVIDERS, short_name
    from depthrt.model.session import import_onnxruntime

    try:
        offered = import_onnxruntime().get_available_providers()
    except DepthrtError as error:
        return {"none": str(error)}
    found = {}
    for name in (short_name(full) for full in offered):
        if name not in PROVIDERS:
            continue
        try:
            DepthModel.load(provider=name).warm_up()
            found[name] = "works"
        except DepthrtError as error:
            found[name] = str(error)
    return found


def display() -> bool:
    """Whether windows have a display."""
    from depthrt.sinks.image import has_display

    return has_display()


def cameras() -> list[int]:
    """Numbers of the cameras that open and deliver a picture."""
    from depthrt.sources.base import Selection
    from depthrt.sources.live.camera import open_camera

    numbers = list(range(_MAX_CAMERAS))
    if sys.platform == "linux":
        numbers = [n for n in numbers if Path(f"/dev/video{n}").exists()]
    found = []
    for number in numbers:
        try:
            open_camera(number, Selection()).close()
            found.append(number)
        except DepthrtError:
            continue
    return found


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.codec.Codec(name, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
