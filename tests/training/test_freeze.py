"""FreezeD, and what else a fine-tuning from imported networks takes over."""

from pathlib import Path
from typing import Any

import pytest
import torch
from importing.official import Layer, stylegan2_of, write_stylegan2
from same_run import assert_same_run

from ganforge.errors import CheckpointError, RecipeError
from ganforge.game.freezing import freeze_first_blocks, frozen_parameters
from ganforge.importing.folder import STATE, imported_networks
from ganforge.importing.pickles import import_pickle
from ganforge.models.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from ganforge.recipe import dump
from ganforge.registry import register
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.spec import DataSpec
from ganforge.training.run import Run
from ganforge.training.session import run_session
from training.test_distributed import run_on_two

GENERATOR: dict[str, Any] = {"latent_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
DISCRIMINATOR: dict[str, Any] = {"channel_base": 64, "channel_max": 8}
SMALL: dict[str, Any] = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "stylegan2", "output": "linear", **GENERATOR},
    "discriminator": {"name": "stylegan2", **DISCRIMINATOR},
    "penalties": [{"name": "r1", "gamma": 1.0, "interval": 2}],
    "training": {"steps": 4, "batch_size": 8, "log_every": 1, "freeze": 1},
    "checkpoint": {"every": 2, "keep_last": 10},
}


def discriminator_of(recipe) -> dict[str, torch.Tensor]:
    return Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).tensors("discriminator")


def imported(folder: Path, channels: int = 1, classes: int = 0, ada: float | None = 0.375) -> Path:
    """The folder of a pickle in the published layout."""
    spec = DataSpec((channels, 16, 16), tuple(map(str, range(classes))))
    torch.manual_seed(3)
    options = {"conditional": "embedding"} if classes else {}
    generator = StyleGAN2Generator(spec, output="linear", **GENERATOR, **options)  # type: ignore[arg-type]
    options = {"conditional": "projection", "mapping_layers": 2} if classes else {}
    discriminator = StyleGAN2Discriminator(spec, **DISCRIMINATOR, **options)  # type: ignore[arg-type]
    sizes = {"z_dim": 8, "w_dim": 8, "c_dim": classes, "img_resolution": 16, "img_channels": channels}
    laid_out = stylegan2_of(generator, "generator", **sizes)
    parts = {"G": laid_out, "D": stylegan2_of(discriminator, "discriminator"), "G_ema": laid_out}
    if ada is not None:
        pipe = Layer("AugmentPipe", {})
        pipe.buffers["p"] = torch.tensor(ada)
        parts["augment_pipe"] = pipe
    import_pickle(write_stylegan2(folder / "a.pkl", parts), folder / "imported")
    return folder / "imported"


@pytest.mark.parametrize("name", ["dcgan", "mlp", "r3gan", "resnet", "stylegan2", "unet_patch"])
def test_every_discriminator_of_ours_says_its_blocks_from_the_samples_on(name):
    spec = DataSpec((3, 32, 32))
    component = register.discriminator.get(name)
    network: Any = component.build(component.options(), spec=spec)
    blocks = network.blocks_from_samples()
    reached: list[int] = []
    for place, block in enumerate(blocks):
        assert any(True for module in block for _ in module.parameters())
        block[0].register_forward_hook(lambda *_, place=place: reached.append(place))
    network.eval()(torch.randn(4, *spec.shape))
    assert reached == list(range(len(blocks)))
    freeze_first_blocks(network, 2)
    assert set(frozen_parameters(network).values()) == {
        weight for block in blocks[:2] for module in block for weight in module.parameters()
    }
    freeze_first_blocks(network, len(blocks))
    assert any(weight.requires_grad for weight in network.parameters()), "what ends in the logit always learns"


def test_frozen_blocks_keep_their_weights_and_have_no_optimizer_state(make_recipe, tmp_path, capsys):
    start = imported(tmp_path)
    recipe = make_recipe(**SMALL)
    assert run_session(recipe, init_from=start) == 0
    after = discriminator_of(recipe)
    before = Run.build(recipe).networks.discriminator
    assert {name.split(".")[0] for name in frozen_parameters(before)} == {"b16"}
    learned = [name for name, tensor in after.items() if name not in frozen_parameters(before)]
    given = StyleGAN2Discriminator(DataSpec((1, 16, 16)), **DISCRIMINATOR)
    given.load_state_dict(imported_networks(start)["discriminator"])
    for name, tensor in given.state_dict().items():
        assert torch.equal(after[name], tensor) == (name not in learned), name
    state = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).plain("training")
    optimizer = state["discriminator"]["engine"]["optimizer"]
    assert len(optimizer["param_groups"][0]["params"]) == len(learned) == len(optimizer["state"])


def test_a_resumed_run_is_the_unbroken_one_and_stays_frozen(make_recipe, tmp_path):
    start = imported(tmp_path)
    whole, parts = make_recipe(**SMALL, name="whole"), make_recipe(**SMALL, name="parts")
    for recipe in (whole, parts):
        run_session(recipe, init_from=start)
    newest = whole_checkpoints(parts.folder / "checkpoints")[-1]
    newest.rename(newest.with_name(f"gone-{newest.name}"))
    assert run_session(parts) == 0, "a resumed run has its weights, frozen ones as well"
    assert_same_run(whole.folder, parts.folder)


