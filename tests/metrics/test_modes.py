from typing import Any, cast

import numpy as np
import pytest
import torch

from ganforge.data.synthetic import Ring
from ganforge.metrics.modes import Modes


def test_a_dataset_without_modes_is_refused_in_a_sentence_that_follows_the_metrics_name():
    with pytest.raises(ValueError, match=r"^needs a dataset that knows its modes"):
        Modes(cast(Any, object()))


def test_modes_counts_covered_modes_and_good_points():
    ring = Ring(samples=8000)
    real = torch.from_numpy(ring.rows)
    assert Modes(ring)(real, real) == pytest.approx({"modes": 8, "good_points": 0.989}, abs=0.01)
    assert ring.labels is not None
    of_three = real[torch.from_numpy(np.isin(ring.labels, [0, 3, 5]))]
    assert Modes(ring)(of_three, real)["modes"] == 3
    assert Modes(ring)(torch.zeros(100, 2), real) == {"modes": 0, "good_points": 0}
    centers = torch.from_numpy(ring.centers).float()
    few = torch.cat([centers[:1].repeat(991, 1), centers[1:2].repeat(9, 1)])  # 9 of 1000 is under a tenth of an eighth
    assert Modes(ring)(few, real)["modes"] == 1
