"""AC-GAN and top-k training: the papers' formulas, on one rank and two, and what does not go together."""

from pathlib import Path

import pytest
import torch
import torch.distributed
from torch.nn import functional
from turns import FAKE, REAL, turn_of
from two_processes import launch_two

from ganforge.errors import GanforgeError
from ganforge.models.mlp import MLPDiscriminator
from ganforge.objectives.auxiliary import ACGAN
from ganforge.objectives.top_k import TopK
from ganforge.spec import DataSpec

SPEC = DataSpec((2,), ("a", "b", "c"))


def judge(conditional: str = "classifier") -> MLPDiscriminator:
    torch.manual_seed(0)
    return MLPDiscriminator(SPEC, width=8, depth=2, conditional=conditional).double()  # type: ignore[arg-type]


def acgan_turn(player, discriminator):
    real, fake = torch.randn(2, 4, 2, dtype=torch.float64)
    turn = turn_of(player, real, fake, discriminator=discriminator)
    turn.real_labels, turn.fake_labels = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 1, 0, 2])
    return turn


@pytest.mark.parametrize("fakes", [True, False])
def test_acgan_is_the_papers_loss_of_sources_and_classes(fakes):
    network = judge()
    objective = ACGAN(discriminator_weight=0.5, generator_weight=2.0, classify_fakes=fakes)

    def classes(samples, labels):
        return functional.cross_entropy(network.classifier(network.hidden(samples)), labels)  # type: ignore[misc]

    turn = acgan_turn("discriminator", network)
    source = functional.softplus(-network(turn.real)).mean() + functional.softplus(network(turn.fake)).mean()
    heard = classes(turn.real, turn.real_labels) + (classes(turn.fake, turn.fake_labels) if fakes else 0)
    torch.testing.assert_close(objective.discriminator_loss(turn), source + 0.5 * heard)
    turn = acgan_turn("generator", network)
    source = functional.softplus(-network(turn.fake)).mean()
    expected = source + 2.0 * classes(turn.fake, turn.fake_labels)
    torch.testing.assert_close(objective.generator_loss(turn), expected)
    assert not network.classifier._forward_hooks  # type: ignore[union-attr]


def test_acgan_tells_of_a_discriminator_that_does_not_classify():
    with pytest.raises(GanforgeError, match=r'set discriminator.conditional = "classifier"'):
        ACGAN().generator_loss(acgan_turn("generator", judge("projection")))


@pytest.mark.parametrize("game", ["bce", "hinge"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_top_k_is_the_mean_over_the_samples_that_d_finds_the_most_real(game, share):
    kept = FAKE.sort(descending=True).values[: max(1, round(4 * share))]
    losses = functional.softplus(-kept) if game == "bce" else -kept
    turn = turn_of("generator", None, FAKE)
    torch.testing.assert_close(TopK(game=game, share=share).generator_loss(turn), losses.mean())
    whole = TopK(game=game)._game
    turn = turn_of("discriminator", REAL, FAKE)
    assert TopK(game=game, share=share).discriminator_loss(turn) == whole.discriminator_loss(turn)


def one_rank(folder: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    logits = FAKE.view(2, 2)[rank].clone().requires_grad_()
    loss = TopK(share=0.5).generator_loss(turn_of("generator", None, logits))
    loss.backward()
    torch.save((loss.detach(), logits.grad), Path(folder) / f"rank{rank}.pt")


@pytest.mark.xdist_group("processes")
def test_top_k_of_two_ranks_are_those_of_the_whole_batch(tmp_path):
    launch_two(one_rank, (str(tmp_path),))
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    logits = FAKE.clone().requires_grad_()
    loss = TopK(share=0.5).generator_loss(turn_of("generator", None, logits))
    loss.backward()
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, loss.detach())
    torch.testing.assert_close(torch.cat([ranks[0][1], ranks[1][1]]) / 2, logits.grad)
