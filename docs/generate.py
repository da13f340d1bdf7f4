"""Generates documents from the code (`make docs`). A test checks that they are up to date."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml
from pydantic import ByteSize
from pydantic_settings import BaseSettings

from docs.chain_schema import chain_schema
from docs.error_list import error_list
from docs.http_api import http_api
from docs.javascript_client import javascript_operations, javascript_types
from docs.man_page import man_page
from docs.openapi import document
from docs.python_client import python_client, python_operations
from docs.vectors import vectors
from imgsvc.settings import ServeSettings
from jobs_service.settings import JobsSettings
from service_kit.settings import CommonSettings
from storage_service.settings import StorageSettings
from transform_service.aliases import OTHER_FITS, PARTS, RENAMED, Alias
from transform_service.chain import parse
from transform_service.operations.base import Operation, load_operations
from transform_service.operations.resize import FITS
from transform_service.settings import TransformSettings

FOLDER = Path(__file__).parent
_NOTICE = "<!-- Written by `make docs` from the code. Do not edit. -->"
_INCLUDED = re.compile(r"(<!-- `make docs` includes (\S+) -->\n```\w+\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)


def operations() -> str:
    """The page about operations, from their docstrings and fields."""
    rows = [_operation(cls) for _, cls in sorted(load_operations().items())]
    aliases = [_alias(alias) for alias in (*PARTS.values(), *RENAMED)]
    fits = [f"| `{fit}` | {_listed(other for other, ours in OTHER_FITS.items() if ours == fit)} |" for fit in FITS]
    return f"""{_NOTICE}

# Operations

Operations are `name=arguments` pairs in the query. They run strictly from left to right, and a name
may repeat. `preset=NAME` inserts the operations of that preset (see `PRESETS`). Before the first
operation, the EXIF orientation is applied and colours become sRGB. To see how the service would run
a chain, use `imgsvc explain 'rotate=90&thumb=300' photo.jpg` (in this folder, `.venv/bin/imgsvc`).

| operation | effect | arguments | examples |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## Other spellings

These names, which other services use, become the operations above before anything else happens.
The result is that of the long form, with the same `ETag`.

| name | becomes | example | the same as |
| --- | --- | --- | --- |
{chr(10).join(aliases)}

`w`, `h`, `fit` and `dpr` of a query become one `resize`, at the place of the first side, wherever the
others are. `dpr` multiplies both sides. `fit` takes what `resize` takes after the box; `enlarge` is
part of that (`fit=cover,enlarge`), because nothing is enlarged otherwise. It knows other names as
well:

| fit | other names |
| --- | --- |
{chr(10).join(fits)}

`fill` and `contain` mean what they mean in CSS, sharp and weserv. imgix's `fill` is `contain` here,
and Cloudflare's `contain` is `inside`.

## Parameters that are not operations

- `format=webp` or `fm=webp` is the format of the output, like an extension. A path with another
  extension is refused.
- `download=NAME` makes browsers save the image as NAME instead of showing it. The name gets the
  extension of the output format, so that no link saves a program, and loses what file systems do
  not allow. Without a NAME (`download`, `download=1`), the file is named after the image. The
  image itself, its `ETag` and its cached result stay the same.
- `v` and `t` are cache busters: another value is another URL for caches, and nothing else changes.
- `utm_*`, `gclid` and `fbclid` are ignored.
- `widths`, `presets`, `key`, `expires` and `signature` are the end of a [signed URL](signed-urls.md).
"""


def configuration() -> str:
    """The page about settings, from their fields."""
    parts = [
        ("All services", CommonSettings, ()),
        ("Storage service", StorageSettings, CommonSettings.model_fields),
        ("Transform service", TransformSettings, CommonSettings.model_fields),
        ("Jobs service", JobsSettings, CommonSettings.model_fields),
        ("`imgsvc serve` and `make run`", ServeSettings, ()),
    ]
    sections = [_settings(title, cls, set(without)) for title, cls, without in parts]
    return f"""{_NOTICE}

# Configuration

Every setting is an environment variable. `imgsvc serve` reads those of the storage and the transform service. Sizes in
bytes can have a unit, as in `64MiB` (binary) or `100MB` (decimal).

If a value is invalid, or a variable of six letters or more is one letter away from a setting, the
service does not start. It prints one line for each mistake, which says what to change.

