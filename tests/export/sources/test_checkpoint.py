"""Weights from every form of file that trainers leave, and what is refused."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from depthrt.errors import ModelError, UsageError
from depthrt_export.sources.checkpoint import read_state, read_states
from depthrt_export.sources.fit_state import fit_state


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))


STATE = {
    name: torch.randn_like(v.float()).to(v.dtype) for name, v in network().state_dict().items()
}
WEIGHT = STATE["0.weight"]


def saved(folder: Path, content: Any, name: str = "weights.pt") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (STATE, ""),
        ({"state_dict": STATE, "epoch": 9}, ""),
        ({"model": STATE, "optimizer": {"state": {}, "lr": 0.1}}, ""),
        ({"model": STATE, "model_ema": STATE}, "model_ema"),
        ({"run": {"best": STATE}}, "run.best"),
        ({"step": 3, "weights_of_mine": STATE}, ""),
    ],
)
def test_state_is_found(content: Any, key: str, tmp_path: Path) -> None:
    state = read_state(saved(tmp_path, content, "w.pth.tar"), key)
    assert torch.equal(state["0.weight"], WEIGHT)
    assert len(state) == len(STATE)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_prefix_is_taken_off(prefix: str, tmp_path: Path) -> None:
    module = network()
    state = {prefix + name: value for name, value in STATE.items()}
    assert fit_state(module, state, tmp_path).prefix == prefix
    assert torch.equal(module.state_dict()["0.weight"], WEIGHT)


def test_prefix_that_belongs_to_the_network_stays(tmp_path: Path) -> None:
    outer = nn.Module()
    outer.model = network()
    assert fit_state(outer, {"model." + n: v for n, v in STATE.items()}, tmp_path).prefix == ""


def test_safetensors_in_half_precision_becomes_float32(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({n: v.half() if v.is_floating_point() else v for n, v in STATE.items()}, path)
    module = network()
    fit_state(module, read_state(path), path)
    assert module.state_dict()["0.weight"].dtype == torch.float32
    assert torch.equal(module.state_dict()["0.weight"], WEIGHT.half().float())


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    state: dict[str, Tensor | None] = {
        **STATE,
        **{k.replace("_", "."): v for k, v in changes.items()},
    }
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (changed(**{"2_bias": None}), "1 missing (2.bias)"),
        (changed(extra=torch.zeros(1)), "1 unexpected (extra)"),
        (
            {f"encoder_{name}": value for name, value in STATE.items()},
            "8 missing (0.weight, 0.bias, 1.weight, ...); 9 unexpected (encoder_0.weight,",
        ),
        (
            changed(**{"2_weight": torch.zeros(1, 8, 1, 1)}),
            "1 weights of another shape, first 2.weight is (1, 8, 1, 1), the network has",
        ),
        (changed(**{"2_bias": torch.tensor([float("nan")])}), "1 non-finite weights (2.bias)"),
    ],
)
def test_checkpoint_that_does_not_fit(state: dict[str, Tensor], sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        fit_state(network(), state, Path("weights.pt"))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("checkpoint weights.pt ")
    assert caught.value.exit_code == 2


def test_batch_norm_counters_may_be_absent() -> None:
    state = {n: v for n, v in STATE.items() if not n.endswith("num_batches_tracked")}
    assert fit_state(network(), state, Path("old.pt")).prefix == ""


def test_pickle_with_code_is_refused_without_trust(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": STATE, "args": argparse.Namespace(lr=0.1)})
    with pytest.raises(ModelError, match="holds code beside its weights"):
        read_state(path)
    assert torch.equal(read_state(path, trust_code=True)["0.weight"], WEIGHT)


def test_whole_module_needs_trust(tmp_path: Path) -> None:
    path = saved(tmp_path, nn.Conv2d(3, 1, 1))
    with pytest.raises(ModelError, match="--trust-code"):
        read_state(path)
    assert set(read_state(path, trust_code=True)) == {"weight", "bias"}


def hostile(form: str, path: Path, ran: Path) -> Path:
    """A checkpoint that makes the folder ``ran`` when it is unpickled."""

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    content = {"state_dict": STATE, "extra": Touch()}
    if form == "tar":
        with tarfile.open(path, "w") as archive:
            for name in ("storages", "tensors", "pickle"):
                data = pickle.dumps(Touch())
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    elif form == "pickle":
        path.write_bytes(pickle.dumps(content))
    elif form == "archive in an archive":
        torch.save(content, path)
        inner = path.read_bytes()
        with zipfile.ZipFile(path, "w") as outer:
            outer.writestr("archive/data.pkl", pickle.dumps(Touch(), protocol=2))
            outer.writestr("archive/inner.pt", inner)
            outer.writestr("archive/version", "3")
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


@pytest.mark.parametrize("form", ["zip", "legacy", "tar", "pickle", "archive in an archive"])
def test_code_in_a_checkpoint_of_any_form_does_not_run(form: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = hostile(form, tmp_path / "weights.pth.tar", ran)
    with pytest.raises(ModelError, match="or give --trust-code if you trust where") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert not ran.exists()


def test_refusal_names_the_code(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": STATE, "args": argparse.Namespace(lr=0.1)})
    with pytest.raises(ModelError, match=r"holds code beside its weights \(argparse.Namespace\)"):
        read_state(path)
    script = tmp_path / "script.pt"
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        torch.jit.trace(nn.Identity(), torch.zeros(1)).save(  # type: ignore[no-untyped-call]
            str(script)
        )
    with pytest.raises(ModelError, match="is a TorchScript file, which is code beside its weights"):
        read_state(script)


@pytest.mark.parametrize(
    ("content", "key", "sentence"),
    [
        ({"a": STATE, "b": STATE}, "", r"several state dicts \(a, b\): choose by --key"),
        ({"epoch": 3}, "", "holds no state dict: its keys are 'epoch'"),
        ([1, 2], "", "holds no state dict: it is a list"),
        ({"a": STATE}, "b", "has no 'b': its keys are 'a'"),
    ],
)
def test_file_without_a_clear_state(content: Any, key: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_state(saved(tmp_path, content), key)


@pytest.mark.parametrize("name", ["noise.pt", "noise.safetensors"])
def test_file_that_is_no_checkpoint(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80nothing that anyone could read")
    with pytest.raises(ModelError, match=f"{name} is no "):
        read_state(tmp_path / name)
    with pytest.raises(ModelError, match="no checkpoint at"):
        read_state(tmp_path / "absent.pt")


class Renaming(nn.Module):
    """Takes the names of its old checkpoints, as torchvision's and timm's networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 1, 1)
        self.register_buffer("grid", torch.zeros(2))

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        for name in [n for n in state if n.startswith(f"{prefix}last.")]:
            state[f"{prefix}head.{name.removeprefix(f'{prefix}last.')}"] = state.pop(name)
        super()._load_from_state_dict(state, prefix, *rest)


