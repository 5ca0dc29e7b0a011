"""One alternation: each player's turns, and what follows them."""

from ganforge.building.performance import begin_turn
from ganforge.doctor.history import is_looked_at
from ganforge.game.player import Player
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
    return run.schedule.adapt(run.step, run.average)


def move(run: Run, moving: Player, resting: Player) -> None:
    """All turns of one player in a step, while the other rests. Nothing here waits for the device."""
    with resting.frozen():
        for turn_number in range(moving.turns_per_step):
            if run.recipe.performance.cuda_graphs:
                begin_turn(run.recipe.performance, run.accelerator.device)
            turns = run.game.turns(moving, run.step, turn_number)
            for micro_batch, turn in enumerate(turns):
                terms, logits = moving.learn(turn, micro_batch), turn.judged()
                run.meters.add(moving.role, terms, logits)
                run.schedule.observe(turn)
                if "real" in logits:
                    run.augment.observe(logits["real"])
            is_last_turn = turn_number == moving.turns_per_step - 1
            if run.probe is not None and is_last_turn and is_looked_at(run.step + 1, run.recipe.training.log_every):
                run.meters.add("health", run.probe.look(moving, turns[-1]))
            if figures := moving.update(run.step, run.learning_rate_scale):
                run.meters.add(moving.role, figures)
