"""A model in Triton's model repository: ``NAME/config.pbtxt`` and ``NAME/1/model.onnx``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import DepthrtError, TargetError, WriteError
from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.folder_index import FolderKind
from depthrt.sinks.base import check_target
from depthrt_export.deploy.depth_file import DepthFile
from depthrt_export.deploy.settings import TritonSettings
from depthrt_export.deploy.triton_config import batch_of, config_text

VERSION = "1"
CONFIG, MODEL = "config.pbtxt", f"{VERSION}/model.onnx"
MODEL_FOLDER = FolderKind(
    "depthrt.json", "depthrt model of Triton", r"config\.pbtxt|1/model\.onnx", (VERSION,)
)


@dataclass(frozen=True)
class Deployed:
    """What was written.

    - ``place``: the folder or file that the server is to be given;
    - ``notes``: what was chosen or cannot be, in sentences.
    """

    place: Path
    notes: tuple[str, ...] = ()


def check_repository(repository: Path) -> None:
    """Make sure that a repository is a folder, or can become one.

    Raises:
        TargetError: it cannot.
    """
    if repository.exists() and not repository.is_dir():
        raise TargetError(f"{repository} is no folder: a model repository is one")
    if not repository.parent.is_dir():
        raise TargetError(f"there is no folder {repository.parent} to make {repository.name} in")


def write_repository(
    file: DepthFile, repository: Path, settings: TritonSettings, *, overwrite: bool
) -> Deployed:
    """Add a model to a repository, which is made where it is not there.

    The folder of the model comes into being whole or not at all. Other models are left as they are.

    Raises:
        TargetError: the model is there, and may not be replaced.
        WriteError: it cannot be written.
    """
    check_repository(repository)
    try:
        repository.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"{repository} cannot be made ({error.strerror or error})") from error
    place = repository / file.folder_name
    check_target(place, overwrite=overwrite, sources=[file.path], folder=True)
    draft = FolderDraft(place, MODEL_FOLDER, [MODEL_FOLDER], overwrite=overwrite)
    try:
        draft.create()
        draft.write(CONFIG, config_text(file, settings).encode())
        draft.write(MODEL, file.path.read_bytes())
        draft.finish({"model": file.spec.name, "sha256": file.sha256})
    except BaseException as error:
        draft.discard()
        if isinstance(error, OSError) and not isinstance(error, DepthrtError):
            raise WriteError(f"{place} cannot be written ({error.strerror or error})") from error
        raise
    draft.place()
    return Deployed(place, _notes(file, settings))


def _notes(file: DepthFile, settings: TritonSettings) -> tuple[str, ...]:
    spec, batch = file.spec, batch_of(file, settings)
    notes = [_batch_note(file, batch)]
    if file.folder_name != spec.name:
        notes.append(f"Triton knows it as {file.folder_name}, as {spec.name} is no folder's name")
    if file.is_open_in_size:
        notes.append("images of different sizes do not share a batch")
    rule = spec.input.resize.replace("_", "-")
    notes.append(
        f"clients resize pictures themselves, to {spec.input.height}x{spec.input.width} by the "
        f"rule {rule}: the spec is the parameter depthrt of the model's configuration"
    )
    notes.append(f"the server's onnxruntime has to know ONNX opset {file.opset}")
    return tuple(notes)


def _batch_note(file: DepthFile, batch: int) -> str:
    if file.fixed_batch is not None:
        return (
            f"the file takes {file.fixed_batch} image{'s' if file.fixed_batch > 1 else ''} an "
            "inference, so Triton does not batch: `depthrt export --dynamic batch` leaves that open"
        )
    if file.spec.precision == "int8_dynamic":
        return "one image an inference: its int8 ranges would be those of the whole batch"
    if batch == 1:
        return "one image an inference"
    return (
        f"batches of up to {batch}: a picture's depth may differ from that alone in the last digits"
    )
