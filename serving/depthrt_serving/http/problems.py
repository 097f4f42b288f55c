"""What is answered where something is wrong: a status, and JSON that says why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from depthrt.errors import DepthrtError, SourceError, UsageError
from depthrt_serving.batching.refusal import RefusedError

_CODES = {
    400: "bad_request",
    401: "no_token",
    403: "forbidden",
    404: "not_found",
    405: "wrong_method",
    406: "not_acceptable",
    408: "too_slow",
    409: "not_ready",
    411: "no_length",
    413: "too_large",
    415: "unknown_type",
    422: "unusable",
    429: "too_many",
    500: "failed",
    503: "unavailable",
}


@dataclass
class ProblemError(Exception):
    """A request that is not answered with depth.

    - ``status``: of the answer;
    - ``message``: one sentence;
    - ``code``: a word for programs; empty: that of the status;
    - ``headers``: of the answer;
    - ``closes``: whether the connection is closed, as the rest of the request is not read.
    """

    status: int
    message: str
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False

    @property
    def word(self) -> str:
        """The code, or that of the status."""
        return self.code or _CODES.get(self.status, "error")

    def body(self, request_id: str, *, plain: bool = False) -> bytes:
        """The answer's JSON: ``{"error": {"code", "message", "request_id"}}``.

        ``plain``: ``{"error": message}``, as the Open Inference Protocol has it.
        """
        if plain:
            return json.dumps({"error": self.message}).encode()
        error = {"code": self.word, "message": self.message, "request_id": request_id}
        return json.dumps({"error": error}).encode()


class ClientGoneError(Exception):
    """The client closed the connection: there is nobody to answer."""


def problem_of(error: Exception) -> ProblemError:
    """What an error of any kind is to a client."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RefusedError):
        status = 503 if error.reason == "late" else 429
        wait_s = error.retry_after_s
        headers = {} if wait_s is None else retry_headers(wait_s)
        return ProblemError(status, str(error), error.reason, headers)
    if isinstance(error, (SourceError, UsageError)):
        return ProblemError(422, str(error))
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        allowed = headers.get("Allow") if error.status_code == 405 else None
        said = f"this address takes {allowed} alone" if allowed else error.detail
        return ProblemError(error.status_code, said, headers=headers)
    if isinstance(error, DepthrtError):
        return ProblemError(500, str(error))
    return ProblemError(500, "the server failed on this request; its log says why")


def retry_headers(seconds: float) -> dict[str, str]:
    """When to try again: whole seconds, as HTTP has it, and exactly."""
    return {
        "retry-after": str(max(1, math.ceil(seconds))),
        "depthrt-retry-after-ms": str(max(1, math.ceil(1e3 * seconds))),
    }
