import json
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from two_processes import launch_two

from ganforge.data.dataset import ArrayDataset
from ganforge.errors import GanforgeError
from ganforge.metrics.evaluator import Evaluator, full_precision
from ganforge.metrics.exchange import batches_of, gather_rows, on_main, share_of, sum_over_ranks
from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.metric import Extractor
from ganforge.metrics.moments import Moments
from ganforge.metrics.protocol import Protocol, describe_extractor, versions
from ganforge.metrics.scores import InceptionScore, KernelDistance, PrecisionRecall
from ganforge.spec import DataSpec

NUM_FAKES, NUM_REALS = 333, 250


@pytest.fixture(autouse=True)
def fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Counting(ArrayDataset):
    """Knows which of its samples were read."""

    def __init__(self, rows: np.ndarray, digest: str = "d" * 64) -> None:
        super().__init__(rows, DataSpec((12,)), digest)
        self.seen: list[int] = []

    def read(self, ids, out):
        self.seen += ids.tolist()
        return super().read(ids, out)


class Projection(Extractor):
    """A random linear layer and a nonlinearity, with logits."""

    has_logits = True
    name_of_weights = "projection"

    def __init__(self, seed: int = 0) -> None:
        self.weights = torch.randn(12, 8, generator=torch.Generator().manual_seed(seed))
        self.name_of_weights = f"projection-{seed}"

    def __call__(self, samples):
        return torch.tanh(samples @ self.weights)

    def extract(self, samples, views):
        features = self(samples)
        return {"features": features, "logits": 3 * features[:, :4]}


def dataset(digest: str = "d" * 64, shift: float = 0.0) -> Counting:
    rows = np.random.default_rng(0).standard_normal((1000, 12)).astype(np.float32)
    return Counting(rows + np.float32(shift), digest)


def fakes(indices: range) -> torch.Tensor:
    """Sample i of a standard normal, whoever asks."""
    return torch.stack([torch.randn(12, generator=torch.Generator().manual_seed(index)) for index in indices]) + 0.2


def make(cache, data, extractor=None, metrics=None, num_fakes=NUM_FAKES) -> Evaluator:
    extractor = extractor or Projection()
    protocol = Protocol(
        metrics=({"name": "fid"},),
        extractor=describe_extractor(extractor, {"name": "projection"}),
        reals={"dataset": "normal", "digest": data.digest, "split": f"evenly spaced among {len(data)}"},
        num_reals=NUM_REALS,
        fakes={"seed": 0},
        num_fakes=num_fakes,
        versions=versions(),
    )
    chosen = metrics or [
        FrechetDistance(),
        KernelDistance(subsets=3, subset_size=100),
        PrecisionRecall(),
        InceptionScore(),
    ]
    return Evaluator(chosen, extractor, data, Accelerator(cpu=True), protocol=protocol, cache_dir=cache)


def figures_of(evaluator: Evaluator) -> dict[str, float]:
    return {name: value for name, value in evaluator(fakes).items() if name != "seconds"}


