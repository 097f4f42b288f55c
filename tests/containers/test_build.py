"""What of a build needs no namespaces: copying, variables, and what an image says of itself."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from experiments.containers.build import Build, Image
from experiments.containers.containerfile import steps
from experiments.containers.ignored import context_files, is_left_out, read_rules


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    for name in ("app/a.py", "app/__pycache__/a.pyc", "app/data/b.bin", "secret/key", "notes.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".dockerignore").write_text("# only the app\n*\n!app\n**/__pycache__\n")
    return folder


def built(context: Path, text: str) -> Image:
    work = context.parent / "work"
    work.mkdir()

    def base(name: str, root: Path) -> None:
        (root / "etc").mkdir()
        (root / "etc" / "base").write_text(name)

    return Build(context, work, base).run(steps(text))


def test_only_what_is_not_ignored_is_seen(context: Path) -> None:
    assert list(context_files(context)) == [
        PurePosixPath("app/a.py"),
        PurePosixPath("app/data/b.bin"),
    ]


@pytest.mark.parametrize(
    ("rules", "path", "left_out"),
    [
        ("*.md", "notes.md", True),
        ("*.md", "docs/notes.md", False),
        ("**/*.md", "docs/deep/notes.md", True),
        ("**/*.md", "notes.md", True),
        ("docs", "docs/notes.md", True),
        ("docs\n!docs/notes.md", "docs/notes.md", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
    ],
)
def test_rules_of_what_is_ignored(rules: str, path: str, left_out: bool) -> None:
    assert is_left_out(PurePosixPath(path), read_rules(rules)) is left_out


def test_stages_are_copied_from_one_another(context: Path) -> None:
    image = built(
        context,
        """\
ARG BASE=debian:13-slim
FROM ${BASE} AS build
WORKDIR /src
COPY . .
COPY app/a.py other/
FROM scratch
ARG VERSION=1.2
LABEL version="${VERSION}" title="two words"
COPY --from=build /src /opt
COPY --from=build /etc/base /etc/base
ENV PATH=/opt/bin:$PATH ONE=1
ENV TWO=${ONE}2
USER 10:20
WORKDIR /work
VOLUME ["/cache"]
EXPOSE 8000
HEALTHCHECK --interval=5s CMD ["true"]
ENTRYPOINT ["depthrt"]
CMD ["serve"]
""",
    )
    files = {str(p.relative_to(image.root)) for p in image.root.rglob("*") if p.is_file()}
    assert files == {"opt/app/a.py", "opt/app/data/b.bin", "opt/other/a.py", "etc/base"}
    assert (image.root / "etc" / "base").read_text() == "debian:13-slim"
    assert image.environment["PATH"].startswith("/opt/bin:/usr/local/sbin:")
    assert image.environment["TWO"] == "12"
    assert image.labels == {"version": "1.2", "title": "two words"}
    assert (image.uid_gid, image.workdir, image.volumes) == ((10, 20), "/work", ["/cache"])
    assert image.health is not None
    assert [*image.entrypoint, *image.command] == ["depthrt", "serve"]
    assert (image.root / "work").is_dir()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ONBUILD RUN x", "line 2: ONBUILD is not known here"),
        ("CMD depthrt serve", "line 2: CMD needs a shell"),
        ("RUN --mount=type=cache,target=/x true", "line 2: RUN --mount is not done here"),
        ("COPY --chmod=755 app /app", "line 2: COPY --chmod is not done here"),
    ],
)
def test_what_is_not_done_is_refused(context: Path, line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        built(context, f"FROM scratch\n{line}\n")