{chr(10).join(sections)}"""


def signed_urls() -> str:
    """The page about signed URLs, with the recipes as they are now."""
    page = (FOLDER / "signed-urls.md").read_text()
    return _INCLUDED.sub(lambda found: found[1] + (FOLDER / found[2]).read_text(), page)


def openapi() -> str:
    """The OpenAPI document."""
    return json.dumps(document(), indent=1) + "\n"


def chains() -> str:
    """The JSON Schema of chains."""
    return json.dumps(chain_schema(), indent=1) + "\n"


def console_client() -> str:
    """The JavaScript client in one file, for the console: so it is in the wheel and the containers, and is small.

    Without comments, which are in clients/javascript.
    """
    folder = FOLDER.parent / "clients/javascript/src"
    files = [_NOT_IN_ONE_FILE.sub("", (folder / name).read_text()).strip() for name in _IN_THEIR_ORDER]
    return "\n\n".join(["// The JavaScript client. Written by `make docs`; do not edit.", *files]) + "\n"


_NOT_IN_ONE_FILE = re.compile(r"^(?: */\*\* .* \*/|import .*| *//.*)\n", re.MULTILINE)
_IN_THEIR_ORDER = ("errors.js", "signing.js", "operations.js", "chains.js", "client.js")


def names_of_settings() -> str:
    """What has an effect in .env (`env`), in settings.env (`settings`) and in neither (`fixed`), for keys/create."""
    files = [path for path in sorted(FOLDER.parent.glob("docker-compose*.yml")) if "override" not in path.name]
    env = {*re.findall(r"\$\{([A-Z0-9_]+)", "".join(file.read_text() for file in files)), *_OF_COMPOSE}
    services = yaml.safe_load((FOLDER.parent / "docker-compose.yml").read_text())["services"]
    settings, known = set(), {name.upper() for name in JobsSettings.model_fields}
    for cls, service in ((StorageSettings, "storage"), (TransformSettings, "transform")):
        fields = {name.upper() for name in cls.model_fields}
        settings |= fields - {*services[service]["environment"]}
        known |= fields
    kinds = (("env", env), ("settings", settings), ("fixed", known - env - settings))
    return "".join(f"{kind} {name}\n" for kind, names in kinds for name in sorted(names))


_OF_COMPOSE = ("APP_ENV", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "PORT")


def _with_notice(page: Callable[[], str]) -> Callable[[], str]:
    return lambda: f"{_NOTICE}\n\n{page()}"


DOCUMENTS = {
    "docs/operations.md": operations,
    "docs/configuration.md": configuration,
    "docs/http-api.md": _with_notice(http_api),
    "docs/errors.md": _with_notice(error_list),
    "docs/signed-urls.md": signed_urls,
    "docs/recipes/vectors.json": vectors,
    "docs/imgsvc.1": man_page,
    "clients/python/imgsvc_client/_operations.py": python_operations,
    "clients/python/imgsvc_client/sync_client.py": python_client,
    "clients/javascript/src/operations.js": javascript_operations,
    "clients/javascript/src/operations.d.ts": javascript_types,
    "pages/static/console/client.js": console_client,
    "keys/names": names_of_settings,
    "pages/static/openapi.json": openapi,
    "pages/static/chain.schema.json": chains,
}
"""By their paths in the repository."""


def _operation(cls: type[Operation]) -> str:
    arguments = ", ".join(f"`{name}`{_bounds(field.metadata)}" for name, field in cls.model_fields.items()) or "none"
    examples = ", ".join(f"`{example}`" for example in cls.examples)
    return f"| `{cls.name}` | {' '.join((cls.__doc__ or '').split())} | {arguments} | {examples} |"


def _alias(alias: Alias) -> str:
    chain = parse(alias.example, max_operations=20)
    parameters = [f"{name}={value}" for name, value in chain.parameters.items()]
    same = "&".join([*map(str, chain.operations), *parameters])
    return f"| {_listed(alias.names)} | `{alias.of}` | `{alias.example}` | `{same}` |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _bounds(metadata: list[object]) -> str:
    least = next((rule.ge for rule in metadata if hasattr(rule, "ge")), None)
    most = next((rule.le for rule in metadata if hasattr(rule, "le")), None)
    return "" if least is None else f" ({least} to {most})"


def _settings(title: str, cls: type[BaseSettings], without: set[str]) -> str:
    rows = [
        f"| `{name.upper()}` | {_default(name, field.default)} | {field.description} |"
        for name, field in cls.model_fields.items()
        if name not in without
    ]
    return "\n".join([f"## {title}", "", "| variable | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _default(name: str, value: object) -> str:
    fixed = {"renderers": "number of cores", "spool_dir": "a folder of this user in the temporary folder"}
    if name in fixed:
        return fixed[name]
    if isinstance(value, ByteSize) and value:
        return f"`{value.human_readable(decimal=False, separator='').replace('.0', '')}`"
    if isinstance(value, frozenset):
        return f"`{sorted(value)}`"
    return {"": "empty", "()": "`[]`", "None": "none"}.get(str(value), f"`{value}`")


def main() -> None:
    """Write all documents."""
    for name, write in DOCUMENTS.items():
        (FOLDER.parent / name).write_text(write())
        print(name)


if __name__ == "__main__":
    main()
