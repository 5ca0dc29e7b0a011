"""`ganforge slurm`: one command that writes a readable batch script and queues it."""

from enum import StrEnum
from typing import Annotated

import typer

from ganforge.cli.recipes import Overrides, RecipeFile
from ganforge.cli.trust import Trust


class LauncherChoice(StrEnum):
    """What starts the processes of a node."""

    srun = "srun"
    accelerate = "accelerate"


def slurm(
    recipe: RecipeFile,
    overrides: Overrides = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes; 1 by default.", show_default=False)] = None,
    gpus_per_node: Annotated[
        int | None, typer.Option(help="GPUs of each node; 0 trains on CPUs; 1 by default.", show_default=False)
    ] = None,
    tasks_per_node: Annotated[
        int | None, typer.Option(help="Without GPUs: processes on each node; 1 by default.", show_default=False)
    ] = None,
    cpus_per_task: Annotated[
        int | None, typer.Option(help="Cores of each process, for reading data.", show_default=False)
    ] = None,
    time: Annotated[str | None, typer.Option(help="Time limit, as in 24:00:00.", show_default=False)] = None,
    partition: Annotated[str | None, typer.Option(help="Queue.", show_default=False)] = None,
    account: Annotated[str | None, typer.Option(help="Who pays.", show_default=False)] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.", show_default=False)] = None,
    constraint: Annotated[
        str | None, typer.Option(help="Features that nodes must have, as in a100.", show_default=False)
    ] = None,
    container: Annotated[
        str | None, typer.Option(help="A .sif file for Apptainer, else an image for Pyxis.", show_default=False)
    ] = None,
    env_setup: Annotated[
        str | None, typer.Option(help='Shell lines to run first: "module load cuda".', show_default=False)
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="Interpreter on the nodes; by default this one.", show_default=False)
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(help="Any other option of sbatch: --sbatch=--mem=0; may be repeated.", show_default=False),
    ] = None,
    launcher: Annotated[
        LauncherChoice | None,
        typer.Option(
            help="One task a process, or one `accelerate launch` a node; srun by default.", show_default=False
        ),
    ] = None,
    accelerate_config: Annotated[
        str | None, typer.Option(help="File for `accelerate launch --config_file`.", show_default=False)
    ] = None,
    grace: Annotated[
        int | None,
        typer.Option(help="Seconds before the time limit at which to save; 120 by default.", show_default=False),
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(help="One run for each seed, as in 0-4, 1,3,7 or 0-9%2 (two at a time).", show_default=False),
    ] = None,
    chain: Annotated[
        int | None,
        typer.Option(
            help="Queue this many jobs, one after the other, where requeueing is forbidden.", show_default=False
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Now, not in the job: move what the run folder holds into its .old-1."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script; write and submit nothing.")] = False,
    submit: Annotated[
        bool, typer.Option("--submit/--no-submit", help="Submit the script, or only write it into the run folder.")
    ] = True,
    trust: Trust = False,
) -> None:
    """Train a recipe as a SLURM job that saves, requeues itself and resumes until it is done.

    Defaults of your site stand in ~/.config/ganforge/slurm.toml, under the names of these options: partition = "gpu".
    The script, the recipe as submitted, and logs are kept in the run folder, below slurm/.
    """
    import shlex
    import sys

    from ganforge.building.checks import check_batch
    from ganforge.cluster.job import make_job, site_defaults, site_file
    from ganforge.cluster.submit import Submission
    from ganforge.recipe import load
    from ganforge.recipe_names import find
    from ganforge.run_files import RECIPE

    given = {
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "tasks_per_node": tasks_per_node,
        "cpus_per_task": cpus_per_task,
        "time": time,
        "partition": partition,
        "account": account,
        "qos": qos,
        "constraint": constraint,
        "container": container,
        "env_setup": env_setup,
        "python": python,
        "sbatch": sbatch,
        "launcher": launcher.value if launcher else None,
        "accelerate_config": accelerate_config,
        "grace": grace,
        "chain": chain,
    }
    job = make_job(site_defaults(site_file()), given)
    resolved = load(recipe, overrides or [], later=True, is_own=recipe.name != RECIPE)
    check_batch(resolved, job.ranks)
    submission = Submission(job, resolved, find(recipe), overrides or [], array, ["ganforge", *sys.argv[1:]])
    if restart and not dry_run:  # here, and not in the script, which is run again when the job is queued again
        from ganforge.run_folder.restart import restart_folder

        for folder in submission.folders:
            if (place := restart_folder(folder)) is not None:
                typer.echo(f"the previous contents of {folder} are now in {place}")
    if dry_run:
        typer.echo(submission.text(), nl=False)
    elif not submit:
        typer.echo(f"written; to submit it: sbatch {shlex.quote(str(submission.write()))}")
    else:
        numbers = submission.submit()
        word = "job" if len(numbers) == 1 else "jobs"
        typer.echo(f"submitted {word} {', '.join(numbers)}: {submission.script}")
        typer.echo(f"log: {submission.log_of(numbers[0])}")
        typer.echo(f"how it is doing: ganforge status {shlex.join(str(folder) for folder in submission.folders)}")
