"""datatrove's Slurm executor without the job that adds up statistics, which waits for ever where a task has failed."""

from datatrove.executor.slurm import SlurmPipelineExecutor


class SlurmExecutor(SlurmPipelineExecutor):
    """One array of jobs, a job for each task."""

    def launch_merge_stats(self) -> None:
        pass
