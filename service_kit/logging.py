"""How the services log: one line an event, on standard error."""

import logging


def configure_logging(level: str) -> None:
    """Log from `level` up; called once by a program, never by a library."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
