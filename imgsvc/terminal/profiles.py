"""Which service a command talks to, and with which key: options, environment and a file with profiles."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgsvc.terminal.failures import USAGE, Failure, complain

if TYPE_CHECKING:
    from imgsvc_client import Client

_FIELDS = ("url", "key", "signing_secret", "space")


@dataclass(frozen=True, slots=True)
class Service:
    """A service, and what it is to be told."""

    url: str
    key: str | None = None
    signing_secret: str | None = None
    space: str | None = None

    def client(self, retries: int = 2, timeout: float = 60.0) -> "Client":
        """A client of it."""
        from imgsvc_client import Client  # noqa: PLC0415  # takes a moment, and not all need it

        try:
            return Client(self.url, self.key, signing_secret=self.signing_secret, retries=retries, timeout=timeout)
        except ValueError as error:
            raise Failure(f"{error}; see --url, IMGSVC_URL and {config_file()}", USAGE) from error


def config_file() -> Path:
    """The file with profiles."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "imgsvc" / "config.toml"


def service(url: str | None, profile: str | None) -> Service:
    """The service that the options mean, or else the environment, or else the default profile."""
    environment = os.environ
    given = url or (None if profile else environment.get("IMGSVC_URL"))
    chosen = _profile(profile or environment.get("IMGSVC_PROFILE"), required=not given or bool(profile))
    if given and given.rstrip("/") != chosen.get("url", "").rstrip("/"):
        chosen = {}  # its key is for its own service only
    key = chosen.get("key") if profile else environment.get("IMGSVC_KEY") or chosen.get("key")
    secret = environment.get("SIGNING_SECRET") or chosen.get("signing_secret")
    return Service(
        given or chosen.get("url") or _local_url(), key or environment.get("IMGSVC_KEY"), secret, chosen.get("space")
    )


def _local_url() -> str:
    """The service that `imgsvc serve` starts with the same environment. With the port 0, it takes any."""
    port = os.environ.get("PORT", "").strip()
    return f"http://127.0.0.1:{port if port.strip('0') else 8080}"


def profile_names() -> list[str]:
    """All profiles, for completion."""
    try:
        return sorted(tomllib.loads(config_file().read_text()).get("profiles", {}))
    except (OSError, ValueError):
        return []


def _profile(name: str | None, *, required: bool) -> Mapping[str, str]:
    file = config_file()
    try:
        text = file.read_text()
    except FileNotFoundError:
        if name and required:
            raise Failure(f"there is no profile {name!r}, since {file} does not exist; write it", USAGE) from None
        return {}
    if file.stat().st_mode & 0o077:
        complain(f"warning: {file} has keys, and others can read it; run `chmod 600 {file}`")
    return _chosen(_parsed(file, text), name, file)


def _parsed(file: Path, text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{file} is not TOML: {error}", USAGE) from error


def _chosen(config: Mapping[str, object], name: str | None, file: Path) -> Mapping[str, str]:
    profiles = config.get("profiles", {})
    wanted = name or config.get("default")
    if not isinstance(profiles, dict) or not (wanted is None or isinstance(wanted, str)):
        raise Failure(f'{file}: write `default = "NAME"` and `[profiles.NAME]`', USAGE)
    if wanted is None:
        return {}
    if wanted not in profiles:
        known = f"; it has {', '.join(sorted(profiles))}" if profiles else ""
        raise Failure(f"there is no profile {wanted!r} in {file}{known}", USAGE)
    chosen = profiles[wanted]
    for field, value in chosen.items():
        if field not in _FIELDS or not isinstance(value, str):
            raise Failure(
                f"{file}: `{field}` of the profile {wanted!r} is none of {', '.join(_FIELDS)}, as text", USAGE
            )
    return dict(chosen)
