"""Ways to make a step cheaper that do not change what it computes: memory and its layout, kernels, compilation.

Every switch stands in the recipe's table `[performance]`. What is on by default is what was never slower and
never wrong where it was measured (`tests/bench/train_vs_reference.py`); the rest is for the user to try with
`ganforge bench train`.
"""

import ctypes
import os
import platform
from collections.abc import Iterable

import torch
from torch import nn

from ganforge.game.turn import Role
from ganforge.penalties import Penalty
from ganforge.tables import PerformanceTable

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, as `malloc.h` numbers them."""


def choose_kernels(table: PerformanceTable) -> None:
    """Set torch's process-wide switches; without a CUDA device they do nothing."""
    torch.backends.cudnn.benchmark = table.cudnn_benchmark and not table.deterministic
    torch.backends.cudnn.deterministic = table.deterministic
    torch.use_deterministic_algorithms(table.deterministic, warn_only=True)
    if table.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.backends.cudnn.allow_tf32 = table.tf32 != "none"
    torch.backends.cuda.matmul.allow_tf32 = table.tf32 == "all"


def keep_memory(table: PerformanceTable, device: torch.device) -> None:
    """Let this process's `malloc` keep what is freed, for the rest of its life.

    torch has no cache of its own for the CPU's tensors. By default glibc maps memory for each one above 32 MiB, and
    returns what is free at the end of its heap, so that a step takes tens of thousands of page faults. On a GPU torch
    caches, and the host has nothing large to keep.
    """
    if table.keep_memory and device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)  # nothing has a mapping of its own, that would vanish with it
        mallopt(M_TRIM_THRESHOLD, -1)  # and the heap never shrinks


def place(network: nn.Module, table: PerformanceTable, device: torch.device, precision: str) -> None:
    """Move a network to the device, its four-dimensional weights in the layout that its convolutions prefer.

    Args:
        network: bare; its parameters keep their identity.
        table: the recipe's.
        device: where it will run.
        precision: accelerate's: `no`, `bf16` or `fp16`.
    """
    network.to(device)
    if has_channels_last(table, device, precision):
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in torch's stubs


def has_channels_last(table: PerformanceTable, device: torch.device, precision: str) -> bool:
    """The recipe's setting; without one, whether the device's convolutions are known to prefer that layout."""
    if table.channels_last is not None:
        return table.channels_last
    if device.type == "cuda":
        if table.compile:  # its code expects another layout than cuDNN gives the gradients of such weights, and refuses
            return False
        # cuDNN's tensor core kernels are NHWC inside and transpose what is not; its float32 ones are NCHW.
        has_tensor_cores = torch.cuda.get_device_capability(device) >= (8, 0)
        return precision != "no" or (has_tensor_cores and table.tf32 != "none")
    return device.type == "cpu"


def compile_network(network: nn.Module, table: PerformanceTable) -> None:
    """Compile in place: weights keep their names, and the network is compiled with and without its wrapper."""
    if not table.compile:
        return
    network.compile(dynamic=False)


TWICE = "a penalty differentiates twice and compiled networks cannot"
HOOKS = "a loss looks at its inner layers, which compiled networks do not show"


def reasons_to_stay_eager(role: Role, penalties: Iterable[Penalty], hears_classifier: bool = False) -> list[str]:
    """Why a player's network cannot be compiled; empty if it can.

    Args:
        role: whose network.
        penalties: all of the recipe.
        hears_classifier: whether the objective hears D's classifier.
    """
    penalties = list(penalties)
    reasons = []
    if any(penalty.player == role and penalty.needs_double_backward for penalty in penalties):
        reasons.append(TWICE)
    if role == "discriminator" and (hears_classifier or any(penalty.hooks_discriminator for penalty in penalties)):
        reasons.append(HOOKS)
    return reasons


def describe(
    table: PerformanceTable, penalties: Iterable[Penalty], hears_classifier: bool = False, *, not_recorded: str = ""
) -> list[str]:
    """Lines for whoever starts a run: what is compiled and recorded, what is not and why.

    Args:
        table: the recipe's.
        penalties: all of the recipe.
        hears_classifier: whether the objective hears D's classifier.
        not_recorded: why there are no CUDA graphs.
    """
    without = [f"no CUDA graphs: {not_recorded}"] if table.cuda_graphs and not_recorded else []
    if not table.compile:
        return without
    penalties = list(penalties)
    roles: tuple[Role, ...] = ("discriminator", "generator")
    reasons = {role: reasons_to_stay_eager(role, penalties, hears_classifier) for role in roles}
    lines = []
    compiled = [role for role in roles if not reasons[role]]
    if compiled:
        lines.append(f"compiled: {' and '.join(compiled)}; the first steps take a minute or more")
    lines.extend(f"not compiled: {role}, because {' and '.join(why)}" for role, why in reasons.items() if why)
    return [*lines, *without]
