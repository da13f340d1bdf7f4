"""`python -m transform_service`: the service alone, on a port of its own. gunicorn calls `application`."""

from service_kit.leaving import leave
from service_kit.program import Program
from transform_service.app import create_app
from transform_service.settings import TransformSettings

PROGRAM = Program(
    "transform_service",
    "Transform images that the storage service keeps, that clients post, or that other servers have.",
    create_app,
    [TransformSettings],
    options={"host": "transform_host", "port": "transform_port"},
)
application = PROGRAM.application

if __name__ == "__main__":
    leave(PROGRAM.main())
