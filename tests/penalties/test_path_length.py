"""Path length: the formula, its running mean, and that pieces of a batch add up to the whole."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from turns import turn_of
from two_processes import launch_two

from ganforge.game.turn import Turn
from ganforge.models.stylegan2 import StyleGAN2Generator
from ganforge.penalties.path_length import PathLength
from ganforge.spec import DataSpec

SPEC = DataSpec((1, 16, 16))


def generator(**options: Any) -> StyleGAN2Generator:
    """With nothing drawn at random in a forward."""
    torch.manual_seed(0)
    options = {"channel_base": 128, "channel_max": 8, "noise": False, "mixing": 0.0, **options}
    return StyleGAN2Generator(SPEC, latent_dim=8, w_dim=8, mapping_layers=2, output="linear", **options)


def latents(batch: int) -> Tensor:
    return torch.randn(batch, 8, generator=torch.Generator().manual_seed(1))


class Wrapped:
    """A network as a player calls it: through its wrapper, with the bare one beside it."""

    def __init__(self, wrapper: nn.Module, network: nn.Module) -> None:
        self.wrapper, self.network = wrapper, network

    def __call__(self, *inputs: Any) -> Tensor:
        return self.wrapper(*inputs)


def generators_turn(network: Any, latent: Tensor, step: int = 0) -> Turn:
    turn = turn_of("generator", None, latent, generator=network)
    turn.step = step
    return turn


def test_it_is_the_papers_formula_in_the_space_of_styles() -> None:
    network, latent = generator().double(), latents(4).double()
    torch.manual_seed(2)
    value = PathLength(strength=3.0)(generators_turn(network, latent))
    torch.manual_seed(2)
    noise = torch.randn(2, *SPEC.shape, dtype=torch.float64) / 16
    squares = []
    for one, y in zip(latent[::2], noise, strict=True):
        styles = network.styles(one[None]).detach()
        jacobian = torch.autograd.functional.jacobian(network.synthesis, styles)
        slope = torch.einsum("bchwkld,chw->ld", jacobian, y)  # pyright: ignore[reportArgumentType]
        squares.append(slope.square().sum(dim=1).mean())
    torch.testing.assert_close(value, 3.0 * torch.stack(squares).mean(), rtol=1e-9, atol=0)


def test_a_generator_without_styles_is_differentiated_by_its_latent() -> None:
    weight = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    network = Wrapped(nn.Module(), nn.Module())
    network.wrapper = lambda latent, labels: (latent @ weight.t())[:, :, None, None]  # type: ignore[assignment]
    penalty = PathLength(strength=1.0, shrink=1)
    torch.manual_seed(4)
    value = penalty(generators_turn(network, torch.zeros(6, 2, dtype=torch.float64)))
    torch.manual_seed(4)
    noise = torch.randn(6, 1, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(value, (25.0 * noise.square()).mean())


def test_the_mean_starts_at_0_stays_within_a_step_and_moves_after_it() -> None:
    network = generator()
    penalty = PathLength(strength=1.0, decay=0.25, shrink=1)

    def value(step: int) -> Tensor:
        torch.manual_seed(3)
        return penalty(generators_turn(network, latents(4), step)).detach()

    first = value(0)
    assert value(0) == first, "micro-batches of a step are held to one mean"
    torch.manual_seed(3)
    lengths = penalty._path_lengths(generators_turn(network, latents(4)))
    torch.testing.assert_close(first, lengths.square().mean())
    torch.testing.assert_close(value(4), (lengths - 0.25 * lengths.mean()).square().mean())
    mean = (1 - 0.75**2) * lengths.mean()
    torch.testing.assert_close(value(8), (lengths - mean).square().mean())


def test_it_looks_at_every_second_latent_and_its_label() -> None:
    seen = []

    def network(latent: Tensor, labels: Tensor) -> Tensor:
        seen.append((latent[:, 0].tolist(), labels.tolist()))
        return latent[:, :, None, None].square()

    turn = generators_turn(Wrapped(network, nn.Module()), torch.arange(5.0)[:, None])  # type: ignore[arg-type]
    turn.fake_labels = torch.arange(5) + 10
    PathLength()(turn)
    assert seen == [([0.0, 2.0, 4.0], [10, 12, 14])]


def test_nothing_of_it_stays_on_the_network() -> None:
    network = generator()
    PathLength()(generators_turn(network, latents(4)))
    assert not network.synthesis._forward_pre_hooks
    assert not [name for name, value in vars(network).items() if isinstance(value, Tensor)]


def test_paths_get_shorter_and_more_alike_when_it_is_trained_alone() -> None:
    network = generator()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    penalty = PathLength(shrink=1)
    values = []
    for step in range(40):
        torch.manual_seed(step)
        value = penalty(generators_turn(network, torch.randn(8, 8), step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-5:]) < 0.1 * sum(values[:5])


def gradients(turns: list[Turn], network: nn.Module) -> list[Tensor]:
    """Of the objective's stand-in and the penalty, one summed loss a micro-batch, as a player's."""
    penalty = PathLength()
    for _ in range(2):  # the second time with a mean that is not 0
        network.zero_grad()
        torch.manual_seed(5)
        for number, turn in enumerate(turns):
            if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
                torch.randn(2, *SPEC.shape)  # what the other rank draws before
            loss = turn.fake.mean() + penalty(turn)
            (loss / len(turns)).backward()
            turns[number] = generators_turn(turn.generator, turn.source, turn.step + 4)
    return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


def test_micro_batches_add_up_to_the_whole_batch() -> None:
    network = generator()
    whole = gradients([generators_turn(network, latents(8))], network)
    parts = gradients([generators_turn(network, part) for part in latents(8).split(4)], network)
    assert len(whole) == len(list(network.parameters()))
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def one_rank(folder: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    network = generator()
    wrapped = Wrapped(DistributedDataParallel(network), network)
    found = gradients([generators_turn(wrapped, latents(8).split(4)[rank])], network)
    torch.save(found, Path(folder) / f"rank{rank}.pt")


def test_two_ranks_have_the_gradients_of_one_process_with_the_whole_batch(tmp_path: Path) -> None:
    launch_two(one_rank, (str(tmp_path),))
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    network = generator()
    whole = gradients([generators_turn(network, latents(8))], network)
    torch.testing.assert_close(ranks[0], ranks[1], rtol=0, atol=0)
    torch.testing.assert_close(ranks[0], whole, rtol=1e-4, atol=1e-5)
