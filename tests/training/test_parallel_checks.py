"""Launches that would silently train something else are refused by name, before anything is built."""

import json
import os
import re
from pathlib import Path

import pytest
import torch.distributed
from two_processes import launch_two

from ganforge.errors import LaunchError
from ganforge.parallel.deepspeed.config import zero_config, zero_precision
from ganforge.parallel.launch import check_launch
from ganforge.parallel.lost_ranks import lost_ranks_named
from ganforge.parallel.start import make_accelerator
from ganforge.recipe import dump, load
from ganforge.training.run import Run
from training.ways import ZERO, needs_deepspeed


@pytest.fixture
def launched(monkeypatch):
    """Put what a launcher leaves into the environment."""
    for name in ("ACCELERATE_USE_CPU", "ACCELERATE_MIXED_PRECISION", "WORLD_SIZE", "ACCELERATE_DYNAMO_BACKEND"):
        monkeypatch.delenv(name, raising=False)

    def leave(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"ACCELERATE_{name}", value)

    return leave


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"USE_FSDP": "true", "FSDP_VERSION": "2"}, "R1's double backward through FSDP2 silently gives wrong weights"),
        ({"USE_MEGATRON_LM": "true"}, "Megatron-LM splits language models"),
        ({"GRADIENT_ACCUMULATION_STEPS": "4"}, "discriminator_micro_batches and generator_micro_batches"),
        ({"DYNAMO_BACKEND": "INDUCTOR"}, "performance.compile = true"),
        ({"MIXED_PRECISION": "fp8"}, "fp8 does not support convolutions"),
        ({"USE_DEEPSPEED": "true", "USE_CPU": "true"}, "trains every rank alone"),
        ({"USE_DEEPSPEED": "true", "DEEPSPEED_ZERO_STAGE": "4"}, "4 is not one of 0, 1, 2, 3"),
        ({"USE_DEEPSPEED": "true", "DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu"}, "the recipe's optimizer for another"),
        ({"USE_DEEPSPEED": "true", "GRADIENT_CLIPPING": "1.0"}, "gradient_clipping: set optimizer.generator.clip_norm"),
    ],
)
def test_a_launch_that_would_train_something_else_is_refused(launched, variables, reason):
    launched(**variables)
    with pytest.raises(LaunchError, match=reason):
        make_accelerator("auto")


@pytest.mark.parametrize(
    "variables",
    [{}, {"GRADIENT_ACCUMULATION_STEPS": "1", "DYNAMO_BACKEND": "NO", "MIXED_PRECISION": "bf16"}],
)
def test_an_ordinary_launch_is_not_refused(launched, variables):
    launched(**variables)
    check_launch()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"optimizer": {"type": "Adam"}}, r"optimizer: the recipe's \[optimizer\] makes it"),
        ({"scheduler": {"type": "WarmupLR"}}, "scheduler: the recipe's optimizer"),
        ({"bf16": {"enabled": True}}, "bf16: .*batch norm fails on a CPU"),
        ({"bf16": {"enabled": "auto"}}, "bf16: DeepSpeed would keep the weights"),
        ({"fp16": {"enabled": True}}, "fp16: DeepSpeed would keep the weights"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps: must be 1"),
        ({"gradient_clipping": 1.0}, "gradient_clipping: set optimizer.generator.clip_norm"),
        ({"train_micro_batch_size_per_gpu": 16}, r"set training\.batch_size in the recipe"),
        ({"prescale_gradients": True}, "prescale_gradients: may change what is trained"),
        ({"zero_optimization": {"stage": 3, "sub_group_size": 1e9}}, "sub_group_size"),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}, "offload_param"),
        ({"zero_optimization": {"stage": 3, "zero_quantized_weights": True}}, "zero_quantized_weights"),
        ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}, "offload_optimizer"),
        ({"zero_optimization": {"stage": 2, "zero_quantized_gradients": True}}, "zero_quantized_gradients"),
    ],
)
def test_a_deepspeed_config_that_says_what_the_recipe_says_is_refused_by_key(launched, tmp_path, config, reason):
    path = tmp_path / "ds.json"
    path.write_text(json.dumps({"zero_optimization": {"stage": 2}, **config}))
    launched(USE_DEEPSPEED="true", DEEPSPEED_CONFIG_FILE=str(path))
    with pytest.raises(LaunchError, match=reason) as error:
        check_launch()
    assert str(path) in str(error.value)


