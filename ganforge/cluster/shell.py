"""The parts of a batch script that are the same for every job."""

MEET = r"""# All ranks meet on the first node, where this script runs, at a port that follows from the job's number.
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
if ! getent hosts "$first" >/dev/null; then  # the node's name means nothing to the network: take SLURM's own address
    first=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
fi
port=$((12000 + SLURM_JOB_ID % 16000))
while grep -qi ":$(printf %04x "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null; do  # somebody has it here
    port=$((port + 1))
done
export MASTER_ADDR=$first MASTER_PORT=$port"""

LISTEN = """step=$!

# Tell the ranks, and tell them again: those that are still starting do not hear it.
tell() {
    trap "" USR1 TERM
    interrupted=yes
    echo "job $SLURM_JOB_ID: asking all ranks to save and leave"
    while kill -0 "$step" && scancel --signal=USR1 "$SLURM_JOB_ID"; do sleep 1; done 2>/dev/null &
}
trap tell USR1 TERM
interrupted=yes
while [ -n "$interrupted" ]; do  # a signal interrupts `wait`
    interrupted=""
    wait "$step"
    code=$?
done
if [ -n "$mark" ] && [ -e "$mark" ]; then
    rm -f "$mark"
    code=85
fi"""

REQUEUE = """# 85: saved, and to be started again; but not after `scancel`, nor when SLURM itself queues the job again.
if [ "$code" -eq 85 ] && [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" != RUNNING ]; then
    echo "job $SLURM_JOB_ID: saved; it was cancelled, or SLURM queues it again"
elif [ "$code" -eq 85 ]; then
    echo "job $SLURM_JOB_ID: saved; back into the queue"
    scontrol requeue "$SLURM_JOB_ID" || echo "this queue does not let a job be queued again; use a chain of jobs"
elif [ "$code" -ne 0 ]; then
    echo "job $SLURM_JOB_ID: ended with code $code; to go on from the newest checkpoint: scontrol requeue $SLURM_JOB_ID"
fi
exit "$code\""""

CHAIN = """# Done: the rest of the chain has nothing to do. Else the next job goes on.
if [ "$code" -eq 0 ] && [ -e "$run/slurm/chain" ]; then
    scancel --state=PENDING $(cat "$run/slurm/chain")
fi
exit "$code\""""
