"""A throw-away SLURM: munge, slurmctld and two slurmd on loopback, in a folder of their own.

    python tests/cluster/slurm_daemons.py FOLDER

Keeps them running until it is ended, or until the process that started it is gone, however that happened; then ends
every process that came from them. Daemons and steps of SLURM leave their parents, so this process has itself made the
parent of all orphans below it (Linux, `PR_SET_CHILD_SUBREAPER`) and finds them as its own descendants.
"""

import contextlib
import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
NODES = ("n1", "n2")
JOBS_AT_MOST = 100
"""Of one throw-away SLURM."""

CONFIGURATION = """
ClusterName=throwaway
FirstJobId={first_job}
SlurmctldHost={host}(127.0.0.1)
{security}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=64 RealMemory=1000 Gres=gpu:8
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=64 RealMemory=1000 Gres=gpu:8
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""

MUNGE = "AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={folder}/munge.socket"
NO_MUNGE = "AuthType=auth/none\nCredType=cred/none"


def free_ports(count: int) -> list[int]:
    """Free at the moment, and different from each other."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def claim_numbers() -> tuple[int, socket.socket]:
    """The first job's number, and what holds the hundred from there on until it is closed.

    A job's ranks meet at a port that follows from its number, so two of these side by side must not number their jobs
    alike. Each holds a port of its own that nothing listens at.
    """
    for number in range(150):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", 11_000 + number))
        except OSError:
            holder.close()
        else:
            return 1 + number * JOBS_AT_MOST, holder
    raise RuntimeError("150 throw-away SLURMs run already")


def write_configuration(folder: Path, first_job: int) -> bool:
    """`slurm.conf`, and GPUs in name only, so that scripts for GPUs can be checked; whether munge is there."""
    with_munge = shutil.which("munged") is not None
    security = MUNGE.format(folder=folder) if with_munge else NO_MUNGE
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(
        first_job=first_job,
        host=host,
        user=getpass.getuser(),
        folder=folder,
        ports=free_ports(3),
        security=security,
    )
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(text)
    for index in range(8):
        (folder / f"gpu{index}").touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-7]\n")
    if with_munge:
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
    return with_munge


def commands(folder: Path, with_munge: bool) -> list[list[str]]:
    configuration = str(folder / "slurm.conf")
    found = []
    if with_munge:
        found.append(
            ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket",
             f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
        )  # fmt: skip
    found.append(["slurmctld", "-D", "-i", "-f", configuration])
    found.extend(["slurmd", "-D", "-N", node, "-f", configuration] for node in NODES)
    return found


def descendants() -> list[int]:
    """Process ids below this one, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [os.getpid()]
    for process in found:
        found.extend(children.get(process, ()))
    return found[1:]


def end_all() -> None:
    """SIGTERM, a few seconds, SIGKILL."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for process in descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            reap()
            if not descendants():
                return
            time.sleep(0.05)


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path(sys.argv[1]).resolve()
    first_job, holder = claim_numbers()
    try:
        with_munge = write_configuration(folder, first_job)
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        for command in commands(folder, with_munge):
            with (folder / f"{command[0]}.out").open("ab") as output:
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )  # fmt: skip
            while command[0] == "munged" and not (folder / "munge.socket").exists():
                time.sleep(0.02)
        while os.getppid() == parent:
            reap()
            time.sleep(0.2)
    finally:
        end_all()
        holder.close()


if __name__ == "__main__":
    main()
