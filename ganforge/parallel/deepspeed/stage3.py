"""A player on DeepSpeed's ZeRO 3: its weights are sharded, too, and come from all ranks layer by layer.

DeepSpeed's hooks fetch a layer's weights before its forward and again before its backward, and give them away
after each. What else looks at weights does so inside `gathered`; what cannot is refused in `build.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ganforge.errors import DivergenceError
from ganforge.game.engine import Limits
from ganforge.parallel.deepspeed.engine import ZeroEngine


class Zero3Engine(ZeroEngine):
    """As `ZeroEngine`, whose arguments it takes."""

    @property
    def has_whole_weights(self) -> bool:
        return False

    @contextmanager
    def gathered(self, writes: bool = False) -> Iterator[None]:
        import deepspeed

        self._engine.empty_partition_cache()  # what layers have not given away yet, or are fetching ahead
        weights = list(self.network.parameters())
        with super().gathered(writes), deepspeed.zero.GatheredParameters(weights, modifier_rank=0 if writes else None):
            yield

    def step(self, limits: Limits, parameters: Sequence[nn.Parameter]) -> Tensor | None:
        """Stage 3 leaves out a step whose gradient is not finite; elsewhere it is made and ends the run, so here, too.

        Raises:
            LaunchError: the recipe limits what ZeRO hides.
            DivergenceError: a gradient is not finite.
        """
        norm = super().step(limits, parameters)
        if self._engine.optimizer.overflow:
            raise DivergenceError(
                "a gradient is no longer finite, and ZeRO 3 would leave its step out. "
                "A smaller learning rate often helps"
            )
        # A backward overwrites the gradients of the weights that it reaches; the others' would be used once more.
        self._engine.optimizer.grad_partitions_flat_buffer.zero_()
        return norm

    def shard(self) -> dict[str, Any]:
        with self._weights_listed():
            return super().shard()

    def load_shard(self, shard: dict[str, Any]) -> None:
        with self._weights_listed():
            super().load_shard(shard)

    @contextmanager
    def _weights_listed(self) -> Iterator[None]:
        """The inner optimizer is told of its weights only while it steps, and loads and saves no others' states."""
        self._engine.optimizer._set_fp32_optimizer_param_groups()
        try:
            yield
        finally:
            self._engine.optimizer._clear_fp32_optimizer_param_groups()