OLD = {"last.weight": torch.ones(1, 3, 1, 1), "last.bias": torch.ones(1), "grid": torch.ones(2)}


def test_what_torch_itself_loads_is_taken() -> None:
    module = Renaming()
    assert fit_state(module, OLD, Path("old.pt")).notes == ()
    assert module.head.weight.sum() == 3
    plain = nn.Conv2d(3, 2, 1)
    with pytest.warns(FutureWarning, match="weight_norm"):
        old = nn.utils.weight_norm(nn.Conv2d(3, 2, 1))
    new = nn.utils.parametrizations.weight_norm(plain)
    fit_state(new, old.state_dict(), Path("old.pt"))
    torch.testing.assert_close(new.weight, old.weight)


@pytest.mark.parametrize(
    ("state", "prefix", "foreign"),
    [
        (torch.optim.swa_utils.AveragedModel(network()).state_dict(), "module.", ("n_averaged",)),
        (
            {**{f"net.{n}": v for n, v in STATE.items()}, "loss.vgg.weight": torch.ones(1)},
            "net.",
            ("loss.vgg.weight",),
        ),
        ({f"student.{n}": v for n, v in STATE.items()}, "student.", ()),
    ],
)
def test_names_of_others_do_not_hide_a_prefix(
    state: dict[str, Tensor], prefix: str, foreign: tuple[str, ...]
) -> None:
    fitted = fit_state(network(), state, Path("x.pt"))
    assert (fitted.prefix, fitted.left_out) == (prefix, foreign)
    said = f"left out of the checkpoint, as not the network's: {', '.join(foreign)}"
    assert fitted.notes == ((said,) if foreign else ())


def test_averaged_weights_beside_others_are_said_and_can_be_chosen(tmp_path: Path) -> None:
    ema = {name: value + 1 for name, value in STATE.items()}
    nested = saved(tmp_path, {"model": STATE, "model_ema": ema})
    state, said = read_states(nested)
    assert torch.equal(state["0.weight"], WEIGHT)
    assert said == (
        "model was taken of the checkpoint, which also holds model_ema; say --key for another"
    )
    flat = saved(
        tmp_path,
        {
            **{f"model_ema.{n}": v for n, v in ema.items()},
            **{f"model.{n}": v for n, v in STATE.items()},
        },
        "flat.pt",
    )
    module = network()
    fitted = fit_state(module, read_state(flat), flat)
    assert fitted.prefix == "model."
    assert fitted.notes == (said,)
    fit_state(module, read_state(flat, "model_ema"), flat)
    assert torch.equal(module.state_dict()["0.weight"], WEIGHT + 1)


def test_stale_buffers_are_left_out_by_name() -> None:
    state = {**OLD, "attention.mask": torch.ones(4), "attention.index": torch.ones(4)}
    with pytest.raises(ModelError, match=r"2 unexpected \(.*\): if .* leave them out by --ignore"):
        fit_state(Renaming(), state, Path("x.pt"))
    fitted = fit_state(Renaming(), state, Path("x.pt"), ["attention.*"])
    assert fitted.left_out == ("attention.mask", "attention.index")
    assert fitted.notes[0].startswith("left out of the checkpoint by --ignore: attention.mask, ")
    lacking = {name: value for name, value in OLD.items() if name != "grid"}
    fit_state(Renaming(), lacking, Path("x.pt"), ["grid"])
    with pytest.raises(UsageError, match="--ignore nothing: neither checkpoint nor network has"):
        fit_state(Renaming(), OLD, Path("x.pt"), ["nothing"])
    del lacking["last.bias"]
    with pytest.raises(ModelError, match=r"1 missing \(head.bias\)"):
        fit_state(Renaming(), lacking, Path("x.pt"), ["grid"])
