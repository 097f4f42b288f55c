"""Roots of base images: Debian by debootstrap, which its official images are made with, too."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_SUITES = {"12": "bookworm", "13": "trixie"}


class DebianBases:
    """Fill folders with what `debian:13-slim` holds; a root is made once.

    Args:
        kept: the folder that roots are kept in between runs.
        mirror: of Debian; empty: debootstrap's own.
    """

    def __init__(self, kept: Path, mirror: str = "") -> None:
        self._kept, self._mirror = kept, mirror

    def __call__(self, name: str, root: Path) -> None:
        """Fill ``root``.

        Raises:
            ValueError: the image is not Debian's.
            CalledProcessError: debootstrap failed.
        """
        found = re.fullmatch(r"debian:(\d+)(?:-slim)?(?:@sha256:\w+)?", name)
        if found is None or found[1] not in _SUITES:
            raise ValueError(f"{name} cannot be made here: debian:12-slim and debian:13-slim can")
        suite = _SUITES[found[1]]
        made = self._kept / suite
        if not made.exists():
            new = self._kept / f"{suite}.new"
            shutil.rmtree(new, ignore_errors=True)
            new.parent.mkdir(parents=True, exist_ok=True)
            mirror = [self._mirror] if self._mirror else []
            command = ["debootstrap", "--variant=minbase", suite, str(new), *mirror]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            new.rename(made)
        subprocess.run(["cp", "--archive", f"{made}/.", str(root)], check=True)
