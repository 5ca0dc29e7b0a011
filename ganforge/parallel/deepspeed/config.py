"""DeepSpeed's part of a launch: which ZeRO stage, and nothing that would train something else than the recipe says.

A launch decides where tensors lie and who sends what to whom. Learning rates, clipping, accumulation
and precision are the recipe's; a DeepSpeed config that sets them, too, is refused by key. Several of
them act silently (Rajbhandari et al. 2020 describe the stages; what is said here was measured).
"""

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ganforge.errors import LaunchError

STAGES = (0, 1, 2, 3)
"""From 1 on optimizer states are sharded, from 2 on gradients, at 3 weights, too."""

HARMLESS = ("wall_clock_breakdown", "comms_logger", "flops_profiler", "dump_state", "steps_per_print")
"""Keys that only watch."""

HARMLESS_ZERO = (
    "stage",
    "allgather_partitions",
    "allgather_bucket_size",
    "contiguous_gradients",
    "overlap_comm",
    "reduce_bucket_size",
    "reduce_scatter",
    "round_robin_gradients",
    "stage3_gather_16bit_weights_on_model_save",
    "stage3_max_live_parameters",
    "stage3_max_reuse_distance",
    "stage3_param_persistence_threshold",
    "stage3_prefetch_bucket_size",
    "use_multi_rank_bucket_allreduce",
)
"""Keys of `zero_optimization` that change speed and memory alone."""

ELSEWHERE = {
    "optimizer": "the recipe's [optimizer] makes it",
    "scheduler": "the recipe's optimizer.*.warmup and decay do that",
    "fp16": "DeepSpeed would keep the weights themselves in half precision; set training.precision in the recipe",
    "bf16": "DeepSpeed would keep the weights themselves in bfloat16, and batch norm fails on a CPU; "
    "set training.precision in the recipe (float32 weights under autocast)",
    "torch_autocast": "set training.precision in the recipe",
    "amp": "set training.precision in the recipe",
    "gradient_clipping": "set optimizer.generator.clip_norm and optimizer.discriminator.clip_norm in the recipe",
    "gradient_accumulation_steps": "must be 1; set training.discriminator_micro_batches and generator_micro_batches",
    "train_batch_size": "set training.batch_size in the recipe",
    "train_micro_batch_size_per_gpu": "set training.batch_size in the recipe",
}
"""What to set instead of a key that is refused."""


def uses_deepspeed() -> bool:
    """Whether the launch asked for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("1", "true", "yes")


def zero_config() -> dict[str, Any]:
    """The checked config of one player's engine, from what accelerate's launcher left in the environment.

    Raises:
        LaunchError: an unsupported stage, or a key that would change what is trained; all of them at once.
    """
    source = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    given = _from_environment() if source == "none" else _read(source)
    problems = list(_problems(given))
    if problems:
        where = "DeepSpeed" if source == "none" or not Path(source).exists() else source
        raise LaunchError("\n".join(f"{where}: {problem}" for problem in problems))
    zero = given.get("zero_optimization", {})
    return {
        **{key: given[key] for key in HARMLESS if key in given},
        "zero_optimization": {key: zero[key] for key in HARMLESS_ZERO if zero.get(key, "auto") != "auto"},
        # The engine only reports it; the trainer counts its own batches.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0,
        "fp16": {"enabled": False},
        "bf16": {"enabled": False},
        "zero_allow_untested_optimizer": True,
    }


def zero_precision(precision: str) -> str:
    """The recipe's precision, or accelerate's if that is `auto`: `no` or `bf16`.

    Raises:
        LaunchError: fp16, which would need DeepSpeed's own scaler and half-precision weights.
    """
    if precision == "auto":
        precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if precision not in ("no", "bf16"):
        raise LaunchError(
            f"training.precision: {precision} under DeepSpeed would keep the weights themselves in half precision; "
            "use bf16 or no, or DDP"
        )
    return precision


def _from_environment() -> dict[str, Any]:
    """What `deepspeed_config:` of accelerate's file, or its command line, says without a file of DeepSpeed's own."""
    get = os.environ.get
    zero: dict[str, Any] = {"stage": _number(get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))}
    for part in ("optimizer", "param"):
        zero[f"offload_{part}"] = {"device": get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part.upper()}_DEVICE", "none")}
    return {
        "zero_optimization": zero,
        "gradient_accumulation_steps": _number(get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "auto")),
        "gradient_clipping": _number(get("ACCELERATE_GRADIENT_CLIPPING", "auto")),
    }


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(source: str) -> dict[str, Any]:
    try:
        path = Path(source)
        text = path.read_text() if path.exists() else base64.urlsafe_b64decode(source).decode()
        config = json.loads(text)
    except (OSError, ValueError, binascii.Error) as error:
        raise LaunchError(f"{source}: is not a DeepSpeed config: {error}") from error
    if not isinstance(config, dict):
        raise LaunchError(f"{source}: is not a DeepSpeed config: a table is wanted")
    return config


def _problems(config: Mapping[str, Any]) -> Iterator[str]:
    for key, value in config.items():
        if key in HARMLESS or key in ("zero_optimization", "zero_allow_untested_optimizer") or _is_neutral(key, value):
            continue
        yield f"{key}: {ELSEWHERE.get(key, 'may change what is trained, which the recipe decides')}; remove it"
    zero = config.get("zero_optimization", {})
    stage = zero.get("stage", 0)
    if stage not in STAGES:
        yield f"zero_optimization.stage: {stage!r} is not one of {', '.join(map(str, STAGES))}"
    for key, value in zero.items():
        offloads = key in ("offload_optimizer", "offload_param")
        if offloads and value.get("device", "none") not in ("none", None):
            yield f"zero_optimization.{key}: accelerate would exchange the recipe's optimizer for another; remove it"
        elif not offloads and key not in HARMLESS_ZERO:
            yield f"zero_optimization.{key}: may change what is trained, which the recipe decides; remove it"


def _is_neutral(key: str, value: Any) -> bool:
    """Whether a key of `ELSEWHERE` says nothing."""
    if isinstance(value, dict):
        return key in ("fp16", "bf16", "torch_autocast", "amp") and value.get("enabled", False) is False
    if key == "gradient_accumulation_steps":
        return value in (1, "auto")
    if key == "gradient_clipping":
        return value in (0, "auto")
    return key in ("train_batch_size", "train_micro_batch_size_per_gpu") and value == "auto"
