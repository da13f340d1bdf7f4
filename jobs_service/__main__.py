"""`python -m jobs_service`: the service alone, on a port of its own for health checks and metrics."""

from jobs_service.app import create_app
from jobs_service.settings import JobsSettings
from service_kit.leaving import leave
from service_kit.program import Program

PROGRAM = Program(
    "jobs_service",
    "Have jobs done: take them from the storage service, and give them to the transform service.",
    create_app,
    [JobsSettings],
    options={"host": "jobs_host", "port": "jobs_port"},
)

if __name__ == "__main__":
    leave(PROGRAM.main())