def test_figures_are_those_of_all_features_at_once(tmp_path):
    data = dataset()
    with torch.no_grad():
        made = Projection()(fakes(range(NUM_FAKES)))
        real = Projection()(torch.from_numpy(data.rows[:: len(data) // NUM_REALS]))
    found = figures_of(make(tmp_path, data))
    assert found["fid"] == pytest.approx(FrechetDistance()(made, real)["fid"], rel=1e-6)
    assert found["kid"] == pytest.approx(KernelDistance(subsets=3, subset_size=100)(made, real)["kid"], rel=1e-6)
    assert found["precision"] == PrecisionRecall()(made, real)["precision"]
    assert found["is"] == pytest.approx(InceptionScore()(3 * made[:, :4], real)["is"], rel=1e-6)


def test_reals_are_spread_over_the_dataset_and_looked_at_once_ever(tmp_path):
    data = dataset()
    first = figures_of(make(tmp_path, data))
    assert sorted(data.seen) == list(range(0, 1000, 4))
    data.seen.clear()
    evaluator = make(tmp_path, data)
    assert figures_of(evaluator) == first
    assert figures_of(evaluator) == first
    assert data.seen == []


def test_another_dataset_or_extractor_never_gets_the_old_reference(tmp_path):
    first = figures_of(make(tmp_path, dataset()))
    other = dataset(digest="e" * 64, shift=0.5)
    assert figures_of(make(tmp_path, other)) != first
    assert other.seen
    other.seen.clear()
    figures_of(make(tmp_path, other, extractor=Projection(seed=1)))
    assert other.seen


def test_a_damaged_reference_is_computed_again(tmp_path):
    data = dataset()
    first = figures_of(make(tmp_path, data))
    for path in (tmp_path / "references").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    data.seen.clear()
    assert figures_of(make(tmp_path, data)) == first
    assert len(data.seen) == NUM_REALS


def test_metrics_that_need_no_reals_read_none(tmp_path):
    data = dataset()
    assert figures_of(make(tmp_path, data, metrics=[InceptionScore()]))["is"] > 1
    assert data.seen == []


def test_the_protocol_says_what_would_change_the_figure(tmp_path):
    protocol = make(tmp_path, dataset()).protocol.to_dict()
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["extractor"]["weights"] == "projection-0"
    assert (protocol["num_fakes"], protocol["num_reals"]) == (NUM_FAKES, NUM_REALS)
    assert protocol["reals"]["digest"] == "d" * 64
    assert {"ganforge", "torch", "torch-fidelity"} == protocol["versions"].keys()


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("total", [1, 64, 333, 1797])
def test_batches_are_disjoint_whole_and_the_same_for_any_number_of_ranks(total, world_size):
    batches = [batch for rank in range(world_size) for batch in batches_of(total, rank, world_size)]
    assert batches == batches_of(total, 0, 1)
    assert [index for batch in batches for index in batch] == list(range(total))


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shares_are_disjoint_and_whole(world_size):
    shares = [share_of(101, rank, world_size) for rank in range(world_size)]
    assert [index for share in shares for index in share] == list(range(101))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_tf32_and_benchmarking_are_off_while_features_are_computed_and_back_afterwards():
    cudnn: Any = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = True, True, True
    try:
        with full_precision(torch.device("cpu")):
            assert (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32) == (False, False, False)
        assert (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32) == (True, True, True)
    finally:
        cudnn.benchmark, matmul.allow_tf32 = False, False


def evaluate_in_a_rank(cache, results) -> None:
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    data = dataset()
    found = figures_of(make(cache, data))
    rows = torch.cat([fakes(batch) for batch in batches_of(NUM_FAKES, rank, 2)])
    together = gather_rows(rows, NUM_FAKES, accelerator)
    assert torch.equal(together, fakes(range(NUM_FAKES)))
    alone = [fakes(batch) for batch in batches_of(50, rank, 2)]  # one batch: one of the ranks has nothing
    assert torch.equal(gather_rows(torch.cat([*alone, rows[:0]]), 50, accelerator), fakes(range(50)))
    few = make(cache, data, metrics=[FrechetDistance(), InceptionScore()], num_fakes=50)
    assert np.isfinite([*figures_of(few).values()]).all()
    sums = sum_over_ranks(Moments.of(rows), accelerator)
    assert float(sums.count) == NUM_FAKES

    def fail():
        raise ValueError("no such luck")

    with pytest.raises((GanforgeError, ValueError), match="no such luck"):
        on_main(accelerator, fail)
    (results / f"{rank}.json").write_text(json.dumps([found, sorted(data.seen)]))


def test_two_processes_give_the_figures_of_one(tmp_path):
    launch_two(evaluate_in_a_rank, (tmp_path / "two", tmp_path))
    (first, seen), (second, also_seen) = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert sorted(seen + also_seen) == list(range(0, 1000, 4))  # each its share, and once in spite of two evaluators
    alone = figures_of(make(tmp_path / "one", dataset()))
    assert first.keys() == alone.keys()
    for name, value in alone.items():
        assert first[name] == pytest.approx(value, rel=1e-9), name
