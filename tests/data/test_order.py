"""The order of samples is a pure function, and does not know how many ranks there are."""

import resource
import subprocess
import sys
import time
from typing import cast

import numpy as np
import pytest

from ganforge.data.order import TABLE_LIMIT, Order, _shuffled
from ganforge.errors import DataError

SIZES = [100, 37, 0, 250, 90, 1, 122]


def order(window: int = 0, seed: int = 3, sizes: list[int] | None = None) -> Order:
    return Order(sizes or SIZES, seed=seed, window=window)


@pytest.mark.parametrize("window", [0, 1, 2, 3, 7])
def test_every_sample_comes_exactly_once_an_epoch(window: int) -> None:
    shuffled = order(window)
    for epoch in range(3):
        ids = shuffled.ids(epoch * 600, 600)
        assert np.array_equal(np.sort(ids), np.arange(600))


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 16])
def test_ranks_put_together_give_the_same_global_batches(window: int, ranks: int) -> None:
    batch_size = 48
    alone = order(window)
    for step in (0, 5, 12, 13, 200):  # 12 and 13 hold the end of the first epoch
        parts = [order(window).batch(step, batch_size, rank, ranks) for rank in range(ranks)]
        assert np.array_equal(np.concatenate(parts), alone.batch(step, batch_size))


def test_any_position_can_be_asked_for_first() -> None:
    through = order(2).ids(0, 5000)
    for start in (4999, 1, 600, 599, 1234):
        assert np.array_equal(order(2).ids(start, 5000 - start), through[start:])


def test_epochs_and_seeds_differ_and_repeat() -> None:
    first, second = order().ids(0, 600), order().ids(600, 600)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, order(seed=4).ids(0, 600))
    assert np.array_equal(first, order().ids(0, 600))


def test_the_order_never_changes_between_versions() -> None:
    # Written down once: a change here would silently give every resumed run other batches.
    assert order().ids(0, 8).tolist() == GOLDEN_TABLE
    assert order(2).ids(0, 8).tolist() == GOLDEN_WINDOW
    assert order(sizes=[10_000_000]).ids(0, 4).tolist() == GOLDEN_FEISTEL


GOLDEN_TABLE = [288, 400, 53, 274, 428, 500, 338, 219]
GOLDEN_WINDOW = [531, 489, 589, 563, 540, 135, 565, 554]
GOLDEN_FEISTEL = [6152817, 5575960, 3233915, 9254262]


def test_a_window_holds_only_samples_of_its_shards() -> None:
    shuffled = order(2)
    current, following = shuffled.shards_ahead(0)
    bounds = np.cumsum([0, *SIZES])
    count = sum(SIZES[shard] for shard in current)
    shards = np.searchsorted(bounds, shuffled.ids(0, count), side="right") - 1
    assert set(shards.tolist()) <= set(current)
    assert shuffled.shards_ahead(count)[0] == following


def test_the_window_after_the_last_is_the_first_of_the_next_epoch() -> None:
    shuffled = order(3)
    assert shuffled.shards_ahead(599)[1] == shuffled.shards_ahead(600)[0]


@pytest.mark.parametrize("size", [TABLE_LIMIT + 1, 300_007, 2**19])
def test_the_tableless_permutation_is_one(size: int) -> None:
    assert np.array_equal(np.sort(order(sizes=[size]).ids(0, size)), np.arange(size))


@pytest.mark.parametrize("size", [5000, 400_000])
def test_shuffled_ids_look_random(size: int) -> None:
    ids = order(sizes=[size]).ids(0, size).astype(np.float64)
    places = np.arange(size)
    # Correlations of a random permutation are about 1/sqrt(size); five of those are a fault.
    assert abs(np.corrcoef(places, ids)[0, 1]) < 5 / np.sqrt(size)
    assert abs(np.corrcoef(ids[:-1], ids[1:])[0, 1]) < 5 / np.sqrt(size)
    counts = np.histogram2d(places, ids, bins=16)[0]
    expected = size / 256
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 255 + 6 * np.sqrt(2 * 255)


def test_permuting_1_3_million_takes_under_0_2_cpu_seconds() -> None:
    best = 9.0
    for seed in range(3):
        shuffled = order(sizes=[1_300_000], seed=seed)
        began = time.process_time()
        shuffled.ids(0, 1_300_000)
        best = min(best, time.process_time() - began)
    assert best < 0.2, f"{best:.3f} s"


def test_100_million_samples_need_no_table() -> None:
    code = (
        "import resource, numpy\n"
        "from ganforge.data.order import Order\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "order = Order([10**7] * 10, seed=0)\n"
        "ids = order.ids(123_456_789, 100_000)\n"
        "assert len(set(ids.tolist())) == 100_000 and ids.max() < 10**8\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 64 * 1024, f"{int(grown) / 1024:.0f} MiB"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(DataError, match="no samples"):
        Order([0, 0], seed=0)


def test_equal_random_words_keep_their_places() -> None:
    class Tied:
        def random_raw(self, size: int) -> np.ndarray:
            return np.arange(size, dtype=np.uint64)[::-1] // np.uint64(3)

    for size in (1, 2, 17, 5000):
        words = Tied().random_raw(size)
        assert np.array_equal(_shuffled(size, cast(np.random.Philox, Tied())), np.argsort(words, kind="stable"))
