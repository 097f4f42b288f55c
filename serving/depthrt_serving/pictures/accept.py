"""Which form of depth a client wants, by its Accept header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from depthrt_serving.http.problems import ProblemError


class Form(Enum):
    """A form of depth."""

    JSON = "application/json"
    CODES = "image/png"
    NPY = "application/x-npy"
    NPZ = "application/x-npz"
    COLOUR = "image/png;view=colour"

    @property
    def media(self) -> str:
        """Its media type without parameters."""
        return self.value.partition(";")[0]


class _Wish(NamedTuple):
    media: str
    colour: bool
    quality: float


def wanted_form(accept: str, view: str | None, *, measures: bool) -> Form:
    """The form that is wanted most.

    Args:
        accept: the header; empty: anything.
        view: ``colour`` of the query: a PNG is one to look at.
        measures: points or boxes are asked for, which only JSON has.

    Raises:
        ProblemError: a form that there is not.
    """
    if view not in (None, "colour", "depth"):
        raise ProblemError(400, f"view={view} is neither depth nor colour")
    named = [text for text in accept.split(",") if text.strip()] or ["*/*"]
    wishes = sorted(map(_wish, named), key=lambda wish: -wish.quality)
    for wish in wishes:
        form = _form(wish, colour=wish.colour or view == "colour", measures=measures)
        if form is not None and wish.quality > 0:
            if measures and form is not Form.JSON:
                raise ProblemError(406, "points and boxes are answered in application/json")
            return form
    forms = ", ".join(form.value for form in Form)
    raise ProblemError(406, f"depth is answered as one of {forms}")


def _form(wish: _Wish, *, colour: bool, measures: bool) -> Form | None:
    if wish.media in ("*/*", "*"):  # as old clients have it
        return Form.COLOUR if colour and not measures else Form.JSON
    if wish.media in ("image/png", "image/*"):
        return Form.COLOUR if colour else Form.CODES
    if wish.media in ("application/json", "application/*"):
        return Form.JSON
    arrays = (form for form in (Form.NPY, Form.NPZ) if form.media == wish.media)
    return next(arrays, None)


def _wish(text: str) -> _Wish:
    media, *rest = (part.strip().lower() for part in text.split(";"))
    parameters = dict(part.split("=", 1) for part in rest if "=" in part)
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 0.0
    return _Wish(media, parameters.get("view") in ("colour", "color"), quality)
