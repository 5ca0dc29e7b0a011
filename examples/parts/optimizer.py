"""An optimizer: a class or a function that makes one."""

from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from ganforge import register


@register.optimizer("signsgd")
class SignSGD(torch.optim.Optimizer):
    """Steps of one size in the direction of the gradient's signs (signSGD, Bernstein et al. 2018, algorithm 1).

    Args:
        params: what to optimise.
        lr: size of a step.
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: Annotated[float, Field(gt=0)] = 1e-4) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            with_gradients = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in with_gradients:
                parameter.sub_(group["lr"] * parameter.grad.sign())
