"""The models that are here, and those that `depthrt pull` fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError, SourceError
from depthrt.files.json_file import read_object


def rows() -> list[dict[str, Any]]:
    """Built-in models, pulled ones and those to pull, each as a JSON object.

    ``state`` is ``built in``, ``pulled``, ``to pull``, or ``broken`` for a file of the cache that
    does not load.
    """
    from depthrt.model.catalogue.hub_models import HUB_MODELS, pulled_models
    from depthrt.model.catalogue.registry import built_in_models

    built_in, pulled = built_in_models(), pulled_models()
    found = [_here(name, path, "built in") for name, path in built_in.items()]
    found += [_here(name, path, "pulled") for name, path in pulled.items() if name not in built_in]
    for row in HUB_MODELS:
        if row.name not in pulled:
            found.append(
                {
                    "name": row.name,
                    "state": "to pull",
                    "default": False,
                    "kind": row.kind,
                    "unit": row.unit,
                    "size": list(row.size),
                    "precision": None,
                    "file_mb": row.size_mb,
                    "licence": row.licence,
                    "path": None,
                    "source": row.source,
                    "tried": row.tried,
                }
            )
    return found


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The same for a terminal."""
    told = []
    for row in found:
        size = "x".join(str(side) for side in row["size"] or ())
        state = "default" if row["default"] else row["state"]
        facts = [
            "metres" if row["unit"] else row["kind"],
            size,
            row["precision"],
            f"{row['file_mb']} MB" if row["file_mb"] is not None else None,
            row["licence"],
            "not tried" if row.get("tried") is False else None,
            row.get("problem"),
        ]
        said = ", ".join(fact for fact in facts if fact)
        mark = "" if state == "built in" else f" ({state})"
        told.append(f"{row['name']}{mark}: {said}")
    return told


def _here(name: str, path: Path, state: str) -> dict[str, Any]:
    from depthrt.model.catalogue.registry import DEFAULT_MODEL
    from depthrt.model.depth_model import DepthModel

    facts: dict[str, Any] = {
        "name": name,
        "state": state,
        "default": name == DEFAULT_MODEL,
        "file_mb": round(path.stat().st_size / 1e6, 2),
        "path": str(path),
        "source": _fetched_from(path),
    }
    try:
        spec = DepthModel.load(path, provider="cpu").spec
    except DepthrtError as error:
        nothing = dict.fromkeys(("kind", "unit", "size", "precision", "licence"))
        return {**facts, **nothing, "state": "broken", "problem": str(error)}
    return {
        **facts,
        "kind": spec.kind,
        "unit": spec.unit,
        "size": [spec.input.height, spec.input.width],
        "precision": spec.precision,
        "licence": spec.licence,
    }


def _fetched_from(path: Path) -> str | None:
    """What a pulled model was made from, ``org/repo/file@commit``; None if that is not known."""
    try:
        return read_object(path.with_suffix(".json")).text("fetched")
    except SourceError:
        return None
