"""Every way of going parallel that a CPU can run, against the one-process run of the same global batch."""

import os
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from two_processes import DDP, launch_two

from ganforge.building.networks import build_networks
from ganforge.building.parts import build_dataset
from ganforge.game.rank_batch_norm import RankBatchNorm
from ganforge.recipe import dump, load
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.training.dry_run import describe_run
from training.ways import ZERO, allowed, assert_close, assert_equal, needs_deepspeed, on_two, outcome

PICTURES = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4},
    "training": {"steps": 20, "batch_size": 8},
    "penalties": [{"name": "r1", "gamma": 0.1}],
    # DeepSpeed keeps its weights in one flat piece, so convolutions would sum in another order than under DDP.
    "performance": {"channels_last": False},
}
POINTS = {"training": {"steps": 20}, "penalties": [{"name": "r1", "gamma": 0.1}]}
SGD = {role: {"name": "sgd", "lr": 0.05} for role in ("generator", "discriminator")}


@pytest.fixture(scope="module")
def ddp_pictures(tmp_path_factory):
    """What DDP makes of `PICTURES` with and without penalties, each once for all."""
    made = {}

    def get(recipe):
        if len(recipe.penalties) not in made:
            made[len(recipe.penalties)] = on_two(recipe, tmp_path_factory.mktemp("ddp"), DDP)
        return made[len(recipe.penalties)]

    return get


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_zero_trains_bit_for_bit_what_ddp_trains(make_recipe, ddp_pictures, tmp_path, stage):
    recipe = make_recipe(**allowed(PICTURES, ZERO[stage]))
    ddp = ddp_pictures(recipe)
    zero = on_two(recipe, tmp_path, ZERO[stage])
    assert any(zero[0]["health"])
    assert_equal(ddp[0], ddp[1])
    assert_equal(zero[0], zero[1])
    assert_equal(ddp[0], zero[0])
    assert zero[0]["layout"] == ("whole" if stage == 0 else f"ZeRO {stage} over 2 ranks")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [pytest.param(DDP, id="ddp"), *(pytest.param(ZERO[n], id=f"zero{n}", marks=needs_deepspeed) for n in (0, 2, 3))],
)
def test_gradients_of_two_processes_are_clipped_as_those_of_one(make_recipe, tmp_path, environment):
    """By the norm of the whole gradient, which with ZeRO 2 and 3 no rank has."""
    clipped = {role: {**table, "clip_norm": 0.02} for role, table in SGD.items()}
    recipe = make_recipe(**allowed(POINTS, environment), optimizer=clipped)
    two = on_two(recipe, tmp_path, environment)
    one = outcome(recipe)
    assert_close(two[0], one, rtol=1e-4, atol=1e-5)
    assert all(line["generator/gradient_norm"] > 0.02 for line in one["losses"])


WAYS = [
    pytest.param(DDP, id="ddp"),
    *(
        pytest.param(ZERO[stage], id=f"zero{stage}", marks=[pytest.mark.slow, needs_deepspeed])
        for stage in (0, 1, 2, 3)
    ),
]


