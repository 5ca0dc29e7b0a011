"""Metrics of pairs, where the answer is known."""

import numpy as np
import pytest
import torch

from ganforge.data.dataset import ArrayDataset
from ganforge.metrics.pairs import PSNR, SSIM, ClassAccuracy
from ganforge.spec import DataSpec


def pictures(count: int = 3) -> torch.Tensor:
    levels = torch.randint(0, 256, (count, 3, 24, 20), generator=torch.Generator().manual_seed(0))
    return levels / 127.5 - 1


def test_psnr_is_of_the_range_of_two_and_the_mean_over_pictures() -> None:
    reals = torch.zeros(2, 1, 8, 8)
    levels = torch.tensor([51 / 127.5, 102 / 127.5])
    fakes = reals + levels.view(2, 1, 1, 1) - 0.5 / 127.5  # whole levels of a byte from the middle of two
    zero = torch.full_like(reals, -0.5 / 127.5)
    wanted = 10 * torch.log10(4 / levels.square()).mean()
    assert PSNR()(fakes, zero)["psnr"] == pytest.approx(float(wanted), abs=0.01)


def test_psnr_leaves_out_a_border() -> None:
    reals = pictures()
    fakes = reals.clone()
    fakes[:, :, :2] = 1.0
    assert PSNR(border=2)(fakes, reals)["psnr"] > 90 > PSNR()(fakes, reals)["psnr"]


def test_ssim_is_one_for_the_same_and_against_the_formula_written_out() -> None:
    reals = pictures()
    assert SSIM()(reals, reals)["ssim"] == pytest.approx(1, abs=1e-6)
    fakes = (0.5 * reals + 0.2 * pictures(6)[3:]).mul(127.5).round().div(127.5).clamp(-1, 1)
    fakes = fakes.add(1).mul(127.5).round().div(127.5).sub(1)
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / 4.5)
    window /= window.sum()
    found = []
    one, other = fakes.double().numpy(), reals.double().numpy()
    for sample in range(3):
        values = []
        for channel in range(3):
            for top in range(14):
                for left in range(10):
                    x, y = (each[sample, channel, top : top + 11, left : left + 11] for each in (one, other))
                    mx, my = (window * x).sum(), (window * y).sum()
                    vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                    both = (window * (x - mx) * (y - my)).sum()
                    first, second = 0.02**2, 0.06**2
                    values.append(
                        (2 * mx * my + first) * (2 * both + second) / ((mx**2 + my**2 + first) * (vx + vy + second))
                    )
        found.append(np.mean(values))
    assert SSIM()(fakes, reals)["ssim"] == pytest.approx(float(np.mean(found)), abs=1e-5)


def test_accuracy_counts_the_targets_own_classes_at_the_places_that_are_looked_at() -> None:
    labels = np.arange(10) % 2
    rows = np.zeros((10, 4, 4, 1), np.uint8)
    dataset = ArrayDataset(rows, DataSpec((1, 4, 4), ("even", "odd")), "x", labels)
    right = torch.nn.functional.one_hot(torch.from_numpy(labels), 2).float()
    metric = ClassAccuracy(dataset)
    assert metric(right, right)["class_accuracy"] == 1
    assert metric(right.flip(1), right)["class_accuracy"] == 0
    every_other = right[::2]  # the evaluator looks at evenly spaced ones: 0, 2, 4, ...
    assert metric(every_other, every_other)["class_accuracy"] == 1


def test_counts_that_are_not_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="num_fakes = 5"):
        PSNR().check(4, 5)
