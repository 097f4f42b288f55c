"""KServe's InferenceService of a model repository, as YAML.

The form: ``serving.kserve.io/v1beta1``, https://kserve.github.io/website/docs/reference/crd-api
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from depthrt.files.atomic_write import write_text
from depthrt.sinks.base import check_target
from depthrt_export.deploy.depth_file import DepthFile
from depthrt_export.deploy.settings import KserveSettings, TritonSettings
from depthrt_export.deploy.triton import Deployed, check_repository, write_repository

MANIFEST, MODELS = "inferenceservice.yaml", "models"
_LONGEST_NAME = 40  # KServe adds to it, and a host's label has 63


def write_kserve(
    file: DepthFile,
    folder: Path,
    triton: TritonSettings,
    settings: KserveSettings,
    *,
    overwrite: bool,
) -> Deployed:
    """Write ``inferenceservice.yaml``, and the model repository that it is for as ``models``.

    Raises:
        TargetError: one of them is there, and may not be replaced.
        UsageError: a setting that Kubernetes would refuse.
        WriteError: it cannot be written.
    """
    settings.check()
    check_repository(folder)
    folder.mkdir(exist_ok=True)
    manifest = folder / MANIFEST
    check_target(manifest, overwrite=overwrite)
    repository = write_repository(file, folder / MODELS, triton, overwrite=overwrite)
    write_text(manifest, manifest_text(file, settings), overwrite=overwrite)
    where = storage_uri(file, settings)
    said = "" if settings.storage_uri else " (--storage-uri says another place)"
    return Deployed(
        manifest,
        (
            f"copy what is in {folder / MODELS} to {where}{said}, then "
            f"`kubectl apply -f {manifest}`",
            *repository.notes,
        ),
    )


def service_name(file: DepthFile) -> str:
    """The model's name as Kubernetes takes it: small letters, digits and ``-``."""
    plain = re.sub(r"[^a-z0-9]+", "-", file.spec.name.lower())[:_LONGEST_NAME].strip("-")
    return plain if plain[:1].isalpha() else f"depth-{plain}".rstrip("-")


def storage_uri(file: DepthFile, settings: KserveSettings) -> str:
    """Where the nodes fetch the repository."""
    return settings.storage_uri or f"pvc://depthrt-models/{service_name(file)}"


def manifest_text(file: DepthFile, settings: KserveSettings) -> str:
    """The manifest; texts are in quotes as JSON has them, which YAML reads alike."""
    spec, quoted = file.spec, json.dumps
    least, most = settings.replicas
    resources = [f"cpu: {quoted(settings.cpus)}", f"memory: {quoted(settings.memory)}"]
    if settings.gpus:
        resources.append(f'nvidia.com/gpu: "{settings.gpus}"')
    amounts = "".join(f"          {line}\n" for line in resources)
    namespace = f"  namespace: {quoted(settings.namespace)}\n" if settings.namespace else ""
    return f"""\
# Depth by {spec.name}, {spec.kind}, larger is {spec.larger_is}, unit {spec.unit or "none"}.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {quoted(service_name(file))}
{namespace}\
  annotations:
    depthrt.io/model: {quoted(spec.name)}
    depthrt.io/sha256: {quoted(file.sha256)}
spec:
  predictor:
    minReplicas: {least}
    maxReplicas: {most}
{_canary(settings)}\
    model:
      modelFormat:
        name: onnx
      runtime: kserve-tritonserver
      protocolVersion: v2
      storageUri: {quoted(storage_uri(file, settings))}
      resources:
        requests:
{amounts}\
        limits:
{amounts}"""


def _canary(settings: KserveSettings) -> str:
    """The share of a changed model; KServe follows it in its serverless mode alone."""
    about = (
        "    # Per cent of the requests that a changed model gets. Raise it to 100, or apply the\n"
        "    # manifest of before to go back. KServe follows it in its serverless mode.\n"
    )
    if settings.canary is None:
        return f"{about}    # canaryTrafficPercent: 10\n"
    return f"{about}    canaryTrafficPercent: {settings.canary}\n"