@pytest.mark.xdist_group("processes")
def test_two_ranks_have_equal_networks_with_frozen_blocks_and_r1(make_recipe, tmp_path):
    recipe = make_recipe(**SMALL)
    ranks = run_on_two(recipe, tmp_path)
    network = Run.build(recipe).networks.discriminator
    for name, tensor in network.state_dict().items():
        ours, other = (rank["networks"]["discriminator"][name] for rank in ranks)
        assert torch.equal(ours, other)
        assert torch.equal(ours, tensor) == (name in frozen_parameters(network)), name


def test_a_new_run_without_weights_for_frozen_blocks_is_refused(make_recipe, tmp_path):
    recipe = make_recipe(**SMALL)
    with pytest.raises(RecipeError, match=r"training\.freeze: a new run's are random.*`init_from=\.\.\.`"):
        run_session(recipe)
    other = make_recipe(**{**SMALL, "name": "coloured", "data": {"name": "digits", "size": 16}})
    with pytest.raises(RecipeError, match=r"'b16\.fromrgb\.weight' \(4x3x1x1 there, 4x1x1x1 here\).*freeze fewer"):
        run_session(other, init_from=imported(tmp_path, channels=3), init_what_fits=True)


def test_more_blocks_than_there_are_cannot_be_frozen(make_recipe):
    table = {**SMALL, "training": {**SMALL["training"], "freeze": 3}}
    with pytest.raises(RecipeError, match=r"training\.freeze: discriminator 'stylegan2' has 2 blocks before its last"):
        Run.build(make_recipe(**table))


def test_a_discriminator_that_does_not_say_its_blocks_cannot_be_frozen():
    with pytest.raises(ValueError, match="no method blocks_from_samples"):
        freeze_first_blocks(torch.nn.Linear(2, 1), 1)


def test_the_dry_run_says_what_is_frozen(make_recipe, tmp_path, ganforge):
    (tmp_path / "recipe.toml").write_text(dump(make_recipe(**SMALL)))
    done = ganforge("train", tmp_path / "recipe.toml", "--dry-run")
    assert done.code == 0
    lines = " ".join(done.out.split())
    frozen = Run.build(make_recipe(**SMALL)).networks.discriminator.get_submodule("b16")
    count = sum(weight.numel() for weight in frozen.parameters())
    assert f"1 block of D (b16): {count:,} of " in lines


def test_ada_goes_on_with_the_strength_of_the_pickle(make_recipe, tmp_path, capsys):
    start = imported(tmp_path)
    recipe = make_recipe(**SMALL, augment=[{"name": "ada", "policy": ["shift"], "speed": 10**9}])
    assert run_session(recipe, init_from=start) == 0
    assert "ADA begins at a probability of 0.375; there it ended at 0.375" in capsys.readouterr().out
    found = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).plain("training")
    assert abs(float(found["game"]["augment"][0]["state"]["probability"]) - 0.375) < 1e-3


def test_a_recipe_with_a_strength_or_a_limit_of_its_own_or_without_ada_is_told(make_recipe, tmp_path, capsys):
    start = imported(tmp_path)
    for name, augment, said in (
        ("own", [{"name": "ada", "policy": ["shift"], "initial": 0.1}], "the recipe's probability of 0.100; there it"),
        (
            "limit",
            [{"name": "ada", "policy": ["shift"], "limit": 0.2}],
            "a probability of 0.200; there it ended at 0.3",
        ),
        ("none", [], "had reached a probability of 0.375 there, and this recipe is without augment 'ada'"),
    ):
        recipe = make_recipe(**{**SMALL, "training": {**SMALL["training"], "steps": 1}}, augment=augment, name=name)
        assert run_session(recipe, init_from=start) == 0
        assert said in capsys.readouterr().out


def test_a_damaged_strength_is_told_in_a_line(make_recipe, tmp_path):
    start = imported(tmp_path)
    file = start / STATE
    file.write_text(file.read_text().replace("0.375", '"much"'))
    with pytest.raises(CheckpointError, match=r"import.json: is damaged: its ada_probability is 'much'"):
        run_session(make_recipe(**SMALL), init_from=start)


@pytest.mark.parametrize(
    ("there", "left_out"),
    [
        (
            {"channels": 3},
            {
                "generator": {f"synthesis.b{side}.torgb.weight" for side in (4, 8, 16)},
                "discriminator": {"b16.fromrgb.weight"},
            },
        ),
        ({"classes": 4}, {"generator": {"mapping.fc0.weight"}, "discriminator": {"b4.out.weight"}}),
    ],
    ids=["other channels", "no classes any more"],
)  # fmt: skip
def test_an_import_of_other_channels_or_classes_gives_all_that_fits(make_recipe, tmp_path, there, left_out):
    still = {role: {"name": "sgd", "lr": 1e-30} for role in ("generator", "discriminator")}
    recipe = make_recipe(**{**SMALL, "training": {"steps": 1, "batch_size": 8}}, optimizer=still)
    start = imported(tmp_path, **there)
    with pytest.raises(CheckpointError, match="`init_what_fits=True` takes what does"):
        run_session(recipe, init_from=start)
    assert run_session(recipe, init_from=start, init_what_fits=True) == 0
    given = imported_networks(start)
    trained = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])
    for role, layers in left_out.items():
        after = trained.tensors(role)
        weights = {name: tensor for name, tensor in after.items() if not name.endswith(("w_avg", "noise_const"))}
        taken = {name for name, tensor in weights.items() if name in given[role] and _equal(tensor, given[role][name])}
        # Biases start at the same zeros, here and there.
        assert {name for name in weights.keys() - taken if not name.endswith("bias")} == layers


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=1e-20)