def test_all_problems_of_a_deepspeed_config_come_at_once(launched, tmp_path):
    path = tmp_path / "ds.json"
    path.write_text(json.dumps({"optimizer": {}, "scheduler": {}, "zero_optimization": {"stage": 2}}))
    launched(USE_DEEPSPEED="true", DEEPSPEED_CONFIG_FILE=str(path))
    with pytest.raises(LaunchError, match=r"optimizer: .*\n.*scheduler: "):
        check_launch()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_deepspeed_config_that_is_none_says_so(launched, tmp_path, text):
    path = tmp_path / "ds.json"
    path.write_text(text)
    launched(USE_DEEPSPEED="true", DEEPSPEED_CONFIG_FILE=str(path))
    with pytest.raises(LaunchError, match=r"ds\.json: is not a DeepSpeed config"):
        check_launch()


def test_accelerates_automatic_clipping_at_one_never_reaches_deepspeed(launched):
    launched(USE_DEEPSPEED="true", DEEPSPEED_ZERO_STAGE="1", GRADIENT_CLIPPING="auto")
    config = zero_config()
    assert config["gradient_clipping"] == 0.0
    assert config["zero_optimization"] == {"stage": 1}
    assert config["gradient_accumulation_steps"] == 1


REFUSED_BY_ZERO_3 = [
    *(({"penalties": [name]}, rf"penalties\.0: '{name}' differentiates twice.* use ZeRO 2 or DDP")
      for name in ("r1", "r2", "gradient_penalty", "dragan")),
    ({"penalties": ["lecam", "feature_matching"]}, r"penalties\.1: 'feature_matching' goes backward from inner layers"),
    *(({"penalties": [name]}, rf"penalties\.0: '{name}' looks at weights themselves")
      for name in ("weight_decay_l1", "weight_decay_l2", "orthogonal")),
    ({"performance": {"compile": True}}, r"performance\.compile: .*set it to false"),
    ({"optimizer": {"discriminator": {"name": "adam", "clip_weights": 0.1}}}, "clip_weights do not reach"),
    ({"optimizer": {"generator": {"name": "adam", "clip_value": 0.1}}}, "clip_value and clip_weights do not reach"),
    ({"optimizer": {"generator": "adafactor"}}, "adafactor looks at weights' rows and columns"),
]  # fmt: skip


def _refusals(paths: list[str]) -> None:
    for path in paths:
        with pytest.raises(LaunchError) as error:
            Run.build(load(path))
        Path(path).with_suffix(f".{os.environ['RANK']}").write_text(str(error.value))


@needs_deepspeed
@pytest.mark.slow
def test_zero_3_refuses_what_looks_at_weights_between_passes_by_name_on_every_rank(make_recipe, tmp_path):
    paths = [tmp_path / f"{index}.toml" for index in range(len(REFUSED_BY_ZERO_3))]
    for path, (table, _) in zip(paths, REFUSED_BY_ZERO_3, strict=True):
        path.write_text(dump(make_recipe(**table)))
    launch_two(_refusals, ([str(path) for path in paths],), ZERO[3])
    for path, (_, reason) in zip(paths, REFUSED_BY_ZERO_3, strict=True):
        assert re.search(reason, path.with_suffix(".0").read_text())
        assert path.with_suffix(".0").read_text() == path.with_suffix(".1").read_text()


@needs_deepspeed
@pytest.mark.slow
def test_deepspeed_refuses_a_weight_that_it_cannot_send(make_recipe, tmp_path):
    """Self-attention has one, at every stage."""
    path = tmp_path / "attention.toml"
    pictures = {"name": "resnet", "width": 4}
    table = {"data": {"name": "digits", "size": 32}, "generator": {**pictures, "latent_dim": 8}}
    path.write_text(dump(make_recipe(**table, discriminator={**pictures, "attention": 16})))
    launch_two(_refusals, ([str(path)],), ZERO[0])
    assert re.search(r"weight '[\w.]+' is a single number", path.with_suffix(".0").read_text())


def test_fp16_under_deepspeed_is_refused_and_auto_takes_the_launchs_word(launched):
    launched(MIXED_PRECISION="bf16")
    assert zero_precision("auto") == "bf16"
    assert zero_precision("no") == "no"
    with pytest.raises(LaunchError, match="fp16 under DeepSpeed"):
        zero_precision("fp16")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:1\n  more"),
        torch.distributed.DistBackendError("NCCL communicator was aborted"),
    ],
)
def test_a_lost_connection_is_named_in_one_line(error):
    expected = pytest.raises(LaunchError, match=r"^rank 3 stops, since another rank has died or hangs.*$")
    with expected as found, lost_ranks_named(3):
        raise error
    assert "\n" not in str(found.value)


def test_other_errors_keep_their_names():
    with pytest.raises(RuntimeError, match="size mismatch"), lost_ranks_named(0):
        raise RuntimeError("size mismatch")