@pytest.mark.parametrize("environment", WAYS)
@pytest.mark.parametrize("pieces", [(1, 1), (4, 2)], ids=["whole", "accumulated"])
def test_two_processes_train_what_one_trains_of_the_same_global_batch(make_recipe, tmp_path, environment, pieces):
    training = {"steps": 20, "discriminator_micro_batches": pieces[0], "generator_micro_batches": pieces[1]}
    table = {**allowed(POINTS, environment), "optimizer": SGD}
    recipe = make_recipe(**{**table, "training": training})
    two = on_two(recipe, tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("environment", WAYS)
def test_bf16_on_two_processes_stays_near_one_and_keeps_float32_weights(make_recipe, tmp_path, environment):
    table = {**allowed(POINTS, environment), "training": {"steps": 10, "precision": "bf16"}, "optimizer": SGD}
    two = on_two(make_recipe(**table), tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=0.02, atol=2e-3)
    weights = [tensor for network in two[0]["networks"].values() for tensor in network.values()]
    assert {tensor.dtype for tensor in weights} == {torch.float32}
    single = outcome(make_recipe(**{**table, "training": {"steps": 10}}, name="single"))
    with pytest.raises(AssertionError):  # it was bf16 indeed
        assert_close(two[0], single, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("environment", [WAYS[0], WAYS[2], WAYS[4]])
def test_sync_batch_norm_sees_the_global_batch_on_cpus_too(make_recipe, tmp_path, environment):
    """Double backward through it included: one process with ordinary batch norm is the same training."""
    table = {**allowed(PICTURES, environment), "training": {"steps": 8, "batch_size": 8}, "optimizer": SGD}
    networks = {role: {**PICTURES[role], "norm": "sync"} for role in ("generator", "discriminator")}
    two = on_two(make_recipe(**{**table, **networks}), tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=2e-3, atol=2e-5)
    local = on_two(make_recipe(**table, name="local"), Path(tmp_path / "local"), environment)
    with pytest.raises(AssertionError):  # each rank's own statistics are another training
        assert_close(local[0], alone, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("environment", [WAYS[0], WAYS[2], WAYS[4]])
def test_fakes_of_one_turn_may_be_learned_from_in_the_next(make_recipe, tmp_path, environment):
    """`performance.reuse_fakes`: the generator's forward then lies in the discriminator's turn."""
    table = {**allowed(POINTS, environment), "optimizer": SGD, "performance": {"reuse_fakes": True}}
    two = on_two(make_recipe(**table), tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    assert_close(two[0], outcome(make_recipe(**table, name="alone")), rtol=2e-4, atol=2e-6)


class OddGenerator(nn.Module):
    """Has a weight beside its layers, a layer that it uses twice, and one that only every second turn needs."""

    def __init__(self, spec: DataSpec, *, latent_dim: int = 8) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.start = nn.Parameter(torch.randn(latent_dim, 8))
        self.twice, self.seldom, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.turns = 0

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        hidden = self.twice(self.twice(latent @ self.start).relu()).relu()
        self.turns += torch.is_grad_enabled()
        return self.last(self.seldom(hidden).relu() if self.turns % 2 else hidden)


class OddDiscriminator(nn.Module):
    """Has a weight beside its layers, and uses one layer's weight once more."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.first, self.tied, self.last = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        hidden = self.tied(self.first(samples + self.shift).relu()).relu()
        return self.last(hidden @ self.tied.weight).flatten()


def register_odd() -> None:
    register.generator("test-odd")(OddGenerator)
    register.discriminator("test-odd")(OddDiscriminator)


@needs_deepspeed
@pytest.mark.slow
def test_networks_that_keep_weights_in_odd_places_train_the_same_in_parts(make_recipe, tmp_path, monkeypatch):
    """And gradients of an earlier turn are not taken for those of a layer that this turn does not need."""
    for kind in (register.generator, register.discriminator):
        kind.names()  # the built-ins stay where they are
        monkeypatch.setattr(kind, "_components", dict(kind._components))
    register_odd()
    recipe = make_recipe(generator={"name": "test-odd"}, discriminator={"name": "test-odd"}, training={"steps": 20})
    two, three = (on_two(recipe, tmp_path / str(stage), ZERO[stage], register_odd) for stage in (2, 3))
    assert any(three[0]["health"])
    assert_equal(two[0], three[0])


@needs_deepspeed
@pytest.mark.slow
def test_spectral_norm_on_weights_in_parts_is_spectral_norm(make_recipe, tmp_path):
    """To rounding: a weight's gradient is a sum over its passes, and ZeRO 3's hooks change the order of the terms."""
    pictures = {"name": "resnet", "width": 4}
    networks = {"generator": {**pictures, "latent_dim": 8}, "discriminator": pictures}
    table = {**allowed(PICTURES, ZERO[3]), **networks, "data": {"name": "digits", "size": 32}, "optimizer": SGD}
    recipe = make_recipe(**{**table, "training": {"steps": 3, "batch_size": 8}})
    ddp, zero = (on_two(recipe, tmp_path / way, ways)[0] for way, ways in (("ddp", DDP), ("zero", ZERO[3])))
    assert_close(ddp, zero, 2e-3, 2e-5)


def compile_quickly() -> None:
    """The default backend takes a minute to say the same."""
    compiled = torch.nn.Module.compile
    torch.nn.Module.compile = lambda self, **_: compiled(self, backend="aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("environment", WAYS[:3:2])
def test_compiled_networks_train_the_same_on_two_processes(make_recipe, tmp_path, environment):
    table = {"training": {"steps": 4}, "optimizer": SGD}
    recipe = make_recipe(**table, performance={"compile": True})
    two = on_two(recipe, tmp_path / "two", environment, compile_quickly)
    assert_equal(two[0], two[1])
    assert_close(two[0], outcome(make_recipe(**table, name="alone")), rtol=2e-4, atol=2e-6)


def test_rank_batch_norm_has_the_names_that_checkpoints_know():
    assert list(RankBatchNorm(3).state_dict()) == list(torch.nn.SyncBatchNorm(3).state_dict())


def _describe(path: str) -> None:
    with Path(path).with_suffix(f".{os.environ['RANK']}.txt").open("w") as file:
        describe_run(load(path), Console(file=file, width=200))


@pytest.mark.parametrize("environment", [WAYS[0], WAYS[4]])
def test_a_dry_run_of_two_ranks_does_not_wait_for_ever(make_recipe, tmp_path, environment):
    """Batch norm over all ranks must not be asked by one of them alone, nor weights of which each has its part."""
    networks = {role: {**PICTURES[role], "norm": "sync"} for role in ("generator", "discriminator")}
    recipe, path = make_recipe(**{**allowed(PICTURES, environment), **networks}), tmp_path / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(_describe, (str(path),), environment)
    (count,) = re.findall(r"discriminator dcgan +│ +│ +([\d,]+)", path.with_suffix(".0.txt").read_text())
    networks = build_networks(recipe, build_dataset(recipe))
    assert int(count.replace(",", "")) == sum(weight.numel() for weight in networks.discriminator.parameters())
    assert path.with_suffix(".1.txt").read_text() == ""
