"""A generator as one function of tensors, as `torch.export` and ONNX need it, and the check that samples stay equal."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from ganforge.errors import GanforgeError
from ganforge.sampling.draw import Sampler, config_of, looks_at_labels

TOLERANCE = 1e-4
CHECKED_BATCHES = (1, 2, 7)
SEED = 20_26

Inputs = dict[str, Tensor]


class _OfLatents(nn.Module):
    """An unconditional generator, without the argument `labels`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        return self.network(latent, None)


class _OfLatentsAndLabels(nn.Module):
    """A conditional generator; both arguments are required."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        return self.network(latent, labels)


class _OfPictures(nn.Module):
    """A translator, without the argument `labels`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor) -> Tensor:
        return self.network(source, None)


class Traceable:
    """What is exported: a module of `latent (batch, latent_dim)` and, if it is conditional, `labels (batch,)` int64.

    Of a translator it is a module of `source (batch, channels, height, width)` in [-1, 1], with any height and width
    that its `divides` divides.

    Args:
        network: from `load_generator`, on the CPU.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.config = config_of(network)
        self.is_translator = self.config.source is not None
        self.is_conditional = not self.is_translator and looks_at_labels(network)
        wrapper = _OfLatentsAndLabels if self.is_conditional else _OfLatents
        self.module = (_OfPictures if self.is_translator else wrapper)(network).eval()

    @property
    def dynamic_shapes(self) -> dict[str, dict[int, Dim]]:
        """The batch may have any size, and a translator's pictures any that divide."""
        batch = Dim("batch", min=1, max=2**16)
        if self.is_translator and not self._has_free_sides:
            return {"source": {0: batch}}
        if self.is_translator:
            sides = {dim: self._side(name) for dim, name in ((2, "height"), (3, "width"))}
            return {"source": {0: batch, **sides}}
        return {name: {0: batch} for name in self.inputs(1)}

    @property
    def _divides(self) -> int:
        return int(getattr(self.network, "divides", 1))

    @property
    def _has_free_sides(self) -> bool:
        """Whether the program takes any size: a graph of maps that shrink to one position takes that size alone."""
        source = self.config.source
        return source is not None and min(source.height, source.width) > self._divides

    def _side(self, name: str) -> Dim:
        """Any multiple of what the network's sides must divide by, from twice that."""
        side = Dim(name, min=2, max=2**16 // self._divides)
        return side if self._divides == 1 else self._divides * side

    def inputs(self, batch: int) -> Inputs:
        """A batch of arguments by name; of a translator, pictures of a size of their own for each size of a batch."""
        if self.config.source is not None:
            spec, divides = self.config.source, self._divides if self._has_free_sides else 0
            height = max(spec.height + (batch - 2) * divides, 2 * divides)
            width = max(spec.width + (batch // 2 - 1) * divides, 2 * divides)
            random = torch.Generator().manual_seed(SEED)
            return {"source": torch.rand(batch, spec.channels, height, width, generator=random) * 2 - 1}
        sampler = Sampler(self.network, SEED)
        inputs = {"latent": sampler.latents(range(batch))}
        if self.is_conditional:
            inputs["labels"] = cast(Tensor, sampler.labels(range(batch)))
        return inputs

    def program(self) -> ExportedProgram:
        """The graph of the module, without the stack traces of its nodes: they name this machine's folders.

        Raises:
            GanforgeError: the generator cannot be traced as a graph.
        """
        try:
            with torch.no_grad():
                program = torch.export.export(
                    self.module, tuple(self.inputs(2).values()), dynamic_shapes=self.dynamic_shapes
                )
        except Exception as error:  # torch raises classes of many modules here
            raise not_exported(self.config.generator["name"], error) from error
        for graph_module in program.graph_module.modules():  # its own graph, and those of branches and loops
            if isinstance(graph_module, GraphModule):
                for node in graph_module.graph.nodes:
                    node.meta.pop("stack_trace", None)
        return program

    @torch.no_grad()
    def check(self, exported: Callable[[Inputs], Tensor], what: str) -> float:
        """The largest difference of samples between the generator and what was exported, over batches of several sizes.

        Args:
            exported: maps inputs to samples.
            what: what was exported, for the message.

        Raises:
            GanforgeError: the difference is above `TOLERANCE`.
        """
        largest = 0.0
        for batch in CHECKED_BATCHES:
            inputs = self.inputs(batch)
            difference = (exported(inputs) - self.module(*inputs.values())).abs().max()
            largest = max(largest, float(difference))
        if not largest <= TOLERANCE:
            raise GanforgeError(
                f"{what}: its samples differ by {largest:.2g} from the generator's, more than {TOLERANCE:g}; nothing "
                "was written. Does the generator draw random numbers of its own?"
            )
        return largest


def not_exported(generator: str, error: Exception) -> GanforgeError:
    """The error to raise when an exporter fails."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = lines[0].strip() if lines else type(error).__name__
    return GanforgeError(
        f"generator '{generator}' cannot be exported: {reason}; `ganforge --verbose export` shows where, "
        "and safetensors takes any"
    )
