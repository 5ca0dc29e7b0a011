"""AC-GAN: a discriminator that also says which class it sees."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import GanforgeError
from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.models.conditioning import Classifier
from ganforge.objectives.cross_entropy import NonSaturating
from ganforge.objectives.hinge import Hinge
from ganforge.registry import register

Weight = Annotated[float, Field(ge=0)]
GAMES: dict[str, type[Objective]] = {"bce": NonSaturating, "hinge": Hinge}


@register.objective("acgan")
class ACGAN(Objective):
    """Real or fake, and which class: D classifies, and G makes what is classified right (Odena, Olah and Shlens 2017).

    To each player's loss of the `game` comes the cross-entropy of the class that a classifier on D's last features
    sees: for D on real and fake samples (equation 3 of the paper), for G on its own. It belongs with a discriminator of
    `conditional = "classifier"` and a conditional generator. What the classifier is sure of is easy to make, so that
    classes tend to lose variety (Miyato and Koyama 2018, which the projection discriminator is an answer to).

    Args:
        game: the loss of real against fake: `bce` (the paper) or `hinge`.
        discriminator_weight: of the cross-entropy in D's loss; 1 in the paper.
        generator_weight: of the cross-entropy in G's loss; 1 in the paper.
        classify_fakes: whether D learns classes from fakes as well; later codes take reals alone, for fakes of a poor G
            do not look like their class.
    """

    needs_classifier = True

    def __init__(
        self,
        *,
        game: Literal["bce", "hinge"] = "bce",
        discriminator_weight: Weight = 1.0,
        generator_weight: Weight = 1.0,
        classify_fakes: bool = True,
    ) -> None:
        self.game = game
        self.discriminator_weight = discriminator_weight
        self.generator_weight = generator_weight
        self.classify_fakes = classify_fakes
        self._game = GAMES[game]()

    def discriminator_loss(self, turn: Turn) -> Tensor:
        if turn.real_labels is None:
            return self._game.discriminator_loss(turn)
        with _Heard(turn.discriminator_module) as heard:
            assert turn.real_logits is not None
            classes = _cross_entropy(heard.logits, turn.real_labels)
            assert turn.fake_logits is not None
            if self.classify_fakes and turn.fake_labels is not None:
                classes = classes + _cross_entropy(heard.logits, turn.fake_labels)
        return self._game.discriminator_loss(turn) + self.discriminator_weight * classes

    def generator_loss(self, turn: Turn) -> Tensor:
        if turn.fake_labels is None:
            return self._game.generator_loss(turn)
        with _Heard(turn.discriminator_module) as heard:
            assert turn.fake_logits is not None
            classes = _cross_entropy(heard.logits, turn.fake_labels)
        return self._game.generator_loss(turn) + self.generator_weight * classes


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(at_least_float32(logits), labels)


class _Heard:
    """Context that records what the discriminator's classifier last said; the hook is removed afterwards.

    Args:
        discriminator: the bare network.

    Raises:
        GanforgeError: it has no classifier.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        found = [module for module in discriminator.modules() if isinstance(module, Classifier)]
        if not found:
            raise GanforgeError(
                "objective 'acgan': the discriminator does not classify; set discriminator.conditional = \"classifier\""
            )
        self._classifier = found[0]
        self._said: list[Tensor] = []

    @property
    def logits(self) -> Tensor:
        """Logits of the last forward, `(batch, classes)`."""
        assert self._said, "the discriminator did not call its classifier"
        return self._said.pop()

    def __enter__(self) -> "_Heard":
        def record(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._said[:] = [output]

        self._handle = self._classifier.register_forward_hook(record)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()
