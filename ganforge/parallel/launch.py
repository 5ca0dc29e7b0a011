"""What would go wrong silently when several processes train two players, refused before the first step.

A launch says where tensors lie and how many processes there are; what is trained is the recipe's
alone. So a launch that would change it, or that cannot do it rightly, is refused by name.
"""

import os
from collections.abc import Callable

import torch.distributed

from ganforge.errors import LaunchError
from ganforge.parallel.deepspeed.config import uses_deepspeed, zero_config


def check_launch() -> None:
    """Refuse launches that would train something else than the recipe says, or on fewer processes than asked for.

    Raises:
        LaunchError: with what to do instead.
    """
    for is_found, text in _REFUSED:
        if is_found():
            raise LaunchError(text)
    if uses_deepspeed():
        zero_config()


def is_first_rank() -> bool:
    """Whether this process is rank 0, or will be once the ranks have met."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() == 0
    return os.environ.get("RANK", "0") == "0"


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes")


def uses_cpu() -> bool:
    """Whether the user asked for the CPU."""
    return _flag("ACCELERATE_USE_CPU")


def _starts_one_of_several() -> bool:
    launched = "MASTER_PORT" in os.environ and "ACCELERATE_MIXED_PRECISION" in os.environ
    return launched and "WORLD_SIZE" not in os.environ and uses_cpu()


_REFUSED: tuple[tuple[Callable[[], bool], str], ...] = (
    (
        _starts_one_of_several,
        "several processes were asked for, but `accelerate launch --cpu` starts only one; "
        "use `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N ...`",
    ),
    (
        lambda: _flag("ACCELERATE_USE_FSDP"),
        "FSDP cannot be tested on a CPU, and R1's double backward through FSDP2 silently gives wrong weights; "
        "use DDP, or DeepSpeed's ZeRO 3, which shards weights, too",
    ),
    (
        lambda: _flag("ACCELERATE_USE_MEGATRON_LM"),
        "Megatron-LM splits language models, not a GAN's players; use DDP, or DeepSpeed's ZeRO 1 or 2",
    ),
    (
        lambda: os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1") not in ("", "1", "auto"),
        "gradient_accumulation_steps of the launch would count both players' turns in one and divide their losses; "
        "leave it at 1 and set training.discriminator_micro_batches and generator_micro_batches in the recipe",
    ),
    (
        lambda: os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower() not in ("", "no"),
        "dynamo_backend of the launch would compile the wrapper that exchanges gradients, in pieces; "
        "leave it out and set performance.compile = true in the recipe",
    ),
    (
        lambda: os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower() == "fp8",
        "mixed_precision: fp8 does not support convolutions; use bf16, or no",
    ),
    (
        lambda: uses_deepspeed() and uses_cpu(),
        "DeepSpeed under ACCELERATE_USE_CPU trains every rank alone; leave that variable out, "
        "DeepSpeed runs on the CPU by itself where there is no GPU",
    ),
)
