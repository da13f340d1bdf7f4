"""The command `imgsvc precompute`. It is `python -m imgsvc precompute` in the container of the storage service."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from service_kit.errors import BadRequest, NotAcceptable, NotFound, URITooLong
from service_kit.settings import Settings, read_settings
from service_kit.usage import LONGEST_CHAIN
from storage_service.administration import Office, exit_codes, print_table
from storage_service.blobs import Blobs
from storage_service.jobs import Jobs
from storage_service.precomputed import MOST_CHAINS, Precomputed, PrecomputedChain
from storage_service.settings import StorageSettings
from storage_service.variants import Variants
from transform_service.chain import canonical, parse_canonical, parse_presets
from transform_service.settings import TransformSettings

DESCRIPTION = """\
Render chains of operations before anyone asks, next to running services: for each upload from now on, and for all
earlier images, when nobody needs the cores. `imgsvc usage` says which chains are worth it. With
PRECOMPUTE_AUTOMATICALLY=true, the service itself adds and removes chains; those that you add stay.
"""
_CHAIN = "format and operations, as in a URL behind the ID: 'webp?thumb=300&blur=2'"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description, parser.epilog = DESCRIPTION, exit_codes("1 the chain is not precomputed; ")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = commands.add_parser("add", help="precompute a chain")
    add.add_argument("chain", metavar="CHAIN", help=_CHAIN)
    add.set_defaults(act=_add)
    remove = commands.add_parser("remove", help="stop precomputing a chain, and remove its variants")
    remove.add_argument("chain", metavar="CHAIN", help=_CHAIN)
    remove.set_defaults(act=_remove)
    listed = commands.add_parser("list", help="list the chains")
    listed.set_defaults(act=_list)
    status = commands.add_parser("status", help="show how far earlier images are, and what is stored")
    status.set_defaults(act=_status)
    for command in (add, remove, listed, status):
        command.add_argument("--json", action="store_true", help="print JSON")


async def _add(office: Office, options: argparse.Namespace) -> None:
    chain = _checked(options.chain)
    precomputed = Precomputed(office.metadata)
    there = await precomputed.chains()
    if chain not in there and len(there) >= MOST_CHAINS:
        raise BadRequest(f"{MOST_CHAINS} chains are precomputed, which is the limit; remove one first")
    await precomputed.add(chain)
    known = f"{chain} is precomputed already; earlier images are checked again"
    said = known if chain in there else f"{chain} is precomputed from now on"
    print(json.dumps({"chain": chain}) if options.json else said)


async def _remove(office: Office, options: argparse.Namespace) -> None:
    chain = _checked(options.chain)
    if not await Precomputed(office.metadata).remove(chain):
        raise NotFound(f"{chain} is not precomputed; see `imgsvc precompute list`")
    said = f"{chain} is not precomputed any more; its variants are removed soon"
    print(json.dumps({"chain": chain}) if options.json else said)


async def _list(office: Office, options: argparse.Namespace) -> None:
    chains = [each for each in await Precomputed(office.metadata).all() if not each.leaving]
    if options.json:
        print(json.dumps({"chains": [_described(each) for each in chains]}, indent=2))
    elif chains:
        rows = [(each.chain, _day(each), "the service" if each.automatic else "an operator") for each in chains]
        print_table([("CHAIN", "SINCE", "ADDED BY"), *rows])
    else:
        print("no chains are precomputed")


async def _status(office: Office, options: argparse.Namespace) -> None:
    waiting, _ = await Jobs(office.metadata).waiting()
    settings = _settings(StorageSettings)
    variants = Variants(office.metadata, Blobs(settings.blobs), settings.variant_bytes)
    query = "SELECT about, count(*), sum(bytes) FROM variants WHERE version = $1 GROUP BY about"
    stored = await office.metadata.fetch(query, variants.version)
    counts = {about: (int(number), int(size)) for about, number, size in stored}
    chains: list[dict[str, Any]] = []
    for each in await Precomputed(office.metadata).all():
        number, size = counts.pop(each.chain, (0, 0))
        queued = await _progress(office, each)
        chains.append(_described(each) | {"queued": queued, "variants": number, "bytes": size})
    number, size = (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0)
    failed = await Jobs(office.metadata).number_failed()
    if options.json:
        others = {"variants": number, "bytes": size}
        space = {"bytes": await variants.bytes(), "limit": variants.limit, "full": await variants.is_full()}
        report = {"chains": chains, "others": others, "all": space, "jobs": waiting, "failed": failed}
        print(json.dumps(report, indent=2))
        return
    if chains:
        print_table([("CHAIN", "QUEUED", "VARIANTS", "MB"), *map(_row, chains)])
    if await variants.is_full():
        print("VARIANT_BYTES is full: earlier images wait until there is room")
    used = f"{await variants.bytes() / 1e6:.1f} of {variants.limit / 1e6:.1f} MB used"
    other = f"{number} other variant{'s' * (number != 1)} ({size / 1e6:.1f} MB)"
    print(f"{other}, {used}, {waiting} job{'s' * (waiting != 1)} waiting, {failed} failed")


def _row(chain: dict[str, Any]) -> tuple[str, ...]:
    queued = "removing" if chain["removing"] else f"{chain['queued']:.0%}"
    return chain["chain"], queued, str(chain["variants"]), f"{chain['bytes'] / 1e6:.1f}"


async def _progress(office: Office, chain: PrecomputedChain) -> float:
    """Which share of the earlier images has got a job."""
    if chain.place is None:
        return 1.0
    query = "SELECT count(*), sum(CASE WHEN sha256 <= $1 THEN 1 ELSE 0 END) FROM images WHERE deleted_at IS NULL"
    ((images, passed),) = await office.metadata.fetch(query, chain.place)
    return int(passed or 0) / int(images) if images else 0.0


def _described(chain: PrecomputedChain) -> dict[str, Any]:
    return {
        "chain": chain.chain,
        "added_at": datetime.fromtimestamp(chain.added_at, UTC).isoformat(timespec="seconds"),
        "automatic": chain.automatic,
        "removing": chain.leaving,
    }


def _day(chain: PrecomputedChain) -> str:
    return f"{datetime.fromtimestamp(chain.added_at, UTC):%Y-%m-%d %H:%M}"


def _settings(kind: type[Settings]) -> Settings:
    (settings,) = read_settings(kind)
    return settings


def _checked(text: str) -> str:
    """The canonical text of a chain. Raises BadRequest with the place marked."""
    name = text.removeprefix(".").partition("?")[0]
    if name == "auto":
        raise BadRequest("`auto` becomes a format only with a browser; add `webp?…` and `avif?…`")
    if not name or not name.isalnum():
        raise BadRequest("a chain begins with a format, as in 'webp?thumb=300'; leave out what precedes it in a URL")
    settings = _settings(TransformSettings)
    if not _settings(StorageSettings).variant_bytes:
        raise BadRequest("VARIANT_BYTES is 0, so no variants are stored; raise it first")
    presets = parse_presets(settings.presets, max_operations=settings.max_operations)
    try:
        operations, fmt = parse_canonical(text, max_operations=settings.max_operations, presets=presets)
        _ = fmt.encoder
    except (NotAcceptable, URITooLong) as error:
        raise BadRequest(error.detail) from error
    chain = canonical(operations, fmt)
    if len(chain) > LONGEST_CHAIN:
        raise BadRequest(f"the chain has {len(chain)} characters; the limit is {LONGEST_CHAIN}")
    return chain
