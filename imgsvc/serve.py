"""`imgsvc serve`: starts the embedded service, says so, and stops it cleanly."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop
from pydantic import ValidationError

from imgsvc import __version__
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from service_kit.logging import configure_logging
from service_kit.server import CannotStart, Runner, serve_until_stopped
from service_kit.settings import explain
from service_kit.urls import shown
from storage_service.settings import StorageSettings
from transform_service.settings import TransformSettings


def run() -> int:
    """Serve until SIGINT or SIGTERM. The exit code is 1 if the service could not start."""
    try:
        settings, storage, transform = ServeSettings(), StorageSettings(), TransformSettings()
        configure_logging(storage.log_level, storage.log_format)
        with _exclusive(settings.data_dir):
            uvloop.run(_serve(settings, storage, transform))
    except ValidationError as error:
        for line in explain(error):
            print(f"imgsvc: {line}", file=sys.stderr)
        return 1
    except (CannotStart, ValueError) as error:
        print(f"imgsvc: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: ServeSettings, storage: StorageSettings, transform: TransformSettings) -> None:
    app = create_app(storage, transform)

    def announce(url: str) -> None:
        app[LOCATOR].base_url = url
        print(_banner(url, storage, transform), flush=True)

    def stopping() -> None:
        with suppress(BrokenPipeError):  # the terminal may be gone
            print("imgsvc: stopping", flush=True)

    await serve_until_stopped(Runner(app), settings.host, settings.port, announce, stopping)


@contextmanager
def _exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data folder: SQLite's rows and the files are written by one service at a time."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise CannotStart(f"cannot write to DATA_DIR {data_dir}: {error.strerror}; choose another DATA_DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(
                f"another imgsvc uses DATA_DIR {data_dir}; stop it, or choose another DATA_DIR"
            ) from error
        yield


def _banner(address: str, storage: StorageSettings, transform: TransformSettings) -> str:
    image = f"{address}/v1/images"
    return f"""\
imgsvc {__version__} on {address}
  metadata   {shown(storage.database)}
  blobs      {shown(storage.blobs)}
  renderers  {transform.renderers} processes; results: {shown(transform.result_cache_url)}

Try (put the image_id that the first line returns in place of ID):
  curl -F image=@photo.jpg {image}
  curl -o small.webp '{image}/ID.webp?rotate=90&thumb=300'
  curl {image}/ID/info

Ctrl-C stops it once requests have finished, a second one at once."""
