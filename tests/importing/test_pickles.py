"""Import of whole pickles: every key has its place, pictures stay, and what is of another kind is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from importing.official import LOW_PASS, THEIR_BLOCK, Layer, stylegan2_of, write_r3gan, write_stylegan2
from torch import Tensor, nn

from ganforge import load_generator
from ganforge.errors import CheckpointError, GanforgeError
from ganforge.importing.folder import imported_networks, is_import
from ganforge.importing.pickles import import_pickle
from ganforge.models.r3gan import R3GANDiscriminator, R3GANGenerator
from ganforge.models.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.toml_files import read_toml

CLASSES = DataSpec((3, 16, 16), ("0", "1", "2"))
CHANNELS: dict[str, Any] = {"channel_base": 128, "channel_max": 12}


def generator(seed: int = 0) -> StyleGAN2Generator:
    torch.manual_seed(seed)
    made = StyleGAN2Generator(
        CLASSES, latent_dim=6, w_dim=8, mapping_layers=2, output="linear", conditional="embedding", **CHANNELS
    )
    made.mapping.w_avg.normal_()
    return made.eval()


def discriminator() -> StyleGAN2Discriminator:
    torch.manual_seed(2)
    return StyleGAN2Discriminator(CLASSES, conditional="projection", mapping_layers=3, **CHANNELS).eval()


def laid_out(network: StyleGAN2Generator) -> Layer:
    attributes = {"z_dim": 6, "w_dim": 8, "c_dim": 3, "img_resolution": 16, "img_channels": 3}
    return stylegan2_of(network, "generator", **attributes)


def parts() -> dict[str, Any]:
    """As the trainers pickle them."""
    pipe = Layer("AugmentPipe", {})
    pipe.buffers["p"] = torch.tensor(0.375)
    return {
        "G": laid_out(generator(1)),
        "D": stylegan2_of(discriminator(), "discriminator"),
        "G_ema": laid_out(generator()),
        "augment_pipe": pipe,
    }


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    return write_stylegan2(tmp_path / "faces.pkl", parts())


def assert_same_state(found: dict[str, Tensor], network: nn.Module) -> None:
    expected = network.state_dict()
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_every_tensor_of_a_stylegan2_pickle_has_its_place(pickled: Path, tmp_path: Path) -> None:
    told = import_pickle(pickled, tmp_path / "out")
    found = imported_networks(tmp_path / "out")
    assert set(found) == {"averaged", "generator", "discriminator"}
    assert_same_state(found["averaged"], generator())
    assert_same_state(found["generator"], generator(1))
    assert_same_state(found["discriminator"], discriminator())
    assert "ADA ended at a probability of 0.375" in told


def test_the_folder_is_a_generator_that_makes_the_same_pictures(pickled: Path, tmp_path: Path) -> None:
    import_pickle(pickled, tmp_path / "out")
    loaded = load_generator(tmp_path / "out")
    latent, labels = torch.randn(4, 6), torch.tensor([0, 2, 1, 2])
    for psi in (1.0, 0.5):
        original = generator()
        original.psi = loaded.psi = psi  # type: ignore[assignment]
        torch.testing.assert_close(loaded(latent, labels), original(latent, labels), rtol=0, atol=1e-5)
    assert loaded.config.run == "faces"  # type: ignore[union-attr]


def test_the_tables_build_networks_that_take_the_states(pickled: Path, tmp_path: Path) -> None:
    import_pickle(pickled, tmp_path / "out")
    networks, tables = imported_networks(tmp_path / "out"), read_toml(tmp_path / "out" / "networks.toml")
    built = {}
    for role, table in tables.items():
        component = register.kind(role).get(table.pop("name"))
        built[role] = component.build(component.options(**table), spec=CLASSES)
        built[role].load_state_dict(networks[role])
    samples, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(built["discriminator"](samples, labels), discriminator()(samples, labels))


def test_a_pickle_of_one_averaged_generator_is_enough(tmp_path: Path) -> None:
    file = write_stylegan2(tmp_path / "a.pkl", {"G": None, "D": None, "G_ema": laid_out(generator())})
    import_pickle(file, tmp_path / "out")
    found = imported_networks(tmp_path / "out")
    assert set(found) == {"averaged", "generator"}
    assert_same_state(found["generator"], generator())


def test_nothing_of_somebodys_machine_is_kept(pickled: Path, tmp_path: Path) -> None:
    import_pickle(pickled, tmp_path / "out")
    assert b"somebody" in pickled.read_bytes()
    for file in (tmp_path / "out").iterdir():
        assert b"somebody" not in file.read_bytes()


def _to_relu(parts: dict[str, Any]) -> None:
    parts["G_ema"].modules["mapping"].modules["fc0"].attributes["activation"] = "relu"


def _to_other_filter(parts: dict[str, Any]) -> None:
    parts["G_ema"].modules["synthesis"].modules["b8"].buffers["resample_filter"] = LOW_PASS.flip(0) * 2


def _to_other_layer(parts: dict[str, Any]) -> None:
    parts["D"].modules["b8"].kind = "AttentionBlock"


def _to_more(parts: dict[str, Any]) -> None:
    parts["D"].modules["b4"].parameters["extra"] = torch.ones(1)


def _to_less(parts: dict[str, Any]) -> None:
    del parts["G_ema"].modules["synthesis"].modules["b16"].modules["torgb"].parameters["bias"]


def _to_other_shape(parts: dict[str, Any]) -> None:
    parts["D"].modules["b4"].modules["out"].parameters["weight"] = torch.ones(5, 12)


def _to_nan(parts: dict[str, Any]) -> None:
    parts["D"].modules["b4"].modules["out"].parameters["bias"][0] = torch.nan


def _to_alias_free(parts: dict[str, Any]) -> None:
    parts["G_ema"].modules["synthesis"] = Layer("SynthesisNetwork", {})


def _to_unknown(parts: dict[str, Any]) -> None:
    parts["G_ema"], parts["G"] = Layer("Generator", {}), None


def _to_two_rates(parts: dict[str, Any]) -> None:
    parts["G_ema"].modules["mapping"].modules["fc0"].attributes["bias_gain"] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_to_relu, r"'mapping.fc0' has the activation relu, not lrelu"),
        (_to_other_filter, r"'synthesis.b8.resample_filter' is another low-pass filter than \[1, 3, 3, 1\]"),
        (_to_other_layer, r"'b8' is a AttentionBlock, which the published networks do not have"),
        (_to_more, r"a discriminator that is not 'stylegan2' in 'b4.extra': not made by the published code"),
        (_to_less, r"a generator that is not 'stylegan2' in 'synthesis.b16.torgb.bias'"),
        (_to_other_shape, r"a discriminator that is not 'stylegan2' in 'b4.out.weight'"),
        (_to_nan, r"numbers in 'b4.out.bias' that are not finite"),
        (_to_alias_free, r"StyleGAN3's alias-free generator, for which there is no component"),
        (_to_unknown, r"no generator of StyleGAN2 or R3GAN under G_ema or G"),
        (_to_two_rates, r"a mapping whose layers have 2 learning rates"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_a_line_and_leaves_nothing(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    changed = parts()
    change(changed)
    file = write_stylegan2(tmp_path / "a.pkl", changed)
    with pytest.raises(CheckpointError, match=message) as error:
        import_pickle(file, tmp_path / "out")
    assert str(error.value).startswith(f"{file}: cannot be imported: it has ")
    assert len(str(error.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


def test_a_folder_of_something_else_is_left_alone_and_an_older_import_is_replaced(
    pickled: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(GanforgeError, match="holds something else; choose another folder"):
        import_pickle(pickled, other)
    assert (other / "thesis.txt").exists()
    for _ in range(2):
        import_pickle(pickled, tmp_path / "out")
    assert is_import(tmp_path / "out")
    assert not is_import(other)


def test_a_folder_that_is_no_import_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not what `ganforge import` writes"):
        imported_networks(tmp_path)


def r3gan_parts(spec: DataSpec, made: R3GANGenerator, judge: R3GANDiscriminator) -> dict[str, dict[str, Tensor]]:
    """Two networks of ours under the names that R3GAN's code has for them."""
    ours, theirs = made.state_dict(), {}
    theirs["Model.MainLayers.0.Layers.0.Basis"] = ours.pop("basis.maps")
    theirs["Model.MainLayers.0.Layers.0.LinearLayer.weight"] = ours.pop("basis.weigh.weight")
    theirs["Model.AggregationLayer.Layer.weight"] = ours.pop("output.0.weight")
    if spec.classes:
        theirs["Model.EmbeddingLayer.weight"] = ours.pop("labelled.classes.weight").t()
    narrower = {stage for stage in (1, 2) if f"stages.{stage}.0.weight" in ours}
    for stage in (1, 2):
        theirs[f"Model.MainLayers.{stage}.Layers.0.Resampler.Kernel"] = LOW_PASS
        if stage in narrower:
            weight = ours.pop(f"stages.{stage}.0.weight")
            theirs[f"Model.MainLayers.{stage}.Layers.0.LinearLayer.Layer.weight"] = weight
    for name, tensor in ours.items():
        _, stage, place, rest = name.split(".", 3)
        first = 0 if stage == "0" else 1 + (int(stage) in narrower)
        theirs[f"Model.MainLayers.{stage}.Layers.{int(place) - first + 1}.{THEIR_BLOCK[rest]}"] = tensor
    ours, other = judge.state_dict(), {}
    other["Model.ExtractionLayer.Layer.weight"] = ours.pop("input.weight")
    if spec.classes:
        other["Model.EmbeddingLayer.weight"] = ours.pop("projection.classes.weight").t()
    last = {
        "Model.MainLayers.2.Layers.2.Basis.weight": ours.pop("basis.maps.weight"),
        "Model.MainLayers.2.Layers.2.LinearLayer.weight": ours.pop("basis.weigh.weight"),
    }
    transitions = {}
    for stage in (0, 1):
        transitions[f"Model.MainLayers.{stage}.Layers.2.Resampler.Kernel"] = LOW_PASS
        if f"stages.{stage}.3.weight" in ours:
            weight = ours.pop(f"stages.{stage}.3.weight")
            transitions[f"Model.MainLayers.{stage}.Layers.2.LinearLayer.Layer.weight"] = weight
    for name, tensor in ours.items():
        _, stage, place, rest = name.split(".", 3)
        other[f"Model.MainLayers.{stage}.Layers.{place}.{THEIR_BLOCK[rest]}"] = tensor
    return {"G": theirs, "D": {**other, **transitions, **last}, "G_ema": theirs}


