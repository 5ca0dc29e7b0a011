"""The optimizers of GANs, with the papers' defaults for GANs.

A step is one kernel over all tensors on CUDA (`fused`), which also lets a gradient scaler work without waiting for the
device, and a few operations over lists of tensors elsewhere (`foreach`), where fused ones were slower.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from ganforge.registry import register

LearningRate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


def can_fuse(params: list[nn.Parameter]) -> bool:
    """Whether to use the fused kernel: only if the optimizer has one and it is faster."""
    return bool(params) and all(param.device.type == "cuda" and param.is_floating_point() for param in params)


def made(
    optimizer: Callable[..., torch.optim.Optimizer], params: Iterable[nn.Parameter], **options: Any
) -> torch.optim.Optimizer:
    """An optimizer whose step is one kernel where there is one, and a few operations over lists elsewhere."""
    params = list(params)
    fused = can_fuse(params)
    return optimizer(params, fused=fused, foreach=not fused, **options)


@register.optimizer("adam")
def adam(
    params: Iterable[nn.Parameter],
    *,
    lr: LearningRate = 2e-4,
    betas: tuple[Beta, Beta] = (0.5, 0.999),
    eps: Annotated[float, Field(gt=0)] = 1e-8,
    weight_decay: NonNegative = 0.0,
    amsgrad: bool = False,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015) with the defaults of DCGAN (Radford et al. 2016, section 4).

    Args:
        params: what to optimise.
        lr: learning rate; 0.0002 in DCGAN.
        betas: decay of the first and second moments; 0.5 and 0.999 in DCGAN.
        eps: added to the root of the second moment.
        weight_decay: L2 term added to the gradient.
        amsgrad: never let the second moment fall (Reddi et al. 2018).
    """
    return made(torch.optim.Adam, params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


@register.optimizer("adamw")
def adamw(
    params: Iterable[nn.Parameter],
    *,
    lr: LearningRate = 2e-4,
    betas: tuple[Beta, Beta] = (0.5, 0.999),
    eps: Annotated[float, Field(gt=0)] = 1e-8,
    weight_decay: NonNegative = 0.01,
    amsgrad: bool = False,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        params: what to optimise.
        lr: learning rate.
        betas: decay of the first and second moments.
        eps: added to the root of the second moment.
        weight_decay: share of the weights taken off a step, times the learning rate.
        amsgrad: never let the second moment fall (Reddi et al. 2018).
    """
    return made(torch.optim.AdamW, params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


@register.optimizer("rmsprop")
def rmsprop(
    params: Iterable[nn.Parameter],
    *,
    lr: LearningRate = 5e-5,
    alpha: Beta = 0.99,
    eps: Annotated[float, Field(gt=0)] = 1e-8,
    momentum: NonNegative = 0.0,
    centered: bool = False,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop (Hinton 2012), with the learning rate of WGAN (Arjovsky et al. 2017, algorithm 1).

    Args:
        params: what to optimise.
        lr: learning rate; 0.00005 in WGAN.
        alpha: decay of the second moment.
        eps: added to the root of the second moment.
        momentum: momentum of the update.
        centered: divide by the standard deviation of the gradient in place of its root mean square.
        weight_decay: L2 term added to the gradient.
    """
    return torch.optim.RMSprop(
        params,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        weight_decay=weight_decay,
        foreach=True,
    )


@register.optimizer("sgd")
def sgd(
    params: Iterable[nn.Parameter],
    *,
    lr: LearningRate = 0.01,
    momentum: NonNegative = 0.0,
    dampening: NonNegative = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent (Robbins and Monro 1951), with momentum (Polyak 1964) if asked for.

    Args:
        params: what to optimise.
        lr: learning rate.
        momentum: decay of the velocity.
        dampening: share of the gradient that does not enter the velocity.
        nesterov: look ahead along the velocity (Sutskever et al. 2013).
        weight_decay: L2 term added to the gradient.
    """
    return made(
        torch.optim.SGD,
        params,
        lr=lr,
        momentum=momentum,
        dampening=dampening,
        nesterov=nesterov,
        weight_decay=weight_decay,
    )
