"""SLURM: what a job asks for, the script that asks for it, and how the runs of jobs are doing.

Nothing here trains or imports torch: it runs on a login node.
"""
