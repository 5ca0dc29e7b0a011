"""Pictures out of a trained generator: grids, folders, shards, walks, films, neighbours."""

from ganforge.sampling.draw import Sampler, draw, open_generator
from ganforge.sampling.write import write_samples

__all__ = ["Sampler", "draw", "open_generator", "write_samples"]
