"""`imgsvc serve`: the program around the embedded service."""

from aiohttp import web

from imgsvc import __version__
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from service_kit.program import Program
from service_kit.urls import redacted
from storage_service.http import handlers as storage
from storage_service.settings import StorageSettings
from transform_service.http import handlers as transform
from transform_service.settings import TransformSettings


def _announce(app: web.Application, url: str) -> None:
    storage_settings, transform_settings = app[storage.SETTINGS], app[transform.SETTINGS]
    app[LOCATOR].base_url = url + storage_settings.path_prefix
    image = f"{url}{storage_settings.path_prefix}/v1/images"
    banner = f"""\
imgsvc {__version__} on {url}
  metadata   {redacted(storage_settings.database)}
  blobs      {redacted(storage_settings.blobs)}
  renderers  {transform_settings.renderers} processes; results: {redacted(transform_settings.result_cache_url)}

Try it (replace ID with the image_id that the first command returns):
  curl -fF image=@photo.jpg {image}
  curl -fo small.webp '{image}/ID.webp?rotate=90&thumb=300'
  curl -f {image}/ID/info

Ctrl-C stops it when all requests have finished; press it again to stop at once."""
    print(banner, flush=True)


PROGRAM = Program(
    "imgsvc",
    "Run the whole service in one process tree: SQLite, blobs as files, results in memory.",
    create_app,
    [ServeSettings, StorageSettings, TransformSettings],
    options={"host": "host", "port": "port", "data_dir": "data_dir"},
    announce=_announce,
)
