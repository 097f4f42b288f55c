"""Containerfiles are read as engines read them."""

from __future__ import annotations

import pytest

from experiments.containers.containerfile import Step, expand, health, steps


def test_continued_lines_comments_and_flags() -> None:
    text = """\
# a comment
ARG DEBIAN=debian:13-slim
FROM ${DEBIAN} AS build
RUN apt-get update; \\
    # a comment inside
    rm -rf x
copy --from=build --chown=1:2 ["a b", "/c/"]
"""
    found = list(steps(text))
    assert [(step.line, step.keyword) for step in found] == [
        (2, "ARG"),
        (3, "FROM"),
        (4, "RUN"),
        (7, "COPY"),
    ]
    assert found[1].words({"DEBIAN": "debian:13-slim"}) == ["debian:13-slim", "AS", "build"]
    assert found[2].text == "apt-get update; rm -rf x"
    assert found[3].flags == {"from": "build", "chown": "1:2"}
    assert found[3].exec_form == ["a b", "/c/"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("$A/x", "1/x"), ("${A}b", "1b"), ("${B:-two}", "two"), ("${A:-two}", "1"), ("$B.", ".")],
)
def test_variables(text: str, value: str) -> None:
    assert expand(text, {"A": "1"}) == value


def test_pairs() -> None:
    step = Step(1, "ENV", {}, 'PATH=/opt/bin:$PATH NAME="two words"')
    assert step.pairs({"PATH": "/bin"}) == {"PATH": "/opt/bin:/bin", "NAME": "two words"}


def test_a_health_check_without_a_shell() -> None:
    (step,) = steps('HEALTHCHECK --interval=1m30s --timeout=500ms --retries=5 \\\n CMD ["a", "b"]')
    found = health(step)
    assert found.command == ["a", "b"]
    assert (found.seconds, found.retries) == ({"interval": 90.0, "timeout": 0.5}, 5)
    (step,) = steps("HEALTHCHECK CMD curl -f http://127.0.0.1/")
    with pytest.raises(ValueError, match="line 1: a health check without a shell"):
        health(step)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a\nRUN x \\\n", "line 2: the last line is continued by none"),
        ("FROM a\nRUN", "line 2: RUN is no instruction"),
        ("FROM a\nRUN cat <<EOF", "line 2: heredocs"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(steps(text))
