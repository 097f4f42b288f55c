"""The image of `containers/Containerfile.cpu`, built and used without a container engine.

Every step is done in folders: the base image is made by debootstrap, RUN steps run in it, and the
last stage becomes the root, mounted read-only, of a process with its own mounts, processes and
network, as the image's user and without any privilege. There the server has to become healthy by
the image's own health check, to give the depth that this machine's depthrt gives, and to end with 0
at SIGTERM after it has answered what it was asked. Where Prometheus is installed, it scrapes the
server; its alert has to fire when the server ends, and to clear when it is back. Needs root,
debootstrap, and Debian's and Python's packages: about six minutes.

    python -m experiments.containers.replay

Where a step reaches the packages only with this machine's settings, they are lent:

    python -m experiments.containers.replay \\
        --lend ca.crt:/tmp/ca.crt --lend-variable PIP_CERT=/tmp/ca.crt
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result
from experiments.containers.bases import DebianBases
from experiments.containers.build import Aid, Build, Image, size_mb
from experiments.containers.containerfile import read
from experiments.containers.served import try_commands, try_server
from experiments.containers.watched import try_watched

ROOT = Path(__file__).parents[3]
RESULT = ROOT / "benchmarks" / "results" / "container_cpu.json"
CONTAINERFILE = ROOT / "containers" / "Containerfile.cpu"
_LARGEST = 12


def tell(line: str) -> None:
    """Say how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def largest(root: Path) -> dict[str, float]:
    """The packages of Python and the folders of /usr that weigh most, in MB."""
    folders = [
        path for glob in ("opt/*/lib/*/site-packages/*", "usr/*") for path in root.glob(glob)
    ]
    sizes = {str(path.relative_to(root)): size_mb(path) for path in folders if path.is_dir()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1])[:_LARGEST])


def replay(file: Path, work: Path, kept: Path, aid: Aid, mirror: str = "") -> dict[str, Any]:
    """Build the image, try it, and return what was found.

    Raises:
        CalledProcessError: a step failed.
        ReplayError: the image does not do what it should.
    """
    start_s = time.monotonic()
    build = Build(ROOT, work, DebianBases(kept, mirror), aid=aid, tell=tell)
    image = build.run(read(file))
    built_s = round(time.monotonic() - start_s)
    return {
        "containerfile": str(file.relative_to(ROOT)),
        "image_mb": size_mb(image.root),
        "steps_mb": image.mb,
        "largest_mb": largest(image.root),
        "built_s": built_s,
        "user": image.user,
        "server": try_server(image, work),
        "commands": try_commands(image, work),
        "prometheus": try_watched(image, work),
        "holds": contents(image),
    }


def contents(image: Image) -> dict[str, bool]:
    """What the image should not hold, and whether it does."""
    packages = {path.name for path in image.root.glob("opt/*/lib/*/site-packages/*")}
    tools = ("sh", "bash", "apt-get", "dpkg", "gcc", "pip")
    found = {tool: any((image.root / place / tool).exists() for place in _PLACES) for tool in tools}
    return {**found, **{name: name in packages for name in ("torch", "pip", "PyQt5")}}


_PLACES = ("bin", "usr/bin", "usr/local/bin", "opt/depthrt/bin")


def main() -> None:
    """Replay the Containerfile and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containerfile", type=Path, default=CONTAINERFILE)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--work", type=Path, help="a folder for the roots; it is emptied first")
    parser.add_argument("--mirror", default="", help="of Debian, for debootstrap")
    parser.add_argument("--lend", action="append", default=[], metavar="FILE:INSIDE")
    parser.add_argument("--lend-variable", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    lent = [pair.split(":", 1) for pair in options.lend]
    aid = Aid(
        {inside: Path(file).resolve() for file, inside in lent},
        dict(pair.split("=", 1) for pair in options.lend_variable),
    )
    kept = (options.work or Path(tempfile.mkdtemp(prefix="replay-"))).resolve()
    work = kept / "stages"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found = replay(options.containerfile.resolve(), work, kept, aid, options.mirror)
    write_result(options.result, found)
    tell(f"{found['image_mb']} MB, healthy after {found['server']['healthy_after_s']} s")
    if options.work is None:
        shutil.rmtree(kept)


if __name__ == "__main__":
    main()
