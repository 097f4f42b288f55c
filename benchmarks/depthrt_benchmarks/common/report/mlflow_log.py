"""Logs runs with MLflow: exports, searches, benchmarks and evaluations, where ``--track`` asks.

``--track DIR`` keeps them in ``DIR/mlflow.db`` with the files beside it, without any network;
``--track URI`` (``http://...``, ``sqlite:///...``) sends them where the URI says. To look at them
and compare two: ``mlflow ui --backend-store-uri sqlite:///DIR/mlflow.db``.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import os
import re
import threading
from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from depthrt.errors import TargetError, UsageError, WriteError
from depthrt.model.depth_model import DepthModel
from depthrt.sources.display_name import shown_source, without_secrets
from depthrt.system.installation import install_command
from depthrt.system.process_settings import Borrowed, default_variables, loggers_at, no_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATABASE = "mlflow.db"
_URI_VARIABLE = "MLFLOW_TRACKING_URI"
_NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")  # what MLflow refuses in names


@dataclass(frozen=True)
class Run:
    """One run of MLflow.

    - ``kind``: ``export``, ``search``, ``bench``, ``compare`` or ``eval``; MLflow's experiment is
      ``depthrt-KIND``;
    - ``parameters``: what was asked for, nested mappings allowed;
    - ``metrics``: what came out; numbers that are not finite are left out;
    - ``documents``: JSON by file name; ``files``: reports;
    - ``model``: a depthrt model file, logged with its spec as signature.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    model: Path | None = None


def check(target: str) -> None:
    """Make sure, before any work, that runs can be logged to ``target``, a folder or a URI.

    Raises:
        UsageError: MLflow is not installed.
        TargetError: the folder cannot be made or written, or holds a database that is not MLflow's.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise UsageError(f"--track needs MLflow: {install_command('track')}")
    if "://" in target:
        return
    try:
        Path(target).mkdir(parents=True, exist_ok=True)
        fine = os.access(target, os.W_OK)
    except OSError as error:
        raise TargetError(f"--track {target}: {error.strerror or error}") from error
    if not fine:
        raise TargetError(f"--track {target}: the folder cannot be written")
    database = Path(target) / _DATABASE
    if database.exists() and not _is_of_mlflow(database):
        raise TargetError(f"--track {target}: {database} is no database of MLflow: give another")


def _is_of_mlflow(database: Path) -> bool:
    """Whether a file is a database of MLflow, which would add its tables to any other."""
    import sqlite3

    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error:
        return False
    names = {name for (name,) in rows}
    return not names or {"experiments", "runs", "alembic_version"} <= names


def log(target: str, run: Run) -> str:
    """Log a run and return its id.

    Raises:
        WriteError: MLflow cannot be reached or refuses; what the command made is not touched.
    """
    with _one_at_a_time, no_warnings(), _no_telemetry():
        try:
            return _log(target, run)
        except Exception as error:  # of MLflow, SQLAlchemy, requests: they share no base class
            said = " ".join(str(error).split()) or type(error).__name__
            reason = without_secrets(said, target)[:200]
    # Not chained: MLflow's own error holds the address, and with it the password.
    raise WriteError(f"--track {shown_source(target)}: the run could not be logged ({reason})")


def _log(target: str, run: Run) -> str:
    import mlflow

    with _no_log_lines(), _tracking_uri(_uri(target)):
        number = _experiment(target, f"depthrt-{run.kind}")
        with mlflow.start_run(experiment_id=number, run_name=run.name) as active:
            mlflow.log_params(flat(run.parameters))
            mlflow.log_metrics(_metrics(run.metrics))
            for name, content in run.documents.items():
                mlflow.log_text(json.dumps(content, indent=1, default=str), name)
            for path in run.files:
                mlflow.log_artifact(str(path))
            if run.model is not None:
                _log_model(run.model)
            return str(active.info.run_id)


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as ``outer.inner``, without those that are None and without passwords."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = _name(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found.update(flat(value, f"{name}."))
        elif value is not None:
            found[name] = without_secrets(value) if isinstance(value, str) else value
    return found


def _uri(target: str) -> str:
    return target if "://" in target else f"sqlite:///{Path(target).resolve() / _DATABASE}"


def _experiment(target: str, name: str) -> str:
    import mlflow

    known = mlflow.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    place = None if "://" in target else (Path(target).resolve() / "artifacts").as_uri()
    return str(mlflow.create_experiment(name, artifact_location=place))


def _metrics(found: Mapping[str, float]) -> dict[str, float]:
    return {_name(key): float(v) for key, v in found.items() if math.isfinite(v)}


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("_", text)


def _log_model(path: Path) -> None:
    """Log the model in MLflow's ONNX form, or as a plain file where onnx is not installed."""
    import mlflow
    from mlflow.models.signature import ModelSignature
    from mlflow.types import Schema, TensorSpec

    model = DepthModel.load(path, provider="cpu", threads=1)
    spec, batch = model.spec, model.fixed_batch or -1
    sides = (-1, -1) if model.dynamic_size else (spec.input.height, spec.input.width)
    mlflow.log_dict(json.loads(spec.to_json()), "spec.json")
    if importlib.util.find_spec("onnx") is None:
        mlflow.log_artifact(str(path), "model")
        return
    import mlflow.onnx
    import onnx

    image = TensorSpec(np.dtype(np.uint8), (batch, 3, *sides), "image")
    depth = TensorSpec(np.dtype(np.float32), (batch, *sides), "depth")
    mlflow.onnx.log_model(
        onnx.load(path),
        name="model",
        signature=ModelSignature(inputs=Schema([image]), outputs=Schema([depth])),
        metadata={"depthrt": asdict(spec)},
        pip_requirements=["onnxruntime"],  # else MLflow loads the model to find out
    )


_one_at_a_time = threading.Lock()  # MLflow keeps one address for the whole process
_no_telemetry = Borrowed(lambda: default_variables({"MLFLOW_DISABLE_TELEMETRY": "true"}))
_no_log_lines = Borrowed(lambda: loggers_at(logging.ERROR, "mlflow", "alembic"))


@contextmanager
def _tracking_uri(uri: str) -> Iterator[None]:
    """Send MLflow's logs to ``uri`` for a block; MLflow also keeps it in the environment."""
    import mlflow

    before = os.environ.get(_URI_VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: nowhere
        if before is None:
            os.environ.pop(_URI_VARIABLE, None)
        else:
            os.environ[_URI_VARIABLE] = before
