"""All clips: bounded in number and space, run one at a time, removed when they are old."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from depthrt.spec import InputSpec
from depthrt_serving.clips.clip_folder import ClipFolder, remove_abandoned
from depthrt_serving.clips.clip_job import ClipJob, ClipWishes
from depthrt_serving.settings import Limits

_WATCH_S = 0.5
_CLEAN_S = 60.0  # every so often what is too old is removed
_ENDING_S = 5.0


class NoSpaceError(Exception):
    """There are as many clips as are kept, or their files take as much space as they may.

    - ``retry_after_s``: when the oldest result is removed, at the latest.
    """

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class ClipStore:
    """The clips of a server.

    Args:
        model: the file of the model.
        provider: that it runs on.
        spec: of its input.
        limits: how many clips are kept, how large, and for how long.
    """

    def __init__(self, model: Path, provider: str, spec: InputSpec, limits: Limits) -> None:
        self._model, self._provider, self._spec, self._limits = model, provider, spec, limits
        self._jobs: dict[str, ClipJob] = {}
        self._waiting: queue.SimpleQueue[ClipJob | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._folder: ClipFolder | None = None
        remove_abandoned()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    def jobs(self) -> list[ClipJob]:
        """All that are kept, the oldest first; those that are too old are removed."""
        for job in list(self._jobs.values()):
            if job.ended_s is not None and self._left_s(job) <= 0:
                self.remove(job)
        return list(self._jobs.values())

    def get(self, name: str) -> ClipJob | None:
        """The job with this id; None if there is none, or no more."""
        return next((job for job in self.jobs() if job.id == name), None)

    def reserve(self, wishes: ClipWishes) -> ClipJob:
        """A place for a clip whose video is about to come.

        Raises:
            NoSpaceError: there is none.
        """
        if len(self.jobs()) >= self._limits.clips:
            raise NoSpaceError(f"{self._limits.clips} clips are kept already", self._retry_s())
        self.check_space(0)
        if self._folder is None:
            self._folder = ClipFolder()
        job = ClipJob(Path(tempfile.mkdtemp(dir=self._folder.path)), wishes)
        self._jobs[job.id] = job
        return job

    def check_space(self, more: int) -> None:
        """Make sure that there is space for so many bytes more.

        Raises:
            NoSpaceError: there is not.
        """
        if self._bytes() + more > self._limits.clips_bytes:
            said = f"clips take {self._limits.clips_bytes / 1e6:.0f} MB already, which is the most"
            raise NoSpaceError(said, self._retry_s())

    def run(self, job: ClipJob, source: Path) -> None:
        """Let a job run, after those that wait."""
        job.source = source
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_all, name="clips", daemon=True)
            self._thread.start()
        self._waiting.put(job)

    def remove(self, job: ClipJob) -> None:
        """End a job and remove all of it."""
        job.is_removed = True
        self._jobs.pop(job.id, None)
        if job.process is not None:
            job.process.kill()
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """End all jobs and remove everything."""
        self._is_closed = True
        self._waiting.put(None)
        for job in list(self._jobs.values()):
            self.remove(job)
        if self._thread is not None:
            self._thread.join(_ENDING_S)
        if self._folder is not None:
            self._folder.remove()

    def _bytes(self) -> int:
        return sum(job.bytes() for job in list(self._jobs.values()))

    def _left_s(self, job: ClipJob) -> float:
        ended_s = time.monotonic() if job.ended_s is None else job.ended_s
        return ended_s + self._limits.clip_kept_s - time.monotonic()

    def _retry_s(self) -> float:
        return max(1.0, min((self._left_s(job) for job in self._jobs.values()), default=1.0))

    def _run_all(self) -> None:
        while not self._is_closed:
            try:
                job = self._waiting.get(timeout=_CLEAN_S)
            except queue.Empty:
                self.jobs()
                continue
            if job is not None and not job.is_removed:
                self._run_one(job)

    def _run_one(self, job: ClipJob) -> None:
        job.state = "running"
        over = threading.Event()
        try:
            with job.start(self._model, self._provider, self._spec) as process:
                job.process = process
                if job.is_removed:  # it was removed while the process began
                    process.kill()
                watcher = threading.Thread(target=self._watch, args=(job, process, over))
                watcher.start()
                try:
                    for line in process.stdout or ():
                        _note(job, line)
                finally:
                    code = process.wait()
                    over.set()
                    watcher.join()
        except OSError as error:
            job.error, code = f"the job could not be started ({error.strerror})", 1
        finally:
            job.process = None
        if code and job.error is None:
            job.error = f"the job ended with code {code}"
        job.source.unlink(missing_ok=True)
        job.ended_s = time.monotonic()
        job.state = "failed" if job.error else "done"
        if job.is_removed or job.error:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _watch(self, job: ClipJob, process: subprocess.Popen[str], over: threading.Event) -> None:
        """End a job whose result takes too much space."""
        while not over.wait(_WATCH_S):
            try:
                self.check_space(0)
            except NoSpaceError as error:
                job.error = f"ended, as {error}"
                process.kill()
                return


def _note(job: ClipJob, line: str) -> None:
    """Take over what the process says."""
    with suppress(ValueError):
        said = json.loads(line)
        job.total = said.get("total", job.total)
        job.frames = said.get("frames", job.frames)
        job.error = job.error or said.get("error")
        job.warnings = said.get("warnings", job.warnings)
