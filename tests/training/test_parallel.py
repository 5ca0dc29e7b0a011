"""Every way of going parallel that a CPU can run, against the one-process run of the same global batch."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from two_processes import DDP, launch_two

from ganforge.recipe import dump, load
from ganforge.training.dry_run import describe_run
from ganforge.training.rank_batch_norm import RankBatchNorm
from training.ways import ZERO, assert_close, assert_equal, needs_deepspeed, on_two, outcome

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
    """What DDP makes of `PICTURES`, once for all."""
    made = {}

    def get(make_recipe):
        if not made:
            made["ranks"] = on_two(make_recipe(**PICTURES), tmp_path_factory.mktemp("ddp"), DDP)
        return made["ranks"]

    return get


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_zero_trains_bit_for_bit_what_ddp_trains(make_recipe, ddp_pictures, tmp_path, stage):
    ddp = ddp_pictures(make_recipe)
    zero = on_two(make_recipe(**PICTURES), tmp_path, ZERO[stage])
    assert_equal(ddp[0], ddp[1])
    assert_equal(zero[0], zero[1])
    assert_equal(ddp[0], zero[0])
    assert zero[0]["layout"] == ("whole" if stage == 0 else f"ZeRO {stage} over 2 ranks")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [pytest.param(DDP, id="ddp"), *(pytest.param(ZERO[n], id=f"zero{n}", marks=needs_deepspeed) for n in (0, 2))],
)
def test_gradients_of_two_processes_are_clipped_as_those_of_one(make_recipe, tmp_path, environment):
    """By the norm of the whole gradient, which with ZeRO 2 no rank has."""
    clipped = {role: {**table, "clip_norm": 0.02} for role, table in SGD.items()}
    recipe = make_recipe(**POINTS, optimizer=clipped)
    two = on_two(recipe, tmp_path, environment)
    one = outcome(recipe)
    assert_close(two[0], one, rtol=1e-4, atol=1e-5)
    assert all(line["generator/gradient_norm"] > 0.02 for line in one["losses"])


WAYS = [
    pytest.param(DDP, id="ddp"),
    *(pytest.param(ZERO[stage], id=f"zero{stage}", marks=[pytest.mark.slow, needs_deepspeed]) for stage in (0, 1, 2)),
]


@pytest.mark.parametrize("environment", WAYS)
@pytest.mark.parametrize("pieces", [(1, 1), (4, 2)], ids=["whole", "accumulated"])
def test_two_processes_train_what_one_trains_of_the_same_global_batch(make_recipe, tmp_path, environment, pieces):
    training = {"steps": 20, "discriminator_micro_batches": pieces[0], "generator_micro_batches": pieces[1]}
    recipe = make_recipe(**{**POINTS, "training": training, "optimizer": SGD})
    two = on_two(recipe, tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**POINTS, optimizer=SGD, name="alone"))
    assert_close(two[0], alone, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("environment", WAYS)
def test_bf16_on_two_processes_stays_near_one_and_keeps_float32_weights(make_recipe, tmp_path, environment):
    table = {**POINTS, "training": {"steps": 10, "precision": "bf16"}, "optimizer": SGD}
    two = on_two(make_recipe(**table), tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=0.02, atol=2e-3)
    weights = [tensor for network in two[0]["networks"].values() for tensor in network.values()]
    assert {tensor.dtype for tensor in weights} == {torch.float32}
    single = outcome(make_recipe(**{**table, "training": {"steps": 10}}, name="single"))
    with pytest.raises(AssertionError):  # it was bf16 indeed
        assert_close(two[0], single, rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("environment", WAYS[:3:2])
def test_sync_batch_norm_sees_the_global_batch_on_cpus_too(make_recipe, tmp_path, environment):
    """Double backward through it included: one process with ordinary batch norm is the same training."""
    table = {**PICTURES, "training": {"steps": 8, "batch_size": 8}, "optimizer": SGD}
    networks = {role: {**PICTURES[role], "norm": "sync"} for role in ("generator", "discriminator")}
    two = on_two(make_recipe(**{**table, **networks}), tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    alone = outcome(make_recipe(**table, name="alone"))
    assert_close(two[0], alone, rtol=2e-3, atol=2e-5)
    local = on_two(make_recipe(**table, name="local"), Path(tmp_path / "local"), environment)
    with pytest.raises(AssertionError):  # each rank's own statistics are another training
        assert_close(local[0], alone, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("environment", WAYS[:3:2])
def test_fakes_of_one_turn_may_be_learned_from_in_the_next(make_recipe, tmp_path, environment):
    """`performance.reuse_fakes`: the generator's forward then lies in the discriminator's turn."""
    recipe = make_recipe(**POINTS, optimizer=SGD, performance={"reuse_fakes": True})
    two = on_two(recipe, tmp_path / "two", environment)
    assert_equal(two[0], two[1])
    table = {**POINTS, "optimizer": SGD, "performance": {"reuse_fakes": True}}
    assert_close(two[0], outcome(make_recipe(**table, name="alone")), rtol=2e-4, atol=2e-6)


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
    describe_run(load(path), Console(quiet=True))


def test_a_dry_run_of_two_ranks_with_sync_batch_norm_does_not_wait_for_ever(make_recipe, tmp_path):
    """Only one rank describes the networks, and batch norm over all ranks must not be asked then."""
    networks = {role: {**PICTURES[role], "norm": "sync"} for role in ("generator", "discriminator")}
    path = tmp_path / "recipe.toml"
    path.write_text(dump(make_recipe(**{**PICTURES, **networks})))
    launch_two(_describe, (str(path),), DDP)
