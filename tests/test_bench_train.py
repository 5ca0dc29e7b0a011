"""`ganforge bench train` and `[performance]`: what is counted, what is predicted, what must not change."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.bench.counting import operations_counted
from ganforge.bench.occasions import Occasion, measure_occasions
from ganforge.bench.scaling import Links, all_reduce_seconds, predict
from ganforge.bench.train import bench_train
from ganforge.bench.train import step as take_step
from ganforge.building.performance import (
    choose_kernels,
    compile_network,
    describe,
    has_channels_last,
    reasons_to_stay_eager,
)
from ganforge.errors import RecipeError
from ganforge.penalties.gradients import R1
from ganforge.recipe import Recipe, dump, resolve
from ganforge.tables import PerformanceTable
from ganforge.training.run import Run
from ganforge.training.step import move

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def make_recipe(tmp_path):
    def make(**changes) -> Recipe:
        table = {
            "name": "tiny",
            "output": str(tmp_path / "runs"),
            "data": {"name": "digits", "size": 16, "cache_dir": str(tmp_path / "cache")},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": 4},
            "training": {"steps": 100, "batch_size": 8},
        }
        for key, value in changes.items():
            table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
        return resolve(table)

    return make


def losses(recipe: Recipe, steps: int = 4) -> dict[str, float]:
    AcceleratorState._reset_state(reset_partial_state=False)
    run = Run.build(recipe)
    for _ in range(steps):
        take_step(run)
    return run.meters.reduce(run.accelerator)


# --- what is counted -----------------------------------------------------------------------------


def test_operations_of_a_convolution_are_counted_forward_and_backward():
    layer = nn.Conv2d(3, 5, 4, stride=2, padding=1)
    samples = torch.randn(2, 3, 8, 8, requires_grad=True)
    with operations_counted() as counter:
        layer(samples).sum().backward()
    assert counter.flops == 3 * 2 * (2 * 5 * 4 * 4) * (3 * 4 * 4)


def test_traffic_counts_what_is_read_and_written_and_not_what_is_looked_at():
    values = torch.zeros(100)
    with operations_counted() as counter:
        values.view(10, 10).t()
    assert counter.traffic == 0
    with operations_counted() as counter:
        _ = values + 1
    assert counter.traffic == 800
    with operations_counted() as counter:
        values.add_(1)
    assert counter.traffic == 800


def test_a_report_counts_the_gradients_of_both_players_and_leaves_no_folder(make_recipe):
    recipe = make_recipe(training={"discriminator_turns": 2})
    report = bench_train(recipe, steps=1, warmup=1)
    assert report is not None
    run = Run.build(recipe)
    sizes = {
        player.role: 4 * sum(parameter.numel() for parameter in player.network.parameters())
        for player in (run.discriminator, run.generator)
    }
    assert {role: cost.communicated for role, cost in report.players.items()} == sizes
    assert report.of_step("communicated") == 2 * sizes["discriminator"] + sizes["generator"]
    assert report.images_per_second > 0
    assert 0 <= report.wait_share <= 1
    assert report.ceilings.flops > 1e8
    assert not Path(recipe.output).exists()
    training, samples, checkpoint = recipe.training, recipe.samples, recipe.checkpoint
    assert [(occasion.name, occasion.every) for occasion in report.occasions] == [
        ("a line of the log", training.log_every),
        ("the doctor's look", training.log_every),
        (f"a grid of {samples.num} samples", samples.every),
        ("a checkpoint of 0 MB", checkpoint.every),
    ]
    assert all(0 < occasion.milliseconds < 60_000 for occasion in report.occasions)


def test_what_interrupts_the_steps_takes_its_share_of_those_between_two_of_them(make_recipe):
    assert Occasion("a grid", milliseconds=7.0, every=100).share(step_ms=0.7) == pytest.approx(0.1)
    assert Occasion("an evaluation", milliseconds=7.0, every=0).share(step_ms=0.7) == 0
    lines = {
        every: next(
            occasion.every
            for occasion in measure_occasions(make_recipe(training={"log_every": every}), take_step, evaluation=False)
            if occasion.name == "the doctor's look"
        )
        for every in (1, 4, 30)
    }
    assert lines == {1: 10, 4: 12, 30: 30}, "one line in ten steps at most is looked at"


def test_a_lazy_penalty_is_counted_as_often_as_it_comes(make_recipe):
    def flops_of(penalties: list[dict[str, Any]]) -> int:
        report = bench_train(make_recipe(penalties=penalties), steps=1, warmup=1)
        assert report is not None
        return report.players["discriminator"].flops

    flops = {
        interval: flops_of(penalties)
        for interval, penalties in {
            0: [],
            1: [{"name": "r1"}],
            4: [{"name": "r1", "interval": 4}],
        }.items()
    }
    assert flops[1] > flops[0]
    assert flops[4] == pytest.approx(flops[0] + (flops[1] - flops[0]) / 4, rel=1e-6)


def test_the_command_prints_tables_and_writes_figures(make_recipe, ganforge, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(dump(make_recipe()))
    options = [
        "--steps",
        1,
        "--warmup",
        1,
        "--json",
        tmp_path / "r.json",
        "--network-gb",
        5,
        "--images-per-second",
        8000,
    ]
    done = ganforge("bench", "train", path, *options)
    assert done.code == 0, done.err
    for word in (
        "images/s",
        "waiting for data",
        "GFLOP/s",
        "5 GB/s a device",
        "1,024",
        "that make 8,000 images/s each",
    ):
        assert word in " ".join(done.out.split())
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["players"]["generator"]["flops"] > 0
    assert [row["gpus"] for row in figures["predicted"]][-1] == 1024
    assert figures["predicted"][0]["images_per_second"] == pytest.approx(8000)
    assert figures["reals"] == 8, "D's turn takes the batch, G's takes none"
    assert figures["sample_bytes"] == 16 * 16


# --- what is predicted ---------------------------------------------------------------------------


def test_one_gpu_communicates_nothing():
    assert all_reduce_seconds(1e9, 1, Links()) == 0


def test_a_ring_within_a_node_is_the_alpha_beta_model():
    links = Links(gpus_per_node=8, node_gb=100.0, node_us=2.0)
    assert all_reduce_seconds(1e9, 4, links) == pytest.approx(2 * 3 * 2e-6 + 2 * 3 / 4 * 1e9 / 100e9)


def test_between_nodes_each_gpu_sends_its_share_of_the_gradient():
    links = Links(gpus_per_node=4, node_gb=100.0, network_gb=10.0, node_us=0.0, network_us=5.0)
    between = 2 * 7 * 5e-6 + 2 * 7 / 8 * 0.25e9 / 10e9
    assert all_reduce_seconds(1e9, 32, links) == pytest.approx(2 * 3 / 4 * 1e9 / 100e9 + between)


def test_trees_between_nodes_take_hops_by_the_logarithm_and_hardly_more_bytes():
    links = Links(gpus_per_node=4, node_gb=100.0, network_gb=10.0, node_us=0.0, network_us=5.0)
    within = 2 * 3 / 4 * 1e9 / 100e9
    assert all_reduce_seconds(1e9, 32, links, "tree") == pytest.approx(within + 2 * 3 * 5e-6 + 2 * 0.25e9 / 10e9)
    assert all_reduce_seconds(1e9, 4, links, "tree") == all_reduce_seconds(1e9, 4, links, "ring")


def test_a_prediction_takes_rings_for_few_large_and_trees_for_many_small_messages():
    links = Links(gpus_per_node=1)
    few, many = predict([(1e-3, 1e8)], 0.0, 1, links, [2, 1024])
    assert few.communication == few.ring < few.tree
    assert many.communication == many.tree < many.ring


def test_a_prediction_loses_exactly_the_communication_and_at_best_what_backward_cannot_hide():
    links = Links(gpus_per_node=1, network_gb=1.0, network_us=0.0)
    (row,) = predict([(0.003, 4e6)], 0.001, 10, links, [2])
    assert row.communication == pytest.approx(4e-3)
    assert row.images_per_second == pytest.approx(20 / 0.008)
    assert row.efficiency == pytest.approx(0.5)
    assert row.best_efficiency == pytest.approx(0.004 / (0.004 + 0.002))


# --- what must not change ------------------------------------------------------------------------


def test_channels_last_computes_the_same_losses_to_rounding(make_recipe):
    one, other = (losses(make_recipe(performance={"channels_last": chosen})) for chosen in (True, False))
    assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_channels_last_reaches_both_networks_their_average_and_their_optimizers(make_recipe):
    run = Run.build(make_recipe())
    take_step(run)
    for network in run.saved_networks().values():
        for parameter in network.parameters():
            assert parameter.dim() != 4 or parameter.is_contiguous(memory_format=torch.channels_last)
    for player in (run.discriminator, run.generator):
        states = player.engine._optimizer.state  # pyright: ignore
        for parameter, state in states.items():
            assert state["exp_avg"].stride() == parameter.stride()


def test_reused_fakes_give_the_generator_the_gradients_of_a_forward_of_its_own(make_recipe):
    """Batch norm follows one forward instead of two, so only gradients are compared."""
    recipe = make_recipe(performance={"reuse_fakes": True})
    run = Run.build(recipe)
    calls = []
    run.networks.generator.register_forward_hook(lambda *_: calls.append("G"))
    shared = []
    original = run.game.turns

    def turns(moving, step, number):
        made = original(moving, step, number)
        shared.append(made[0])
        return made

    run.game.turns = turns  # type: ignore[method-assign]
    gradients = []
    run.generator.engine.step = lambda *_: gradients.extend(  # type: ignore[method-assign]
        parameter.grad.clone() for parameter in run.networks.generator.parameters() if parameter.grad is not None
    )
    take_step(run)
    assert calls == ["G"]
    of_discriminator, of_generator = shared
    assert torch.equal(of_discriminator.source, of_generator.source)
    assert torch.equal(of_discriminator.fake, of_generator.fake)
    assert not of_discriminator.fake.requires_grad

    run.networks.generator.zero_grad()
    of_generator.ready_fakes = None
    del of_generator.__dict__["fake"], of_generator.__dict__["fake_logits"]
    with run.discriminator.frozen():
        run.generator.learn(of_generator, 0)
    own = [parameter.grad for parameter in run.networks.generator.parameters()]
    torch.testing.assert_close(gradients, own)


def test_reused_fakes_leave_the_resting_discriminators_turn_without_gradients_for_the_generator(make_recipe):
    run = Run.build(make_recipe(performance={"reuse_fakes": True}, training={"discriminator_turns": 2}))
    move(run, run.discriminator, run.generator)
    assert all(parameter.grad is None for parameter in run.networks.generator.parameters())
    assert all(parameter.requires_grad for parameter in run.networks.generator.parameters())
    move(run, run.generator, run.discriminator)
    assert vars(run.game)["_shared"] is None


@pytest.mark.parametrize(
    ("performance", "training", "path"),
    [
        ({"cuda_graphs": True, "reuse_fakes": True}, {}, "performance.reuse_fakes"),
        ({"reuse_fakes": True}, {"generator_micro_batches": 2}, "performance.reuse_fakes"),
    ],
)
def test_switches_that_do_not_go_together_are_refused(make_recipe, performance, training, path):
    with pytest.raises(RecipeError, match=path):
        make_recipe(performance=performance, training=training)


class _Asked(TorchDispatchMode):
    """Remembers where a value was asked for, which on a GPU makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.is_nonzero):
            frame = sys._getframe(1)
            names = []
            while frame is not None:
                names.append(frame.f_code.co_filename)
                frame = frame.f_back
            # Adam's own counter of steps, which lies on the host also when its parameters do not.
            if not any("torch/optim/" in name for name in names):
                self.places.append(names[0])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("penalties", [[], [{"name": "r1", "interval": 2}]], ids=["plain", "r1"])