@pytest.mark.parametrize("classes", [(), ("0", "1", "2", "3")], ids=["no-labels", "labels"])
def test_an_r3gan_pickle_is_imported_with_every_tensor(classes: tuple[str, ...], tmp_path: Path) -> None:
    spec = DataSpec((3, 16, 16), classes)
    options: dict[str, Any] = {"width": 8, "full_width_to": 8, "group_width": 4}
    torch.manual_seed(0)
    condition: dict[str, Any] = {"conditional": "embedding"} if classes else {}
    made = R3GANGenerator(spec, latent_dim=5, output="linear", **options, **condition).eval()
    judge = R3GANDiscriminator(spec, **options, **({**condition, "conditional": "projection"} if classes else {}))
    with torch.no_grad():
        for weight in (*made.parameters(), *judge.parameters()):
            weight.normal_()
    file = write_r3gan(tmp_path / "a.pkl", r3gan_parts(spec, made, judge), images=1234)
    import_pickle(file, tmp_path / "out")
    found, tables = imported_networks(tmp_path / "out"), read_toml(tmp_path / "out" / "networks.toml")
    assert_same_state(found["averaged"], made)
    assert_same_state(found["discriminator"], judge)
    assert tables["generator"].items() >= {"latent_dim": 5, "blocks": 2, "expansion": 2, **options}.items()
    loaded = load_generator(tmp_path / "out")
    assert loaded.config.images == 1234  # type: ignore[union-attr]
    latent, labels = torch.randn(2, 5), torch.tensor([3, 1]) if classes else None
    torch.testing.assert_close(loaded(latent, labels), made(latent, labels), rtol=0, atol=0)


def test_the_command_imports_and_the_other_commands_take_the_folder(
    ganforge: Callable[..., Any], pickled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = ganforge("import", str(pickled), str(out))
    assert done.code == 0
    assert "16x16 RGB, 3 classes" in done.out
    assert ganforge("sample", str(out), "--n", "4", "--class", "2", "--out", str(tmp_path / "grid.png")).code == 0
    assert ganforge("export", str(out), "--to", "torch-export", "--out", str(tmp_path / "x.pt2")).code == 0
    picture = str(tmp_path / "grid.png")
    arguments = ("--steps", "2", "--restarts", "3", "--out", str(tmp_path / "found"))
    assert ganforge("project", str(out), picture, *arguments).code == 0


def test_the_command_tells_a_bad_file_in_a_line(ganforge: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "evil.pkl"
    file.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    done = ganforge("import", str(file), str(tmp_path / "out"))
    assert done.code == 2
    assert done.err.strip() == (
        f"ganforge: {file}: asks for posix.system, which no StyleGAN2 or R3GAN network needs; nothing of it was run"
    )
