"""No code in a .pt2 file runs without --trust-code, however the file brings it."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from depthrt.errors import ModelError
from depthrt_export.options import SourceOptions
from depthrt_export.sources.load import load_network

SAID = SourceOptions(kind="depth", size=(16, 24))
PICTURE = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
Members = dict[str, bytes]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 1, 1)
        self.register_buffer("gain", torch.tensor([2.0]))

    def forward(self, x: Tensor) -> Tensor:
        low = nn.functional.interpolate(self.first(x), scale_factor=0.5, mode="bilinear")
        depth: Tensor = self.head(torch.relu(low)) * self.gain + torch.tensor([1.0])
        return torch.einsum("nchw,cd->ndhw", depth, torch.eye(1)).softmax(-1)


class Touch:
    """What a hostile pickle holds: unpickling it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """A good file's members, without the folder that holds them."""
    path = tmp_path_factory.mktemp("pt2") / "good.pt2"
    torch.export.save(torch.export.export(Net().eval(), (PICTURE,)), path)
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def written(path: Path, members: Members, extra: list[tuple[str, bytes]] | None = None) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in [*members.items(), *(extra or [])]:
            archive.writestr(f"good/{name}", data)
    return path


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def changed(members: Members, name: str, change: Callable[[Any], Any]) -> Members:
    """The members with one JSON document changed in place."""
    document = json.loads(members[name])
    change(document)
    return {**members, name: json.dumps(document).encode()}


def pickled_weight(members: Members, ran: Path) -> Members:
    def change(document: Any) -> None:
        document["config"]["head.bias"] |= {"use_pickle": True, "path_name": "weight_77"}

    made = changed(members, WEIGHTS + "model_weights_config.json", change)
    return {**made, WEIGHTS + "weight_77": saved(Touch(ran))}


def constant(members: Members, name: str, data: bytes) -> Members:
    entry = {"path_name": name, "is_param": False, "use_pickle": True, "tensor_meta": None}

    def change(document: Any) -> None:
        document["config"]["odd"] = entry

    made = changed(members, CONSTANTS + "model_constants_config.json", change)
    return {**made, CONSTANTS + name: data}


def pickled_constant(members: Members, ran: Path) -> Members:
    return constant(members, "tensor_77", saved(Touch(ran)))


def opaque_constant(members: Members, ran: Path) -> Members:
    return constant(members, "opaque_obj_0", pickle.dumps(Touch(ran)))


def script_object(members: Members, ran: Path) -> Members:
    return constant(members, "custom_obj_0", pickle.dumps(Touch(ran)))


def sample_input(members: Members, ran: Path) -> Members:
    return {**members, "data/sample_inputs/model.pt": saved(((Touch(ran),), {}))}


def legacy_weights(members: Members, ran: Path) -> Members:
    return {**members, WEIGHTS + "model.pt": saved({"head.bias": Touch(ran)})}


def archive_in_an_archive(members: Members, ran: Path) -> Members:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("inner/data.pkl", pickle.dumps(Touch(ran)))
        archive.writestr("inner/version", "3")
    return {**pickled_weight(members, ran), WEIGHTS + "weight_77": inner.getvalue()}


def program(members: Members, change: Callable[[Any], Any]) -> Members:
    return changed(members, "models/model.json", change)


