"""`imgsvc serve`: the program around the embedded service."""

from aiohttp import web

from imgsvc import __version__
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from service_kit import calling
from service_kit.access import Mode
from service_kit.http import access
from service_kit.program import Program
from service_kit.urls import redacted
from storage_service import first_key
from storage_service.app import FIRST_KEY
from storage_service.http import receiving
from storage_service.settings import StorageSettings
from transform_service.http import handlers as transform
from transform_service.settings import TransformSettings

_ACCESS = {
    Mode.LOCAL: "no keys, since only this machine can reach it",
    Mode.KEYS: "keys, for everything but pictures ({command} keys --help)",
    Mode.OPEN: "everybody may do everything (AUTH=open)",
}


def _announce(app: web.Application, url: str) -> None:
    storage_settings, transform_settings = app[receiving.SETTINGS], app[transform.SETTINGS]
    app[LOCATOR].base_url = url + storage_settings.path_prefix
    base = url + storage_settings.path_prefix
    image = f"{base}/v1/images"
    command = calling.imgsvc()
    first = app[FIRST_KEY].take() if FIRST_KEY in app else ""
    notice = f"\n{first_key.notice(first)}\n" if first else ""
    header = f" -H 'Authorization: Bearer {first or 'KEY'}'" if app[access.MODE] is Mode.KEYS else ""
    variable = f"IMGSVC_KEY={first or 'KEY'} " if header else ""
    banner = f"""\
imgsvc {__version__} on {url}
  metadata   {redacted(storage_settings.database)}
  blobs      {redacted(storage_settings.blobs)}
  access     {_ACCESS[app[access.MODE]].format(command=command)}
  renderers  {transform_settings.renderers} processes; results: {redacted(transform_settings.result_cache_url)}

Try it (replace ID with the image_id that the first command returns):
  curl -f{header} -F image=@photo.jpg {image}
  curl -fo small.webp '{image}/ID.webp?rotate=90&thumb=300'
  curl -f{header} {image}/ID/info
  {variable}{command} upload photo.jpg --url {base}
Or open {base}/console in a browser. The reference of the API is at {base}/docs
{notice}
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
