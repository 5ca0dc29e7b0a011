"""Directions in a generator's style space, and style mixing between samples, as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.models.style_space import StyledGenerator
from ganforge.sampling.draw import Sampler, open_generator, sampler_of
from ganforge.sampling.film import write_table

NUM_MEASURED = 1000


@dataclass(frozen=True)
class Layers:
    """Some layers that have a style, from the first on.

    Args:
        first: number of the first, from 0; low ones decide pose and shape, high ones colours and texture.
        last: number of the last; None for the generator's last layer.
    """

    first: int = 0
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Layers":
        """Parse `3`, `0-3` or `4-`.

        Raises:
            GanforgeError: the text has another form.
        """
        first, dash, last = text.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise GanforgeError(f"{argument('layers', text)}: give numbers from 0 as 0-3, 4- or 5")
        return cls(int(first), int(last) if last else None if dash else int(first))

    def of(self, network: StyledGenerator) -> range:
        """The numbers of these layers in a network.

        Raises:
            GanforgeError: the generator has no such layers.
        """
        found = range(network.num_ws)[self.first : None if self.last is None else self.last + 1]
        if not found or (self.last is not None and self.last >= network.num_ws):
            raise GanforgeError(
                f"{argument('layers')}: this generator's styles are of layers 0 to {network.num_ws - 1}"
            )
        return found


def directions(network: StyledGenerator, num: int, layers: range) -> Tensor:
    """Unit vectors of W along which these layers change most (SeFa, Shen and Zhou 2021), `(num, w_dim)`.

    Those are the eigenvectors of `A^T A` with the largest eigenvalues, where A stacks the weights by which the layers
    read their styles. Each points to where its largest component is positive.

    Raises:
        GanforgeError: W has fewer dimensions.
    """
    weights = torch.cat([network.style_weights()[layer].detach() for layer in layers]).double()
    if num > weights.shape[1]:
        raise GanforgeError(f"{argument('num', num)}: this generator's styles have {weights.shape[1]} directions")
    _, vectors = torch.linalg.eigh(weights.t() @ weights)
    found = vectors.flip(1)[:, :num].t()
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    return (found * largest.sign()).to(network.mapping.w_avg.dtype)


@torch.no_grad()
def along(sampler: Sampler, index: int, found: Tensor, layers: range, steps: int, reach: float) -> Tensor:
    """A sample whose styles are moved along directions, `(directions, steps, channels, height, width)` on the CPU.

    Args:
        sampler: sampler of a generator with styles.
        index: index of the sample.
        found: directions `(directions, w_dim)`.
        layers: layers whose styles are moved.
        steps: pictures from one end to the other; with an odd number the unchanged sample is in the middle.
        reach: distance of an end, in standard deviations of styles along the direction.
    """
    network = sampler.network
    assert isinstance(network, StyledGenerator)
    many = range(NUM_MEASURED)
    spread = (network.mapping(sampler.latents(many), sampler.labels(many)) @ found.t()).std(dim=0)
    amounts = torch.linspace(-reach, reach, steps, device=found.device)
    styles = network.styles(sampler.latents(range(index, index + 1)), sampler.labels(range(index, index + 1)))
    rows = []
    for direction, deviation in zip(found, spread, strict=True):
        moved = styles.repeat(steps, 1, 1)
        moved[:, layers.start : layers.stop] += (amounts * deviation)[:, None, None] * direction
        rows.append(network.pictures(moved).float().cpu())
    return torch.stack(rows)


@torch.no_grad()
def mixed(sampler: Sampler, rows: Sequence[int], columns: Sequence[int], layers: range) -> Tensor:
    """Samples of the rows with some styles of the columns, `(rows, columns, channels, height, width)` on the CPU.

    Args:
        sampler: of a generator with styles.
        rows: indices of samples.
        columns: indices of the samples that give the styles.
        layers: layers that take the columns' styles.
    """
    network = sampler.network
    assert isinstance(network, StyledGenerator)

    def styles(indices: Sequence[int]) -> Tensor:
        ranges = [range(index, index + 1) for index in indices]
        return torch.cat([network.styles(sampler.latents(one), sampler.labels(one)) for one in ranges])

    given, made = styles(columns), []
    for own in styles(rows):
        both = own.repeat(len(columns), 1, 1)
        both[:, layers.start : layers.stop] = given[:, layers.start : layers.stop]
        made.append(network.pictures(both).float().cpu())
    return torch.stack(made)


def write_directions(
    run: str | Path,
    *,
    out: Path,
    num: int = 5,
    layers: str = "0-",
    steps: int = 7,
    reach: float = 3.0,
    index: int = 0,
    seed: int = 0,
    psi: float | None = None,
    class_name: str | None = None,
) -> str:
    """Write a strip, a row a direction, and the directions as `.npy` beside it.

    Returns:
        what was written where.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: it has no styles, or not those layers or so many directions, or `out` cannot be written.
    """
    sampler, network = _open(run, "directions", seed, psi, class_name)
    chosen = Layers.parse(layers).of(network)
    found = directions(network, num, chosen)
    write_table(along(sampler, index, found, chosen, steps, reach), out)
    try:
        np.save(out.with_suffix(".npy"), found.cpu().numpy())
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    return f"{num} directions of layers {chosen.start} to {chosen.stop - 1} in {out} and {out.with_suffix('.npy')}"


def write_mix(
    run: str | Path,
    *,
    out: Path,
    rows: int = 4,
    columns: int = 5,
    layers: str = "0-3",
    seed: int = 0,
    psi: float | None = None,
    class_name: str | None = None,
) -> str:
    """Write a table of style mixing: each cell is its row's sample with some styles of its column's sample.

    Returns:
        what was written where.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: it has no styles, or not those layers, or `out` cannot be written.
    """
    sampler, network = _open(run, "mix", seed, psi, class_name)
    chosen = Layers.parse(layers).of(network)
    down, across = range(rows), range(rows, rows + columns)
    inside = mixed(sampler, down, across, chosen)
    beside, above = sampler(down).cpu(), sampler(across).cpu()
    corner = torch.full_like(above[:1], -1.0)
    table = [
        torch.cat((corner, above)),
        *(torch.cat((own[None], row)) for own, row in zip(beside, inside, strict=True)),
    ]
    write_table(torch.stack(table), out)
    return (
        f"{rows} x {columns} samples in {out}: those on the left with the styles of layers {chosen.start} to "
        f"{chosen.stop - 1} of those above"
    )


def _open(
    run: str | Path, command: str, seed: int, psi: float | None, class_name: str | None
) -> tuple[Sampler, StyledGenerator]:
    network = open_generator(run)
    if not isinstance(network, StyledGenerator):
        raise GanforgeError(f"{command} is about generators with styles, such as 'stylegan2'; this one has none")
    return sampler_of(network, seed, psi=psi, class_name=class_name), network
