"""`depthrt eval`, from its options to its results."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthrt.errors import AccuracyGateError, SourceError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.common.names import distinct_names
from depthrt_benchmarks.evaluation.dataset_warnings import findings
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import find_sets, open_dataset
from depthrt_benchmarks.evaluation.document import read_table
from depthrt_benchmarks.evaluation.gates.fail_worse import (
    WorseGate,
    WorseVerdicts,
    judge_worse,
    refuse_one_model,
)
from depthrt_benchmarks.evaluation.gates.max_abs_rel import Gate, Verdict, check_range, judge
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, choose, doubts
from depthrt_benchmarks.evaluation.scoring.clip import ClipEvaluation, evaluate_clip, is_clip
from depthrt_benchmarks.evaluation.scoring.evaluate import (
    Evaluation,
    Progress,
    Task,
    evaluate,
    limit,
)
from depthrt_benchmarks.evaluation.scoring.paired import PairedDifferences, differences
from depthrt_benchmarks.evaluation.scoring.resume_file import ResumeFile, resume_key
from depthrt_benchmarks.evaluation.scoring.truth_warnings import assumed_units


@dataclass(frozen=True)
class Job:
    """Which models to evaluate on which sets, and how.

    - ``datasets``: folders, .mat files, or clips;
    - ``against``: models, or tables of earlier evaluations (.csv), to compare the first model with;
    - ``video``: flicker and TAE where a set is a sequence;
    - ``fresh``: measure again what an interrupted run has measured;
    - ``gate``: what the first model must meet;
    - ``worse``: how much worse than each of ``against`` it may be.
    """

    model: str | None
    datasets: Sequence[str]
    against: Sequence[str] = ()
    layout: str | None = None
    choices: Choices = field(default_factory=Choices)
    reading: ReadOptions = field(default_factory=ReadOptions)
    provider: str = "auto"
    threads: int | None = None
    max_images: int | None = None
    video: bool = True
    fresh: bool = False
    gate: Gate | None = None
    worse: WorseGate | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a report needs to draw the images of an evaluation."""

    task: Task
    dataset: Dataset
    evaluation: Evaluation


