"""The batch script of a training run: readable, and complete without this package.

Pitfalls that its lines avoid, each seen on a real SLURM (22.05):

- A signal that arrives while Python still imports ends a task. Tasks begin with SIGUSR1 ignored, and the batch shell
  sends it again every few seconds until everything has left.
- `--kill-on-bad-exit`, and `accelerate launch` as well, end the other ranks when the first one leaves with code 85,
  while rank 0 may still be closing its trackers. So srun waits a minute for the others after the first has left, and
  under `accelerate launch` code 85 becomes a mark in the run folder and a code of 0.
- The loop that signals the ranks must end with them: it would signal the same job after it has started again.
- `scancel` ends tasks by the signal that asks to save. A job that somebody has cancelled must not queue itself again.
- A port may be taken by another job on the same node: the next free one is used.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.cluster.job import Job
from ganforge.cluster.shell import CHAIN, LISTEN, MEET, REQUEUE
from ganforge.errors import GanforgeError
from ganforge.wording import counted

EXIT_WAIT = 60
"""Seconds that ranks have to exit after the first one has exited, for any reason."""


@dataclass(frozen=True)
class Training:
    """What a job trains, as text for its script.

    Args:
        title: what the script is, in one line.
        name: name of the recipe.
        folder: run folder, relative to `chdir` or absolute.
        recipe: file to train.
        overrides: values of `--set`.
        log: pattern of the job's log file.
        chdir: folder in which the job starts; by default the one in which it is submitted.
        python: interpreter.
        seeds: indices of a job array, each a seed and a run folder of its own.
    """

    title: str
    name: str
    folder: str
    recipe: str
    log: str
    overrides: Sequence[str] = ()
    chdir: str | None = None
    python: str = "python"
    seeds: str | None = None


def render(job: Job, training: Training) -> str:
    """The whole script."""
    parts = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in _options(job, training)),
        "",
        *_comment(job, training),
        "",
        'trap "" USR1  # which would end this shell before it is ready to pass it on',
        *([job.env_setup.rstrip("\n")] if job.env_setup else []),
        "",
        *_what(job, training),
        "",
        MEET,
        "",
        *(_accelerate(job) if job.launcher == "accelerate" else _srun(job)),
        LISTEN,
        "",
        CHAIN if job.chain > 1 else REQUEUE,
    ]
    return "\n".join(parts) + "\n"


def _options(job: Job, training: Training) -> list[str]:
    per_node = 1 if job.launcher == "accelerate" else job.processes_per_node
    cpus = None if job.cpus_per_task is None else job.cpus_per_task * job.processes_per_node // per_node
    wanted = {
        "job-name": training.name,
        "chdir": training.chdir,
        "output": training.log,
        "open-mode": "append",
        "array": training.seeds,
        "partition": job.partition,
        "account": job.account,
        "qos": job.qos,
        "constraint": job.constraint,
        "nodes": job.nodes,
        "ntasks-per-node": per_node,
        "gpus-per-node": job.gpus_per_node or None,
        "cpus-per-task": cpus,
        "time": job.time,
        "signal": f"B:USR1@{job.grace}",
    }
    options = [f"--{key}={_quoted(value)}" for key, value in wanted.items() if value is not None]
    return [*options, "--requeue" if job.chain == 1 else "--no-requeue", *map(_own, job.sbatch)]


def _own(option: str) -> str:
    """An option that the user wrote, its value quoted where sbatch wants that."""
    if set(option) & set("\n\r"):
        raise GanforgeError(f"--sbatch {option!r}: cannot stand in an #SBATCH line; leave out line ends")
    key, equals, value = option.partition("=")
    return f"{key}={_quoted(value)}" if equals else option


def _quoted(value: object) -> str:
    """As sbatch reads its comment lines: with blanks only inside of quotes."""
    text = str(value)
    if set(text) & set('\n\r"'):
        raise GanforgeError(f"{text!r} cannot stand in an #SBATCH line; leave out line ends and double quotes")
    return f'"{text}"' if set(text) & set(" \t&|'#") else text


def _comment(job: Job, training: Training) -> list[str]:
    each = "GPU" if job.gpus_per_node else "process"
    way = f"one task a {each}, started by srun"
    if job.launcher == "accelerate":
        way = f"one `accelerate launch` a node, {counted(job.processes_per_node, 'process', 'processes')} each"
    after = "queues itself again" if job.chain == 1 else "leaves the rest to the next job of its chain"
    nodes = counted(job.nodes, "node")
    return [
        f"# {training.title}",
        f"# {nodes}, {way}.",
        f"# {job.grace} seconds before its time limit the job saves everything and {after};",
        "# training goes on where it was, as the same run of W&B.",
        f"# Ask for that by hand:  scancel --batch --signal=USR1 JOBID      End it for good:  {_end(job, training)}",
    ]


def _end(job: Job, training: Training) -> str:
    """The command that ends training for good: in a chain, the next job would start however this one ends."""
    return "scancel JOBID" if job.chain == 1 else f"scancel $(cat {shlex.quote(training.folder)}/slurm/chain)"


def _what(job: Job, training: Training) -> list[str]:
    folder, overrides = shlex.quote(training.folder), [*training.overrides]
    sets = " ".join(f"--set {shlex.quote(override)}" for override in overrides)
    line = f"{shlex.quote(training.python)} -m ganforge train {shlex.quote(training.recipe)}"
    if training.seeds is not None:
        folder += "-seed$SLURM_ARRAY_TASK_ID"
        own = f'--set "seed=$SLURM_ARRAY_TASK_ID" --set "name={training.name}-seed$SLURM_ARRAY_TASK_ID"'
        sets = f"{sets} {own}".strip()
    threads = f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{job.cpus_per_task or 1}}}"
    if training.seeds is None:
        number = "$SLURM_JOB_ID"
    else:
        number = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    return [
        f"run={folder}",
        f"train=({line}{' ' if sets else ''}{sets})",
        threads,
        *([] if job.gpus_per_node else ["export ACCELERATE_USE_CPU=true"]),
        'mkdir -p "$run/slurm"',
        f"number={number}  # for `ganforge status`",
        '[ "$(tail -n 1 "$run/slurm/jobs" 2>/dev/null)" = "$number" ] || echo "$number" >>"$run/slurm/jobs"',
    ]


def _step(job: Job) -> list[str]:
    """Options of srun, beside what it takes over from the job."""
    options = [f"--kill-on-bad-exit=0 --wait={EXIT_WAIT}"]
    if job.cpus_per_task is not None:  # srun does not take it over from sbatch since SLURM 22.05
        per_task = job.processes_per_node if job.launcher == "accelerate" else 1
        options.append(f"--cpus-per-task={job.cpus_per_task * per_task}")
    if job.gpus_per_node:
        options.append("--gpu-bind=none")  # each task sees all GPUs of its node and takes its own by LOCAL_RANK
    if job.container is not None and not _is_apptainer(job):
        image = shlex.quote(job.container)
        options.append(f'--container-image={image} --container-mounts="$PWD:$PWD" --container-workdir="$PWD"')
    return options


def _names(job: Job) -> list[str]:
    """Paths that tasks read from their environment, so that no path needs quotes within quotes."""
    image = job.container if _is_apptainer(job) else None
    values = {"image": image, "config": job.accelerate_config}
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items() if value is not None]


def _is_apptainer(job: Job) -> bool:
    return job.container is not None and job.container.endswith(".sif")


def _inside(job: Job) -> str:
    if not _is_apptainer(job):
        return ""
    return f'apptainer exec {"--nv " if job.gpus_per_node else ""}--bind "$PWD" "$image" '


def _srun(job: Job) -> list[str]:
    return [
        *_names(job),
        "task='",
        '    trap "" USR1  # until Python listens; before that the signal would end the task',
        "    export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS",
        f"    export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE={job.processes_per_node}",
        f'    exec {_inside(job)}"$@"',
        "'",
        'mark=""',
        f'srun {" ".join(_step(job))} bash -c "$task" task "${{train[@]}}" &',
    ]


def _accelerate(job: Job) -> list[str]:
    if job.accelerate_config is not None:
        way = '--config_file "$config"'
    else:
        way = f"{'--multi_gpu ' if job.ranks > 1 else ''}--mixed_precision no --dynamo_backend no"
    launch = [
        f'exec {_inside(job)}"$1" -m accelerate.commands.launch {way}',
        f"    --num_machines {job.nodes} --num_processes {job.ranks} --machine_rank $SLURM_NODEID",
        "    --main_process_ip $MASTER_ADDR --main_process_port $MASTER_PORT",
        '    --no_python bash -c "$worker" worker "$@"',
    ]
    return [
        *_names(job),
        "export worker='",
        '    trap "" USR1  # until Python listens; before that the signal would end the process',
        "    trap : TERM",
        '    "$@"',
        "    code=$?",
        '    if [ "$code" -eq 85 ]; then  # the agent would end the other processes and turn 85 into 1',
        '        [ "${RANK:-0}" -ne 0 ] || touch "$mark"',
        "        exit 0",
        "    fi",
        '    exit "$code"',
        "'",
        "task='",
        '    trap "" USR1',
        *" \\\n".join(f"    {line}" for line in launch).split("\n"),
        "'",
        'export mark="$run/slurm/saved-$SLURM_JOB_ID"',
        'rm -f "$mark"',
        f'srun {" ".join(_step(job))} bash -c "$task" task "${{train[@]}}" &',
    ]