def function_for_an_operator(members: Members, ran: Path) -> Members:
    def change(document: Any) -> None:
        node = document["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.os.mkdir"
        node["inputs"] = [{"name": "path", "arg": {"as_string": str(ran)}, "kind": 1}]

    return program(members, change)


def operator_that_writes(members: Members, ran: Path) -> Members:
    def change(document: Any) -> None:
        node = document["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(ran)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 4}, "kind": 1},
        ]

    return program(members, change)


def code_for_a_size(members: Members, ran: Path) -> Members:
    def change(document: Any) -> None:
        code = f"__import__('os').mkdir({str(ran)!r})"
        values = document["graph_module"]["graph"]["tensor_values"]
        values["relu"]["sizes"][0] = {"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}

    return program(members, change)


def code_for_a_name(members: Members, ran: Path) -> Members:
    code = f"x = __import__('os').mkdir({str(ran)!r}); relu"
    content = members["models/model.json"].decode()
    return {**members, "models/model.json": content.replace('"relu"', json.dumps(code)).encode()}


def code_for_an_argument(members: Members, ran: Path) -> Members:
    def change(document: Any) -> None:
        (signature,) = [c["signature"] for c in document["graph_module"]["module_call_graph"]
                        if c["signature"]]  # fmt: skip
        signature["forward_arg_names"] = [f"x=__import__('os').mkdir({str(ran)!r})"]

    return program(members, change)


def code_for_a_weight(members: Members, ran: Path) -> Members:
    name = 'first.we" + str(__import__("os").mkdir(' + repr(str(ran)) + ')) + "ight'
    made = dict(members)
    for member in ("models/model.json", WEIGHTS + "model_weights_config.json"):
        content = made[member].decode().replace('"first.weight"', json.dumps(name))
        made[member] = content.encode()
    return made


def module_for_an_enum(members: Members, ran: Path) -> Members:
    (ran.parent / "hostile_module.py").write_text(f"import os\nos.mkdir({str(ran)!r})\n")

    def change(document: Any) -> None:
        context = json.dumps({"__enum__": True, "fqn": "hostile_module:X", "name": "x"})
        spec = [1, {"type": "builtins.tuple", "context": context, "children_spec": []}]
        for call in document["graph_module"]["module_call_graph"]:
            if call["signature"]:
                call["signature"]["in_spec"] = json.dumps(spec)

    return program(members, change)


def compiled_library(members: Members, ran: Path) -> Members:
    return {**members, "data/aotinductor/model/model.so": b"\x7fELF"}


HOSTILE = [
    pickled_weight, pickled_constant, opaque_constant, script_object, sample_input, legacy_weights,
    archive_in_an_archive, function_for_an_operator, operator_that_writes, code_for_a_size,
    code_for_a_name, code_for_an_argument, code_for_a_weight, module_for_an_enum, compiled_library,
]  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.__name__)
def test_code_in_a_program_is_refused(
    attack: Callable[[Members, Path], Members],
    members: Members,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = tmp_path / "ran"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    path = written(tmp_path / "evil.pt2", attack(members, ran))
    with pytest.raises(ModelError) as caught:
        load_network(str(path), SAID).module(PICTURE)
    assert not ran.exists()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} ")
    assert str(caught.value).endswith("give --trust-code if you trust where it comes from")
    assert caught.value.exit_code == 2


def test_guards_of_a_program_are_not_run(members: Members, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    def change(document: Any) -> None:
        document["guards_code"] = [f"__import__('os').mkdir({str(ran)!r}) is None"]

    path = written(tmp_path / "evil.pt2", program(members, change))
    depth = load_network(str(path), SAID).module(PICTURE)
    assert torch.equal(depth, Net().eval()(PICTURE))
    assert not ran.exists()


def test_one_name_for_two_members(members: Members, tmp_path: Path) -> None:
    """What the directory lists twice, one reader reads first and another last."""
    ran = tmp_path / "ran"
    evil, name = pickled_weight(members, ran), WEIGHTS + "model_weights_config.json"
    path = written(tmp_path / "evil.pt2", evil, [(name, members[name])])
    with pytest.raises(ModelError, match="holds two members named good/data/weights/model_weights"):
        load_network(str(path), SAID)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["program.pt2", "program.pt"])
def test_checked_program_is_the_same(name: str, members: Members, tmp_path: Path) -> None:
    path = written(tmp_path / name, {**members, "extra/note.txt": b"hello"})
    depth = load_network(str(path), SAID).module(PICTURE)
    assert torch.equal(depth, Net().eval()(PICTURE))


def test_trusted_program_runs_its_code(members: Members, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = written(tmp_path / "own.pt2", sample_input(members, ran))
    said = SourceOptions(kind="depth", size=(16, 24), trust_code=True)
    depth = load_network(str(path), said).module(PICTURE)
    assert torch.equal(depth, Net().eval()(PICTURE))
    assert ran.is_dir()


def flat(members: Members, state: object) -> Members:
    """The same program as torch 2.7 saved it."""
    gone = {"torch_version", "guards_code"}
    document = {k: v for k, v in json.loads(members["models/model.json"]).items() if k not in gone}
    major, minor = (document["schema_version"][part] for part in ("major", "minor"))
    constants = {"lifted_tensor_0": torch.tensor([1.0])}
    return {
        "version": f"{major}.{minor}".encode(),
        "serialized_exported_program.json": json.dumps(document).encode(),
        "serialized_state_dict.pt": saved(state),
        "serialized_constants.pt": saved(constants),
        "serialized_example_inputs.pt": saved(((PICTURE,), {})),
    }


def test_older_form_of_a_program(members: Members, tmp_path: Path) -> None:
    good, evil, ran = tmp_path / "good.pt2", tmp_path / "evil.pt2", tmp_path / "ran"
    net = Net()
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for path, content in ((good, state), (evil, {**state, "head.bias": Touch(ran)})):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in flat(members, content).items():
                archive.writestr(name, data)
    depth = load_network(str(good), SAID).module(PICTURE)
    assert torch.equal(depth, Net().eval()(PICTURE))
    with pytest.raises(ModelError, match=r"more than tensors \(serialized_state_dict.pt\)"):
        load_network(str(evil), SAID)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("models/model.json", b"{"),
        ("models/model.json", b"[" * 100_000 + b"]" * 100_000),
        ("models/model.json", b'{"graph_module": {"graph": {"nodes": 3}}}'),
        ("models/model.json", b"\xff\xfe"),
        (WEIGHTS + "model_weights_config.json", b'{"config": []}'),
    ],
)
def test_broken_program_is_one_sentence(
    name: str, data: bytes, members: Members, tmp_path: Path
) -> None:
    path = written(tmp_path / "broken.pt2", {**members, name: data})
    with pytest.raises(ModelError, match=r"is no readable torch\.export file") as caught:
        load_network(str(path), SAID)
    assert "\n" not in str(caught.value)


def test_noise_is_no_program(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "noise.pt2").write_bytes(b"PK\x03\x04 and nothing that anyone could read")
    with pytest.raises(ModelError, match=r"noise.pt2 is no readable archive"):
        load_network(str(tmp_path / "noise.pt2"), SAID)
    assert capfd.readouterr() == ("", "")
