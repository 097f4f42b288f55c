"""A TorchScript file as a module that torch.export can trace."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from depthrt.errors import ModelError, UsageError


def load_torchscript(path: Path, size: tuple[int, int] | None) -> nn.Module:
    """Load a file of ``torch.jit.save`` and turn it into an exported program's module.

    torch.export does not trace TorchScript; its converter rebuilds the graph at one size.

    Args:
        size: height and width that the program is rebuilt at.

    Raises:
        ModelError: not readable, or the converter does not know something in it.
        UsageError: the size is not said.
    """
    if size is None:
        raise UsageError("say the input size: --size HEIGHTxWIDTH, such as 192x320")
    from torch._export.converter import TS2EPConverter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls all of torch.jit deprecated
        try:
            script = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except Exception as error:  # torch.jit documents no base class
            raise ModelError(f"{path} is no readable TorchScript file") from error
        try:
            program = TS2EPConverter(script.eval().float(), (torch.zeros(1, 3, *size),)).convert()
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            raise ModelError(
                f"{path} cannot be rebuilt from TorchScript ({reason}): give its code as "
                "file.py:factory and its weights as --checkpoint"
            ) from error
    return program.module()