@dataclass(eq=False)
class Outcome:
    """All results; they are filled in while the sets are evaluated.

    ``left_out``: folders beside the sets that are not sets, in sentences; ``verdict``, ``worse``:
    what the gates say, where there are any.
    """

    models: list[dict[str, Any]] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    clips: list[ClipEvaluation] = field(default_factory=list)
    comparisons: list[PairedDifferences] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    journals: list[ResumeFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    worse: WorseVerdicts | None = None

    @property
    def verdicts(self) -> list[Verdict | WorseVerdicts]:
        """Those of the gates that were asked for."""
        return [found for found in (self.verdict, self.worse) if found is not None]

    def raise_if_failed(self) -> None:
        """Raise what the command line turns into exit code 3.

        Raises:
            AccuracyGateError: a gate is not passed.
        """
        failures = [line for found in self.verdicts for line in found.failures]
        if failures:
            raise AccuracyGateError("; ".join(failures))

    def warnings(self) -> list[str]:
        """Every warning, with its model and set."""
        lines = list(self.left_out)
        lines += [f"{e.model} on {e.dataset}: {w}" for e in self.evaluations for w in e.warnings]
        lines += [f"{c.model} on {c.source}: {w}" for c in self.clips for w in c.warnings]
        lines += [
            f"{c.first} and {c.second} on {c.dataset}: {w}"
            for c in self.comparisons
            for w in c.warnings
        ]
        return lines


def execute(job: Job, progress: Progress) -> Outcome:
    """Evaluate every model on every set; an interruption keeps the resume files.

    Raises:
        DepthrtError: a model, a set or an option cannot be used.
    """
    if job.max_images is not None and job.max_images < 1:
        raise UsageError(f"--max-images {job.max_images} is less than 1")
    clips = [place for place in job.datasets if is_clip(place)]
    folders = [Path(place) for place in job.datasets if place not in clips]
    places = [find_sets(path, job.layout) for path in folders]
    sets = _apart(
        [open_dataset(path, kind, job.reading) for found in places for path, kind in found.known]
    )
    clip_names = distinct_names([Path(c).name for c in clips], [Path(c) for c in clips])
    names = [job.model, *(other for other in job.against if not other.endswith(".csv"))]
    models = [DepthModel.load(n, provider=job.provider, threads=job.threads) for n in names]
    if job.worse is not None:
        refuse_one_model(models[0], models[1:])
    labels = _labels(models)
    tables = [Path(other) for other in job.against if other.endswith(".csv")]
    earlier = _told_apart(labels, tables, [_earlier(path, sets) for path in tables])
    facts = [_model_facts(m, label) for m, label in zip(models, labels, strict=True)]
    outcome = Outcome(facts, [model.path for model in models])
    outcome.left_out += [
        f"{place} holds pictures, but is of no known layout and was left out (if it is no set, "
        "name the sets one by one)"
        for found in places
        for place in found.others
    ]
    for dataset in sets:
        part = limit(dataset, job.max_images)
        found = [
            _one(job, model, label, part, outcome, progress, len(dataset.items))
            for model, label in zip(models, labels, strict=True)
        ]
        others = [e for e in earlier if e.dataset == dataset.name]
        outcome.comparisons += [differences(found[0], other) for other in (*found[1:], *others)]
    for clip, name in zip(clips, clip_names, strict=True):
        for model, label in zip(models, labels, strict=True):
            measured = evaluate_clip(model, label, clip, job.max_images, progress)
            outcome.clips.append(replace(measured, source=name))
    if job.gate is not None:
        own = [found for found in outcome.evaluations if found.model == labels[0]]
        outcome.verdict = judge(job.gate, own, outcome.left_out)
    if job.worse is not None:
        bases = [*labels[1:], *dict.fromkeys(evaluation.model for evaluation in earlier)]
        outcome.worse = _beside_bases(job.worse, labels[0], bases, outcome, earlier)
    return outcome


def _beside_bases(
    gate: WorseGate,
    label: str,
    bases: Sequence[str],
    outcome: Outcome,
    earlier: Sequence[Evaluation],
) -> WorseVerdicts:
    """The first model beside each base, on every set."""
    known = {(e.model, e.dataset): e for e in (*outcome.evaluations, *earlier)}
    own = [found for found in outcome.evaluations if found.model == label]
    sides = [(found, base, known.get((base, found.dataset))) for found in own for base in bases]
    return judge_worse(gate, sides, outcome.left_out)


def _apart(sets: Sequence[Dataset]) -> list[Dataset]:
    """The sets, each by a name of its own."""
    names = distinct_names([s.name for s in sets], [s.place for s in sets])
    return [replace(s, name=name) for s, name in zip(sets, names, strict=True)]


def _earlier(path: Path, sets: Sequence[Dataset]) -> list[Evaluation]:
    """The evaluations of a table that are of these sets.

    Raises:
        SourceError: it is no table of images.
        UsageError: it holds none of the sets.
    """
    found, names = read_table(path), {dataset.name for dataset in sets}
    known = [evaluation for evaluation in found if evaluation.dataset in names]
    if sets and not known:
        held = ", ".join(dict.fromkeys(evaluation.dataset for evaluation in found))
        raise UsageError(
            f"--compare {path} is of {held}, but here {', '.join(sorted(names))} is measured: "
            "name the sets as for the table"
        )
    return known


def _told_apart(
    labels: Sequence[str], tables: Sequence[Path], found: Sequence[list[Evaluation]]
) -> list[Evaluation]:
    """Evaluations of tables; labels that occur twice get the name of their table."""
    names = distinct_names([path.name for path in tables], tables)
    sides = Counter((e.model, e.dataset) for members in found for e in members)
    return [
        replace(e, model=f"{e.model} of {name}")
        if e.model in labels or sides[e.model, e.dataset] > 1
        else e
        for name, members in zip(names, found, strict=True)
        for e in members
    ]


def _one(
    job: Job,
    model: DepthModel,
    label: str,
    dataset: Dataset,
    outcome: Outcome,
    progress: Progress,
    whole: int,
) -> Evaluation:
    protocol = choose(model.spec, dataset.customs, job.choices)
    if job.gate is not None:
        check_range(job.gate, dataset.name, protocol)
    task = Task(model, label, protocol, job.video)
    place = str(dataset.place.resolve())
    extent = [f"video {job.video}", dataset.layout, repr(job.reading), dataset.name, place]
    journal = ResumeFile.open(resume_key(model, job.threads, dataset, protocol, extent))
    outcome.journals.append(journal)
    if job.fresh:
        journal.remove()
        journal.entries.clear()

    def say(what: str, done: int, total: int) -> None:
        progress(f"{label} on {what}", done, total)

    try:
        found = evaluate(task, dataset, journal, say)
    except SourceError:  # there is nothing worth going on with
        journal.remove()
        raise
    finally:
        journal.close()
    part = len(dataset.items)
    how = "first ones" if dataset.is_sequence else "evenly spread"
    cut = [f"{part} of {whole} images ({how})"] if part < whole else []
    warnings = [
        *doubts(model.spec, protocol),
        *dataset.warnings,
        *findings(found.rows, protocol, model.spec.kind),
        *cut,
    ]
    images = min(whole + dataset.left_out, job.max_images or sys.maxsize)
    assumed = [*dataset.assumed, *(assumed_units(found.rows) if dataset.unit_assumed else [])]
    found = replace(found, warnings=warnings, images=max(images, part), assumed=assumed)
    outcome.evaluations.append(found)
    outcome.drawn.append(Drawn(task, dataset, found))
    return found


def _labels(models: Sequence[DepthModel]) -> list[str]:
    """Name and precision, with the file name where those are not unique."""
    labels = [f"{m.spec.name} {m.spec.precision}" for m in models]
    if len(set(labels)) == len(labels):
        return labels
    longer = [f"{label} ({m.path.name})" for label, m in zip(labels, models, strict=True)]
    if len(set(longer)) == len(longer):
        return longer
    return [f"{label} #{number + 1}" for number, label in enumerate(longer)]


def _model_facts(model: DepthModel, label: str) -> dict[str, Any]:
    return {
        "model": label,
        "file": model.path.name,
        "sha256": model.sha256(),
        "kind": model.spec.kind,
        "unit": model.spec.unit,
        "input": [model.spec.input.height, model.spec.input.width],
        "precision": model.spec.precision,
        "provider": model.provider,
        "tuned": None if model.tuned is None else model.tuned.options.line(),
    }


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""
