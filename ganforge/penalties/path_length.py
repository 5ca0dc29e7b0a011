"""Path length: a step of one length in the space of styles moves the picture by one length, whatever the direction."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.models.style_space import StyledGenerator
from ganforge.ranks import mean_over_ranks
from ganforge.registry import register


@register.penalty("path_length")
class PathLength(Penalty):
    """Path length regularisation of the generator (StyleGAN2, Karras et al. 2020, section 3.2 and appendix B).

    `strength * E[(|J^T y| - a)^2]`, where J is the derivative of a picture by its styles, y is noise of the deviation
    `1 / sqrt(height * width)`, the length is the root mean square over the layers' styles, and a is a running mean of
    such lengths, which starts at 0. A generator without a space of styles is differentiated by its latent.

    The term makes pictures of its own, of a share of the batch. Within one step a stays, so that micro-batches and
    ranks add up to the whole batch; after it a moves towards the mean over all of them. It belongs with an `interval`
    (4 in the paper), since it differentiates twice.

    Args:
        strength: 2 in the authors' code.
        decay: weight of the new lengths in each update of the mean; 0.01 in the authors' code.
        shrink: the term uses one in `shrink` latents of the batch; 2 in the authors' code.
    """

    player = "generator"
    sees_real = False
    needs_double_backward = True

    def __init__(
        self,
        *,
        strength: Strength = 2.0,
        decay: Annotated[float, Field(gt=0, le=1)] = 0.01,
        shrink: Annotated[int, Field(ge=1, le=1024)] = 2,
    ) -> None:
        self.strength = strength
        self.decay = decay
        self.shrink = shrink
        self._target: Tensor | None = None
        """The running mean before this step, which is the target of all its micro-batches."""
        self._lengths: Tensor | None = None
        """The sum of this step's mean lengths, one a micro-batch."""
        self._calls = 0
        self._step = -1

    def __call__(self, turn: Turn) -> Tensor:
        lengths = self._path_lengths(turn)
        target = self._follow(lengths.detach().mean(), turn.step)
        return self.strength * (lengths - target).square().mean()

    def _path_lengths(self, turn: Turn) -> Tensor:
        """`(batch / shrink,)`, in float32 or wider, with a graph to the weights."""
        latent = turn.source[:: self.shrink]
        labels = None if turn.fake_labels is None else turn.fake_labels[:: self.shrink]
        module = turn.generator_module
        if isinstance(module, StyledGenerator):
            with _Seen(module.synthesis) as seen:
                pictures = turn.generator(latent, labels)
            styles = seen.styles
        else:
            styles = latent.detach().requires_grad_()
            pictures = turn.generator(styles, labels)
        pictures = at_least_float32(pictures)
        noise = torch.randn_like(pictures) / pictures[0, 0].numel() ** 0.5
        (slopes,) = torch.autograd.grad((pictures * noise).sum(), styles, create_graph=True)
        slopes = at_least_float32(slopes).reshape(len(latent), -1, slopes.shape[-1])
        # The root has no derivative at 0, which is the length for a generator that always makes one picture.
        return (slopes.square().sum(dim=2).mean(dim=1) + 1e-12).sqrt()

    def _follow(self, mean: Tensor, step: int) -> Tensor:
        """The target length of this step, after recording one more micro-batch's mean length."""
        mean = mean_over_ranks(mean)
        if step != self._step or self._target is None or self._lengths is None:
            self._target = self._next(mean)
            self._lengths, self._calls, self._step = torch.zeros_like(mean), 0, step
        self._lengths = self._lengths.to(mean) + mean
        self._calls += 1
        return self._target.to(mean)

    def _next(self, like: Tensor) -> Tensor:
        """The running mean after the last step."""
        if self._target is None or self._lengths is None:
            return torch.zeros_like(like)
        target = self._target.to(like)
        return target.lerp(self._lengths.to(like) / self._calls, self.decay)

    def state_dict(self) -> dict[str, Any]:
        return {"target": self._target, "lengths": self._lengths, "calls": self._calls, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._target, self._lengths = state["target"], state["lengths"]
        self._calls, self._step = state["calls"], state["step"]


class _Seen:
    """Context that records the styles that the synthesis was last called with; the hook is removed afterwards."""

    def __init__(self, synthesis: nn.Module) -> None:
        self.synthesis = synthesis
        self._given: Tensor | None = None

    @property
    def styles(self) -> Tensor:
        assert self._given is not None, "the generator did not call its synthesis"
        return self._given

    def __enter__(self) -> "_Seen":
        def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._given = inputs[0]

        self._handle = self.synthesis.register_forward_pre_hook(remember)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()
