"""Samples by index: sample i depends on the seed and i alone."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.game.networks import latent_distribution_of
from ganforge.parallel.launch import uses_cpu
from ganforge.sampling.truncation import truncated
from ganforge.saved.checkpoint import Checkpoint, is_whole, whole_checkpoints
from ganforge.saved.generator_file import GeneratorConfig, load_generator
from ganforge.saved.indexed import latents_of
from ganforge.wording import did_you_mean

BATCH = 256
STREAM = "sample"
"""Training draws from streams of other names, so no sample shows a latent that the generator was trained on."""


def pick_device(local_rank: int = 0) -> torch.device:
    """The accelerator of this process, or the CPU where there is none or ACCELERATE_USE_CPU is set."""
    kind = None if uses_cpu() else torch.accelerator.current_accelerator(check_available=True)
    if kind is None:
        return torch.device("cpu")
    return torch.device(kind.type, local_rank % torch.accelerator.device_count())


def open_generator(run: str | Path, *, averaged: bool = True, device: torch.device | str | None = None) -> nn.Module:
    """A generator to sample from, in evaluation mode.

    Args:
        run: a run folder, a checkpoint's folder, a generator file, or `owner/name` on the Hugging Face Hub.
        averaged: the averaged weights of the best, else of the last generator, or those of the checkpoint; or the
            weights as they are trained, of the checkpoint or of the newest one of the run.
        device: where to put it; None for the accelerator if there is one.

    Raises:
        CheckpointError: there is no such generator.
    """
    network = load_generator(run) if averaged else _raw_generator(Path(run))
    return network.to(pick_device() if device is None else device)


def _raw_generator(run: Path) -> nn.Module:
    """The weights of a checkpoint as they are trained, in the network of the run's saved generator."""
    checkpoints = [run] if is_whole(run) else whole_checkpoints(run / "checkpoints")
    if not checkpoints:
        raise CheckpointError(f"{run}: --no-ema needs a run folder with a checkpoint, or a checkpoint")
    network = load_generator(run)
    network.load_state_dict(Checkpoint(checkpoints[-1]).tensors("generator"))
    return network


def config_of(network: nn.Module) -> GeneratorConfig:
    """What `load_generator` knows of the network that it returned."""
    config = network.config
    assert isinstance(config, GeneratorConfig)
    return config


@torch.no_grad()
def looks_at_labels(network: nn.Module) -> bool:
    """Whether the generator is conditional, by its option `conditional`, or else by trying two labels on one latent."""
    config = config_of(network)
    if config.spec.num_classes < 2:
        return False
    if "conditional" in config.generator:
        return config.generator["conditional"] not in (False, "none")
    device = next(network.parameters()).device
    latent = latents_of(network, config, seed=0).latents(STREAM, 0, range(1))
    made = []
    for label in (0, 1):
        # A generator that adds noise adds the same to both.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            made.append(network(latent, torch.tensor([label], device=device)))
    return not torch.equal(*made)


def find_class(network: nn.Module, name: str) -> int:
    """The label of a class given by its name or its number.

    Raises:
        GanforgeError: there is no such class, or the generator does not look at labels.
    """
    config = config_of(network)
    if not looks_at_labels(network):
        generator = config.generator["name"]
        raise GanforgeError(
            f"--class {name}: this generator ('{generator}', run '{config.run}') is unconditional, it makes what it "
            "likes; train one that looks at labels"
        )
    classes = config.spec.classes
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    shown = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    raise GanforgeError(f"--class {name}: no such class{did_you_mean(name, classes)}; there are: {shown}")


class Sampler:
    """Samples of one generator by index.

    Args:
        network: from `open_generator`.
        seed: of the latents.
        truncation: bound of the latents' components, see `truncated`; None for the latents of training.
        label: the class of all samples; None for classes drawn by index as often as training drew them.

    Raises:
        GanforgeError: `truncation` is out of its range.
    """

    def __init__(
        self, network: nn.Module, seed: int = 0, *, truncation: float | None = None, label: int | None = None
    ) -> None:
        self.network = network
        self.config = config_of(network)
        self.seed = seed
        self._indexed = latents_of(network, self.config, seed)
        self.truncation = truncation
        self.label = label
        self.device = next(network.parameters()).device
        self.distribution = latent_distribution_of(network)
        if truncation is not None and not (truncation > 0 and (self.distribution == "normal" or truncation <= 1)):
            bound = "above 0" if self.distribution == "normal" else "in (0, 1], since this generator's are uniform"
            raise GanforgeError(f"--truncation {truncation:g}: a bound of the latents' components is {bound}")

    def latents(self, indices: range) -> Tensor:
        """Latents `(len(indices), latent_dim)` on the generator's device."""
        drawn = self._indexed.latents(STREAM, 0, indices)
        return drawn if self.truncation is None else truncated(drawn, self.truncation, self.distribution)

    def labels(self, indices: range) -> Tensor | None:
        """Labels `(len(indices),)` int64; None when the data had no classes."""
        if self.label is not None:
            return torch.full((len(indices),), self.label, dtype=torch.int64, device=self.device)
        return self._indexed.labels(STREAM, 0, indices)

    @torch.no_grad()
    def __call__(self, indices: range) -> Tensor:
        """Samples `(len(indices), *spec.shape)` float32 on the generator's device, all in one batch."""
        return self.network(self.latents(indices), self.labels(indices)).float()

    def batches(self, indices: range) -> Iterator[tuple[range, Tensor]]:
        """Samples in batches that begin at the first index and every `BATCH` after it, on the generator's device."""
        for start in indices[::BATCH]:
            part = range(start, min(start + BATCH, indices.stop))
            yield part, self(part)

    def many(self, num: int) -> Tensor:
        """The first `num` samples on the CPU."""
        return torch.cat([samples.cpu() for _, samples in self.batches(range(num))])


def draw(network: nn.Module, num: int, seed: int) -> Tensor:
    """`num` samples `(num, *spec.shape)` on the CPU from a generator that `load_generator` returned."""
    return Sampler(network, seed).many(num)
