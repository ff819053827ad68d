"""`python -m worker`: arq's worker without arq's command line, which would log each line a second time as text."""

from arq.worker import run_worker

from worker.settings import WorkerSettings

run_worker(WorkerSettings)  # pyright: ignore[reportArgumentType] - arq takes the class as it is