def test_no_value_is_asked_of_the_device_between_log_lines(make_recipe, penalties):
    run = Run.build(make_recipe(penalties=penalties))
    with _Asked() as asked:
        for _ in range(3):
            take_step(run)
    assert asked.places == []
    with _Asked() as asked:
        run.meters.reduce(run.accelerator)["discriminator/loss"]
        torch.zeros(1).item()
    assert asked.places, "the watch itself is blind"


# --- what is on, and what steps aside ------------------------------------------------------------


def test_layout_is_chosen_by_device_unless_the_recipe_says_so():
    assert has_channels_last(PerformanceTable(), CPU, "no")
    assert not has_channels_last(PerformanceTable(channels_last=False), CPU, "no")
    assert not has_channels_last(PerformanceTable(), torch.device("mps"), "no")
    assert not has_channels_last(PerformanceTable(compile=True), torch.device("cuda"), "bf16")


def test_a_deterministic_run_takes_no_algorithm_by_its_speed():
    try:
        choose_kernels(PerformanceTable(deterministic=True))
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        choose_kernels(PerformanceTable())
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_a_tensor_of_zeros_without_memory_is_counted_too():
    """Autograd makes such zeros; their storage has no address to tell it by."""
    zeros = torch._efficientzerotensor((2, 3))  # pyright: ignore[reportPrivateImportUsage]
    with operations_counted() as counted:
        torch.add(torch.ones(2, 3), zeros)
    assert counted.traffic > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="sets glibc's malloc")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_a_step_frees_on_a_cpu_serves_the_next_step_without_page_faults(device):
    program = f"""
import resource, torch
from ganforge.tables import PerformanceTable
from ganforge.building.performance import keep_memory
keep_memory(PerformanceTable(), torch.device({device!r}))
def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**24 + 2**20 * index) for index in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[step() for _ in range(10)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    first, *_, last = map(int, done.stdout.split())
    if device == "cpu":
        assert last < first / 10
    else:
        assert last > first / 2, "the host's memory is nothing of a GPU's training"


def test_the_player_with_double_backward_is_not_compiled_and_the_run_says_so():
    table = PerformanceTable(compile=True, cuda_graphs=True)
    plain = nn.Linear(2, 2)
    compile_network(plain, table)
    assert plain._compiled_call_impl is not None
    assert reasons_to_stay_eager("generator", [R1()]) == []
    assert reasons_to_stay_eager("discriminator", [R1()]) != []
    lines = describe(table, [R1()], not_recorded="this runs on cpu")
    assert [line.split(",")[0].split(";")[0] for line in lines] == [
        "compiled: generator",
        "not compiled: discriminator",
        "no CUDA graphs: this runs on cpu",
    ]
    assert describe(PerformanceTable(), [R1()], not_recorded="this runs on cpu") == []
    (line,) = describe(PerformanceTable(cuda_graphs=True), [R1()], not_recorded="this runs on cpu")
    assert line == "no CUDA graphs: this runs on cpu"


@pytest.mark.slow
def test_compiled_networks_compute_the_same_losses_to_rounding():
    table = {
        "name": "tiny",
        "data": {"name": "ring", "samples": 100},
        "generator": {"name": "mlp"},
        "discriminator": {"name": "mlp"},
        "training": {"steps": 100, "batch_size": 8},
    }
    recipes = [resolve({**table, "performance": {"compile": chosen}}) for chosen in (True, False)]
    compiled, plain = (losses(recipe) for recipe in recipes)
    assert compiled == pytest.approx(plain, rel=1e-3, abs=1e-5)


# --- the scripts -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_contest_with_the_classic_loop_runs_and_prints_ratios():
    script = ROOT / "tests" / "bench" / "train_vs_reference.py"
    tiny = ["--batch", "4", "--width", "4", "--rounds", "2"]
    done = subprocess.run([sys.executable, str(script), *tiny], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "| classic loop | " in done.stdout
    assert "| ganforge, as it comes | " in done.stdout


@pytest.mark.slow
def test_the_gpu_measurements_go_through_in_their_dry_mode(tmp_path):
    environment = {**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    script = ROOT / "tests" / "gpu" / "run.sh"
    done = subprocess.run(["bash", str(script), "--dry"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results.md").read_text().endswith("All sections passed.\n")
