"""Remedies for each illness, in terms of the recipe's options and their present values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ganforge.lookup import is_number, number, tables_at, text, value_at, whole

Table = Mapping[str, Any]

GRADIENT_PENALTIES = ("r1", "r2", "gradient_penalty", "dragan")
PLAYERS = ("generator", "discriminator")
LOGISTIC = ("bce", "minimax")


class Treatment:
    """Remedies that fit a resolved recipe.

    Args:
        recipe: its tables, as in `recipe.resolved.toml`.
    """

    def __init__(self, recipe: Table) -> None:
        self._recipe = recipe

    @property
    def objective(self) -> str:
        return text(self._recipe, "objective", "name") or ""

    @property
    def translates(self) -> bool:
        """Whether the generator is given pictures: variety is its sources', and other terms than D's teach it."""
        has_domain = self._get("domain", "name") is not None
        return has_domain or bool(tables_at(self._recipe, "degrade")) or text(self._recipe, "data", "name") == "pairs"

    def remedies(self, illness: str) -> tuple[str, ...]:
        """What to change, the likeliest first; illnesses are those of `ganforge.doctor.illnesses`."""
        found: Sequence[str | None] = getattr(self, f"_{illness}")()
        return tuple(remedy for remedy in found if remedy)

    def _discriminator_wins(self) -> Sequence[str | None]:
        smoothing = None
        if self.objective in LOGISTIC and self._get("objective", "real_label") == 1.0:
            smoothing = "objective.real_label = 0.9"
        return (
            self._slower("discriminator"),
            self._gradient_penalty(),
            self._more_turns("generator"),
            smoothing,
            'objective = "bce", whose generator learns even when D is sure' if self.objective == "minimax" else None,
            self._add_augmentation(),
        )

    def _generator_wins(self) -> Sequence[str | None]:
        return (
            self._faster("discriminator"),
            self._slower("generator"),
            self._more_turns("discriminator"),
            self._weaker_gradient_penalty(),
            "a larger discriminator, such as discriminator.width x 2",
        )

    def _collapse(self) -> Sequence[str | None]:
        packing = whole(self._recipe, "discriminator", "packing") or 1
        return (
            self._less_momentum(),
            self._gradient_penalty(),
            self._slower("generator"),
            f"discriminator.packing = {2 * packing}" if packing < 4 else None,
            'objective = "relativistic"' if "relativistic" not in self.objective else None,
        )

    def _missing_classes(self) -> Sequence[str | None]:
        packing = whole(self._recipe, "discriminator", "packing") or 1
        batch = whole(self._recipe, "training", "batch_size")
        return (
            f"discriminator.packing = {2 * packing}" if packing < 4 else None,
            self._less_momentum(),
            self._gradient_penalty(),
            f"training.batch_size = {2 * batch}" if batch else None,
        )

    def _copies_source(self) -> Sequence[str | None]:
        terms = enumerate(tables_at(self._recipe, "penalties"))
        identity = next((index for index, penalty in terms if text(penalty, "name") == "identity"), None)
        return (
            f"leave out penalties.{identity}, 'identity', which forbids changing colours"
            if identity is not None
            else None,
            self._faster("discriminator"),
            "a larger patch: discriminator.depth + 1",
        )

    def _oscillation(self) -> Sequence[str | None]:
        fixed = [player for player in PLAYERS if self._get("optimizer", player, "decay") == "none"]
        return (
            self._less_momentum(),
            self._gradient_penalty(),
            self._slower("generator"),
            " and ".join(f'optimizer.{player}.decay = "linear"' for player in fixed),
        )

    def _memorising(self) -> Sequence[str | None]:
        return (
            self._add_augmentation(),
            "fewer training.steps: the best generator is kept" if self._get("evaluation", "metrics") else None,
            self._gradient_penalty(),
            "a smaller discriminator, such as half of discriminator.width",
        )

    def _exploding_gradients(self) -> Sequence[str | None]:
        free = [player for player in PLAYERS if not self._get("optimizer", player, "clip_norm")]
        return (
            self._slower("generator"),
            self._slower("discriminator"),
            " and ".join(f"optimizer.{player}.clip_norm = 1.0" for player in free),
            self._gradient_penalty(),
        )

    def _dead_gradients(self) -> Sequence[str | None]:
        return (
            self._slower("discriminator"),
            self._slower("generator"),
            'objective = "bce"' if self.objective == "minimax" else None,
            "start again: weights that died rarely come back",
        )

    def _average_far(self) -> Sequence[str | None]:
        half_life = number(self._recipe, "training", "ema")
        return (
            f"a shorter half-life, such as training.ema = {half_life / 4:g} (now {half_life:g})" if half_life else None,
            "training.ema_rampup = 0.05" if not self._get("training", "ema_rampup") else None,
            self._slower("generator"),
            self._less_momentum(),
        )

    # --- the pieces that several illnesses share ----------------------------------------------

    def _get(self, *path: str) -> Any:
        """A value of the recipe, or None where this recipe has no such option."""
        return value_at(self._recipe, *path)

    def _rate(self, player: str) -> float | None:
        return number(self._recipe, "optimizer", player, "lr")

    def _slower(self, player: str) -> str | None:
        rate = self._rate(player)
        return None if rate is None else f"optimizer.{player}.lr = {rate / 4:.3g} (now {rate:g})"

    def _faster(self, player: str) -> str | None:
        rate = self._rate(player)
        return None if rate is None else f"optimizer.{player}.lr = {rate * 4:.3g} (now {rate:g})"

    def _more_turns(self, player: str) -> str:
        turns = whole(self._recipe, "training", f"{player}_turns") or 1
        return f"training.{player}_turns = {turns + 1}"

    def _less_momentum(self) -> str | None:
        with_momentum = [player for player in PLAYERS if self._momentum(player) > 0]
        settings = [f"optimizer.{player}.betas = [0.0, 0.999]" for player in with_momentum]
        return f"no momentum: {' and '.join(settings)}" if settings else None

    def _momentum(self, player: str) -> float:
        betas = self._get("optimizer", player, "betas")
        return betas[0] if isinstance(betas, list | tuple) and betas and is_number(betas[0]) else 0.0

    def _gradient_penalty(self) -> str:
        for index, name, weight in self._gradient_penalties():
            return f"a stronger {name}: penalties.{index}.weight = {4 * weight:g}"
        return 'a gradient penalty on D: [[penalties]] name = "r1"'

    def _weaker_gradient_penalty(self) -> str | None:
        for index, name, weight in self._gradient_penalties():
            return f"a weaker {name}: penalties.{index}.weight = {weight / 4:g}"
        return None

    def _gradient_penalties(self) -> Iterator[tuple[int, str, float]]:
        """Index, name and weight of the penalty."""
        for index, penalty in enumerate(tables_at(self._recipe, "penalties")):
            name, weight = text(penalty, "name"), number(penalty, "weight")
            if name in GRADIENT_PENALTIES and weight is not None:
                yield index, name, weight

    def _add_augmentation(self) -> str | None:
        if self._recipe.get("augment"):
            return None
        return 'augmentation of what D sees, for few pictures: [[augment]] name = "diffaugment" or "ada"'
