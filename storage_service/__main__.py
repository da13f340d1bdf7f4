"""`python -m storage_service`: the service alone, on a port of its own. gunicorn calls `application`."""

from service_kit.leaving import leave
from service_kit.program import Program
from storage_service.app import create_app
from storage_service.settings import StorageSettings

PROGRAM = Program(
    "storage_service",
    "Store images: their metadata and their bytes.",
    create_app,
    [StorageSettings],
    options={"host": "storage_host", "port": "storage_port"},
)
application = PROGRAM.application

if __name__ == "__main__":
    leave(PROGRAM.main())
