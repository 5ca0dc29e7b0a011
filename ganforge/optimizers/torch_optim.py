"""Every other optimizer of the installed PyTorch, its options read off its own signature and documentation.

A class is registered under its name in small letters, and a recipe may write it as PyTorch does: `radam` or `RAdam`.
The framework sets the rest itself: the parameters, which kernels compute a step, and switches that training does not
use (a graph of the step, gradients through it, maximising).

The names are read from PyTorch's source, so that listing them imports nothing; a class is imported when it is asked
for.
"""

import ast
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from docstring_parser import parse
from pydantic import Field, TypeAdapter

from ganforge.registry import register

if TYPE_CHECKING:
    import torch
    from torch import nn

OURS = ("params", "foreach", "fused", "maximize", "capturable", "differentiable")
USUAL = {"Adam": "adam", "AdamW": "adamw", "RMSprop": "rmsprop", "SGD": "sgd"}
"""Registered by hand, with the papers' defaults for GANs."""

REFUSED = {
    "LBFGS": "computes the loss several times a step, and a GAN's loss differs each time; use adam",
    "SparseAdam": "is for sparse gradients, and a network's here are dense; use adam",
    "Muon": "updates matrices only, and a network has biases and convolutions too; use adamw",
}

PAPERS = {
    "ASGD": "Averaged stochastic gradient descent (Polyak and Juditsky 1992)",
    "Adadelta": "Adadelta (Zeiler 2012)",
    "Adafactor": "Adafactor, which keeps little memory (Shazeer and Stern 2018)",
    "Adagrad": "Adagrad (Duchi et al. 2011)",
    "Adamax": "Adam scaled by the largest gradient (Kingma and Ba 2015, section 7.1)",
    "NAdam": "Adam with Nesterov momentum (Dozat 2016)",
    "RAdam": "Rectified Adam, which warms up by itself (Liu et al. 2020)",
    "Rprop": "Resilient propagation, by the signs of gradients alone (Riedmiller and Braun 1993)",
}


def register_all() -> None:
    """Register every class of `torch.optim` by its name, or the reason why it cannot be used."""
    for name in class_names():
        if name in REFUSED:
            register.optimizer.refuse(name, REFUSED[name])
            register.optimizer.refuse(name.lower(), REFUSED[name])
            continue
        if name not in USUAL:
            register.optimizer.promise(name.lower(), summary(name), partial(_component_called, name))
        register.optimizer.spell(name, name.lower())


def class_names() -> list[str]:
    """The optimizers that `torch/optim/__init__.py` imports: classes, by their capitals, without the base of all."""
    package = find_spec("torch")
    if package is None or package.origin is None:
        return []
    source = Path(package.origin).with_name("optim") / "__init__.py"
    imports = [node for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    names = [alias.asname or alias.name for node in imports for alias in node.names]
    return sorted(name for name in names if name[0].isupper() and name != "Optimizer")


def _component_called(name: str) -> "Callable[..., torch.optim.Optimizer]":
    import torch

    return component_of(getattr(torch.optim, name))


def component_of(optimizer: "type[torch.optim.Optimizer]") -> "Callable[..., torch.optim.Optimizer]":
    """A function with the options of an optimizer after `*`, annotated and documented as a component is.

    Its source, as `ganforge show` names it, is the class.
    """
    from torch import nn

    from ganforge.optimizers.usual import can_fuse

    options = options_of(optimizer)
    accepted = inspect.signature(optimizer).parameters

    def make(params: "Iterable[nn.Parameter]", **given: Any) -> "torch.optim.Optimizer":
        params = list(params)
        given = {
            name: value for name, value in given.items() if value is not None
        }  # the class has a default of its own
        fused = "fused" in accepted and can_fuse(params)
        if fused:
            given["fused"] = True
        elif "foreach" in accepted:
            given["foreach"] = True
        return optimizer(params, **given)

    supplied = inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Iterable[nn.Parameter])
    described = {
        "__signature__": inspect.Signature([supplied, *options]),
        "__annotations__": {option.name: option.annotation for option in options},
        "__doc__": documentation(optimizer, [option.name for option in options]),
        "__name__": optimizer.__name__,
        "__qualname__": optimizer.__name__,
        "__module__": "torch.optim",
        "__wrapped__": optimizer.__init__,
    }
    for attribute, value in described.items():
        setattr(make, attribute, value)
    return make


def options_of(optimizer: "type[torch.optim.Optimizer]") -> list[inspect.Parameter]:
    """The options of a class that a recipe can write, as keyword-only parameters."""
    hints = typing.get_type_hints(optimizer.__init__)
    options = []
    for parameter in inspect.signature(optimizer).parameters.values():
        if parameter.name in OURS:
            continue
        annotation = writable(hints.get(parameter.name))
        if annotation is None:
            continue
        default = parameter.default
        if _holds_none(default):
            annotation, default = annotation | None, None
        elif default is not inspect.Parameter.empty:
            default = TypeAdapter(annotation).validate_python(default)  # 0 as 0.0 where a float is meant
        if parameter.name == "lr":
            annotation = Annotated[annotation, Field(gt=0)]
        options.append(
            inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    return options


def writable(annotation: Any) -> Any:
    """An annotation without the tensors and the None that a TOML file cannot hold; None if nothing is left."""
    from torch import Tensor

    if annotation in (bool, int, float, str):
        return annotation
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        left = [writable(part) for part in parts if part not in (Tensor, types.NoneType)]
        return left[0] if len(left) == 1 else None
    if origin is tuple:
        inner = [part if part is ... else writable(part) for part in parts]
        return None if None in inner else tuple[tuple(inner)]
    return None


def _holds_none(default: Any) -> bool:
    """Whether a default is, or contains, a value that TOML cannot express; leaving the option out then means it."""
    return default is None or (isinstance(default, tuple) and None in default)


def summary(name: str) -> str:
    """What a class is, in a line."""
    return f"{PAPERS.get(name, name)}, as torch.optim.{name} has it."


def documentation(optimizer: "type[torch.optim.Optimizer]", options: list[str]) -> str:
    """A docstring in our form from the class's own."""
    name = optimizer.__name__
    text = inspect.getdoc(optimizer) or ""
    below = text.partition("\nArgs:\n")[2]
    section = []
    for line in below.splitlines():
        if line and not line.startswith(" "):
            break
        section.append(line)
    found = parse("\n".join([f"{name}.", "", "Args:", *section])).params
    parsed = {item.arg_name: item.description or "" for item in found}
    lines = [summary(name), "", "Args:", "    params: what to optimise."]
    for option in options:
        described = " ".join(parsed.get(option, "").split("(default:")[0].split()).rstrip(" .") or option
        lines.append(f"    {option}: {described}.")
    return "\n".join(lines)


register_all()
