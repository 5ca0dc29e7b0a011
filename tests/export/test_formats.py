"""Every registered generator leaves ganforge as ONNX and as a torch program, and makes the same samples there."""

import copy
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganforge as package
from ganforge.errors import GanforgeError
from ganforge.export import formats
from ganforge.export.program import Traceable
from ganforge.options import validate
from ganforge.registry import register
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, read_config, save_generator
from ganforge.spec import DataSpec

SPEC = DataSpec((3, 32, 32), ("cat", "dog", "eel"))


def saved(folder: Path, name: str, protocol: dict | None = None, spec: DataSpec = SPEC, **options) -> Path:
    """A file of an untrained generator, narrow where the component lets us."""
    small = {"width": 8} if "width" in register.generator.get(name).options.model_fields else {}
    config = GeneratorConfig({"name": name, **small, **options}, spec, run="run", step=7, protocol=protocol or {})
    torch.manual_seed(0)
    network = build_generator(config)
    with torch.no_grad():  # so that nothing is 0 because it starts there
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    folder.mkdir(exist_ok=True)
    path = folder / "generator.safetensors"
    save_generator(path, flat_state(network), config)
    return path


def families() -> list[tuple[str, dict[str, str]]]:
    """Every generator, conditional where it can be, since that is the harder graph; and one that is not."""
    found: list[tuple[str, dict[str, str]]] = [("dcgan", {})]
    for name in register.generator.names():
        if "source" in register.generator.get(name).supplied:
            continue  # translators: tests/sampling/test_translate.py
        options = register.generator.get(name).options
        ways = [way for way in ("embedding", "norm") if not validate(options, {"conditional": way}, ())[1]]
        found.append((name, {"conditional": ways[0]} if ways else {}))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), families(), ids=str)
def test_every_generator_is_the_same_in_onnx_and_as_a_program(tmp_path, name, options):
    path = saved(tmp_path, name, **options)
    generator = package.load_generator(path)
    latent = torch.randn(5, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(5) % 3
    expected = generator(latent, labels)
    arguments = (latent, labels) if options else (latent,)

    assert "checked with onnxruntime" in formats.export_onnx(path, tmp_path / "out" / "g.onnx")
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(tmp_path / "out" / "g.onnx", providers=["CPUExecutionProvider"])
    inputs = dict(zip(("latent", "labels"), (value.numpy() for value in arguments), strict=False))
    np.testing.assert_allclose(session.run(["samples"], inputs)[0], expected, atol=1e-4)
    assert session.get_outputs()[0].shape == ["batch", *SPEC.shape]
    assert json.loads(session.get_modelmeta().custom_metadata_map["ganforge"])["step"] == 7

    assert "checked" in formats.export_torch(path, tmp_path / "out" / "g.pt2")
    extra = {"ganforge.json": ""}
    program = torch.export.load(tmp_path / "out" / "g.pt2", extra_files=extra)
    torch.testing.assert_close(program.module()(*arguments), expected, atol=1e-4, rtol=0)
    assert json.loads(extra["ganforge.json"])["step"] == 7
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["g.onnx", "g.pt2"], "a temporary file is left"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcgan", "resnet", "r3gan"])
def test_pictures_of_odd_sides_leave_as_onnx_and_as_a_program(tmp_path, name):
    path = saved(tmp_path, name, spec=DataSpec((3, 36, 60)))
    assert "checked with onnxruntime" in formats.export_onnx(path, tmp_path / "out" / "g.onnx")
    assert "checked" in formats.export_torch(path, tmp_path / "out" / "g.pt2")


def test_safetensors_are_a_generator_of_their_own(tmp_path, ganforge):
    path = saved(tmp_path, "mlp")
    out = tmp_path / "moved" / "mine.safetensors"
    done = ganforge("export", path, "--to", "safetensors", "--out", out)
    assert (done.code, done.out) == (0, f"{out}: `ganforge.load_generator('{out}')`\n")
    latent = torch.randn(2, 100)
    assert torch.equal(package.load_generator(out)(latent), package.load_generator(path)(latent))
    assert read_config(out) == read_config(path)
    assert json.loads(out.with_suffix(".json").read_text())["step"] == 7


@pytest.mark.parametrize("to", ["safetensors", "onnx", "torch-export", "hub"])
def test_no_export_tells_of_folders_of_this_machine(tmp_path, ganforge, to):
    path = saved(tmp_path / "somebody", "mlp", protocol={"reals": {"dataset": {"path": str(tmp_path / "cats")}}})
    out = tmp_path / "out" / {"torch-export": "g.pt2", "hub": "card"}.get(to, f"g.{to}")
    done = ganforge("export", path, "--to", to, "--out", out)
    assert done.code == 0, done.err
    places = [Path(package.__file__).parent, Path(torch.__file__).parents[1], sys.prefix, Path.home(), tmp_path]
    files = [file for file in out.parent.rglob("*") if file.is_file()]
    contents = [file.read_bytes() for file in files]
    if to == "torch-export":
        with zipfile.ZipFile(out) as archive:
            contents += [archive.read(name) for name in archive.namelist()]
    assert contents
    for place in places:
        assert not any(f"{place}/".encode() in content for content in contents), place
    assert any(b"cats" in content for content in contents)


def test_a_generator_is_not_overwritten_by_its_own_export(tmp_path, ganforge):
    path = saved(tmp_path, "mlp")
    done = ganforge("export", path, "--to", "safetensors", "--out", path)
    assert (done.code, done.err) == (2, f"ganforge: --out {path}: is the generator itself; choose another name\n")


def test_what_became_something_else_is_not_written(tmp_path, monkeypatch):
    path = saved(tmp_path, "mlp")
    original = Traceable.program

    def spoilt(self):
        program = original(self)
        self.module = copy.deepcopy(self.module)
        for parameter in self.module.parameters():
            parameter.add_(0.01)  # the program keeps the weights from before
        return program

    monkeypatch.setattr(Traceable, "program", spoilt)
    with pytest.raises(GanforgeError, match=r"its samples differ by .* more than 0.0001; nothing was written"):
        formats.export_torch(path, tmp_path / "out" / "g.pt2")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_generator_that_is_no_graph_is_refused_in_words(tmp_path, monkeypatch):
    path = saved(tmp_path, "mlp")
    network = package.load_generator(path)

    def forward(latent, labels=None):
        return latent if float(latent.sum()) > 0 else -latent  # a decision that depends on values

    network.forward = forward  # type: ignore[method-assign]
    monkeypatch.setattr(formats, "load_generator", lambda *_: network)
    for write, name in ((formats.export_torch, "g.pt2"), (formats.export_onnx, "g.onnx")):
        with pytest.raises(
            GanforgeError, match=r"generator 'mlp' cannot be exported: .*; `ganforge --verbose export` shows where"
        ):
            write(path, tmp_path / "out" / name)


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(GanforgeError, match=r"ONNX needs onnxruntime: pip install 'ganforge\[export\]'"):
        formats.export_onnx(saved(tmp_path, "mlp"), tmp_path / "g.onnx")
