"""The restricted unpickler: nothing that a pickle names or carries is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from importing.official import Layer, write_stylegan2

from ganforge.errors import CheckpointError
from ganforge.importing.restricted import ALLOWED, R3GAN, Kept, read_pickle


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), "posix.system"),
        (eval, ("open('{}', 'w')",), "builtins.eval"),
        (getattr, (os, "system"), "builtins.getattr"),
        (torch.load, ("{}",), "torch.serialization.load"),
        (torch.Tensor, (2,), "torch.Tensor"),
    ],
)
def test_a_pickle_that_asks_for_anything_else_is_refused_by_name_and_runs_nothing(
    function: Any, arguments: tuple[Any, ...], name: str, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    filled = [each.format(mark) if isinstance(each, str) else each for each in arguments]
    if function is getattr:
        filled[0] = "text"
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps({"G_ema": Call(function, *filled)}))
    with pytest.raises(CheckpointError, match=rf"evil.pkl: asks for {name}, which no .* needs; nothing of it was run"):
        read_pickle(file)
    assert not mark.exists()


def test_a_storage_is_read_with_weights_only(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    inner = pickle.dumps(Call(os.system, f"touch {mark}"))
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps({"G": Call(torch.storage._load_from_bytes, inner)}))
    with pytest.raises(CheckpointError, match="is not a whole pickle of networks"):
        read_pickle(file)
    assert not mark.exists()


def test_the_source_within_a_pickle_is_not_run(tmp_path: Path) -> None:
    layer = Layer("Generator", {"z_dim": 4})
    layer.parameters["weight"] = torch.ones(2)
    found = read_pickle(write_stylegan2(tmp_path / "a.pkl", {"G_ema": layer}))
    assert isinstance(found["G_ema"], Kept)
    assert found["G_ema"].attributes["z_dim"] == 4
    assert torch.equal(found["G_ema"].state_dict()["weight"], torch.ones(2))


def test_what_is_neither_a_network_nor_a_number_is_dropped(tmp_path: Path) -> None:
    found = read_pickle(write_stylegan2(tmp_path / "a.pkl", {"G_ema": Layer("Generator", {}), "cur_nimg": 7}))
    assert found["training_set_kwargs"] is None
    assert found["cur_nimg"] == 7


def test_another_version_of_the_layout_is_refused(tmp_path: Path) -> None:
    layer = Layer("Generator", {})
    layer.version = 7
    with pytest.raises(CheckpointError, match="version 7 of their layout, not 6"):
        read_pickle(write_stylegan2(tmp_path / "a.pkl", {"G_ema": layer}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a whole pickle"),
        (b"not a pickle at all", "is not a whole pickle"),
        (pickle.dumps({"G": 1}), "holds no networks under names such as G, D and G_ema"),
        (pickle.dumps([1, 2]), "holds no networks"),
        (b"cdnnlib.tflib.network\nNetwork\n.", "is a pickle of the TensorFlow code"),
        (b"cnumpy.core.multiarray\n_reconstruct\n.", "as StyleGAN3's alias-free generator does"),
    ],
)
def test_what_is_no_such_pickle_is_told_in_a_line(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        read_pickle(file)
    assert len(str(error.value).splitlines()) == 1


def test_a_truncated_pickle_is_told_in_a_line(tmp_path: Path) -> None:
    layer = Layer("Generator", {})
    layer.parameters["weight"] = torch.ones(100)
    file = write_stylegan2(tmp_path / "a.pkl", {"G_ema": layer})
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="is not a whole pickle"):
        read_pickle(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.pkl: cannot be read: No such file"):
        read_pickle(tmp_path / "no.pkl")


def test_the_table_of_names_is_what_was_looked_at() -> None:
    """A name more is a decision about what may be called; classes of networks are stubs of ours."""
    stubs = {(module, name) for module, names in R3GAN.items() for name in names}
    dtypes = {("torch", name) for name in ("float32", "float16", "bfloat16")}
    assert set(ALLOWED) - stubs - dtypes == {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"),
        ("dnnlib.util", "EasyDict"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
    }
    assert all(issubclass(ALLOWED[name], Kept) for name in stubs)
    assert all(isinstance(ALLOWED[name], str) for name in dtypes)
