"""One alternation: each player's turns, and what follows them."""

from ganforge.doctor.history import is_looked_at
from ganforge.game.player import Player
from ganforge.game.recorded import play
from ganforge.training.run import Run


def begin_step(run: Run) -> None:
    """Set every option that has a ramp to its value for this step."""
    for ramp in run.ramps:
        ramp.apply(run.images)


def finish_step(run: Run) -> str:
    """Update the averaged generator and whatever adapts to the game; returns a line for the log, or nothing."""
    batch = run.recipe.training.batch_size
    run.progress.advance(batch)
    with run.generator.engine.gathered():
        run.averaged.update(run.networks.generator, images=run.images, batch=batch)
    run.augment.adapt(run.average, run.step, batch)
    news = [] if run.recorded is None else run.recorded.news()
    return "\n".join(filter(None, [*news, run.schedule.adapt(run.step, run.average)]))


def move(run: Run, moving: Player, resting: Player) -> None:
    """All turns of one player in a step, while the other rests. Nothing here waits for the device."""
    with resting.frozen():
        for turn_number in range(moving.turns_per_step):
            take_turn(run, moving, turn_number)


def take_turn(run: Run, moving: Player, number: int) -> None:
    """One turn, from its samples to the optimizer's step.

    What it computed is gone when it returns: a graph that outlives its turn would stand in the way of a recording.
    """
    step = run.step
    is_last = number == moving.turns_per_step - 1
    probe = run.probe if is_last and is_looked_at(step + 1, run.recipe.training.log_every) else None
    turns = run.game.turns(moving, step, number)
    # The probe looks at more than a recording keeps.
    player = play if run.recorded is None or probe is not None else run.recorded.play
    for turn, terms in zip(turns, player(moving, turns), strict=True):
        logits = turn.judged()
        run.meters.add(moving.role, terms, logits)
        run.schedule.observe(turn)
        if "real" in logits:
            run.augment.observe(logits["real"])
    if probe is not None:
        run.meters.add("health", probe.look(moving, turns[-1]))
    if figures := moving.update(step, run.learning_rate_scale):
        run.meters.add(moving.role, figures)
