"""Which sample stands at which position: a pure function of the seed and the shards' sizes.

Positions run on for ever: position p is sample number p mod N of epoch p div N. Global batch k is
positions [kG, (k+1)G), and a rank takes its slice of them, so neither the number of ranks nor a
restart changes what the k-th batch holds. In each epoch the shards are permuted, cut into windows
of W, and the samples of a window are permuted among themselves.

Permutations up to 2**18 samples sort the words of a Philox stream. Larger ones are a keyed
bijection (a Feistel network with cycle walking, its keys from the same Philox) that is evaluated
only for the positions asked for: it needs no table, so 100 million samples cost no memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ganforge.errors import DataError

TABLE_LIMIT = 2**18
_ROUNDS = 8
_BLOCK = 8192


class Order:
    """The endless order of a dataset's samples.

    Args:
        sizes: samples of each shard, in the order of the dataset.
        seed: of the recipe.
        window: shards that are shuffled together; 0 for all.
    """

    def __init__(self, sizes: Sequence[int], *, seed: int, window: int = 0) -> None:
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.count = int(self.starts[-1])
        if self.count < 1:
            raise DataError("the dataset holds no samples")
        self.seed = seed
        self.window = window if 0 < window < len(self.sizes) else 0
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._shards_of_epoch = lru_cache(maxsize=4)(self._shuffle_shards)
        self._permutation = lru_cache(maxsize=4)(_permutation)

    def ids(self, start: int, count: int) -> np.ndarray:
        """Sample ids at positions [start, start + count), int64, shape `(count,)`."""
        parts = []
        while count:
            block, offset = divmod(start, _BLOCK)
            part = self._block(block)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> np.ndarray:
        """The ids of this rank's slice of global batch number `step`."""
        share = batch_size // world_size
        return self.ids(step * batch_size + rank * share, share)

    def shards_ahead(self, position: int) -> tuple[list[int], list[int]]:
        """Shards of the window that holds `position`, and those of the window after it."""
        epoch, offset = divmod(position, self.count)
        shards, ends = self._shards_of_epoch(epoch)
        width = self.window or len(self.sizes)
        window = int(np.searchsorted(ends, offset, side="right"))
        current = shards[window * width : (window + 1) * width]
        following = shards[(window + 1) * width : (window + 2) * width]
        if not len(following):
            following = self._shards_of_epoch(epoch + 1)[0][:width]
        return current.tolist(), following.tolist()

    def _block(self, block: int) -> np.ndarray:
        """Ids at positions [block * _BLOCK, (block + 1) * _BLOCK); small batches share the work."""
        ids = self._blocks.get(block)
        if ids is None:
            ids = self._compute(block * _BLOCK, _BLOCK)
            ids.setflags(write=False)
            self._blocks[block] = ids
            while len(self._blocks) > 8:
                self._blocks.popitem(last=False)
        return ids

    def _compute(self, start: int, count: int) -> np.ndarray:
        parts = []
        while count:
            epoch, offset = divmod(start, self.count)
            shards, ends = self._shards_of_epoch(epoch)
            window = int(np.searchsorted(ends, offset, side="right"))
            begin = int(ends[window - 1]) if window else 0
            size = int(ends[window]) - begin
            length = min(count, size - (offset - begin))
            shuffle = self._permutation(size, self.seed, epoch, window)
            local = shuffle(np.arange(offset - begin, offset - begin + length))
            if self.window:
                members = shards[window * self.window : (window + 1) * self.window]
                bounds = np.concatenate([[0], np.cumsum(self.sizes[members])])
                which = np.searchsorted(bounds, local, side="right") - 1
                local = self.starts[members[which]] + local - bounds[which]
            parts.append(local)
            start, count = start + length, count - length
        return np.concatenate(parts)

    def _shuffle_shards(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Permuted shards, and where each window ends within the epoch."""
        if not self.window:
            return np.arange(len(self.sizes)), np.array([self.count])
        shards = _shuffled(len(self.sizes), _philox(self.seed, epoch, 0))
        ends = np.cumsum(self.sizes[shards])
        last = np.minimum(np.arange(self.window, len(shards) + self.window, self.window), len(shards)) - 1
        return shards, ends[last]


def _philox(seed: int, epoch: int, stream: int) -> np.random.Philox:
    # Raw words, not Generator methods: those may change between versions of numpy, the words do not.
    words = np.array([seed & 0xFFFFFFFFFFFFFFFF, epoch], dtype=np.uint64)
    return np.random.Philox(key=words, counter=np.array([0, 0, stream, 0], dtype=np.uint64))


def _shuffled(size: int, philox: np.random.Philox) -> np.ndarray:
    words = philox.random_raw(size)
    order = np.argsort(words)  # five times as fast as a stable sort, and the same where no two words are
    ranked = words[order]
    return np.argsort(words, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


class _Permutation:
    """A permutation of [0, size), called with the places whose images are wanted."""

    def __init__(self, size: int, philox: np.random.Philox) -> None:
        self.size = size
        self.table = _shuffled(size, philox) if size <= TABLE_LIMIT else None
        if self.table is None:
            bits = (size - 1).bit_length()
            self.low, self.high = bits // 2, bits - bits // 2
            self.keys = philox.random_raw(_ROUNDS)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        if self.table is not None:
            return self.table[places]
        images = self._feistel(places.astype(np.uint64))
        outside = np.flatnonzero(images >= self.size)
        while len(outside):  # walk the cycle until it comes back inside: still a bijection
            images[outside] = self._feistel(images[outside])
            outside = outside[images[outside] >= self.size]
        return images.astype(np.int64)

    def _feistel(self, values: np.ndarray) -> np.ndarray:
        # Unbalanced halves, so that the domain is less than twice the size and few values walk.
        right, left = values & np.uint64((1 << self.low) - 1), values >> np.uint64(self.low)
        for key in self.keys.reshape(-1, 2):
            left ^= _mix(right + key[0], self.high)
            right ^= _mix(left + key[1], self.low)
        return (left << np.uint64(self.low)) | right


def _mix(values: np.ndarray, bits: int) -> np.ndarray:
    """The top `bits` of a 64-bit hash; overwrites `values`."""
    values *= np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(32)
    values *= np.uint64(0xD6E8FEB86659FD93)
    values >>= np.uint64(64 - bits)
    return values


def _permutation(size: int, seed: int, epoch: int, window: int) -> _Permutation:
    return _Permutation(size, _philox(seed, epoch, window + 1))
