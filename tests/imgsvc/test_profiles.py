"""Which service a command talks to, and with which key."""

from pathlib import Path

import pytest

from tests.imgsvc.command_line import CommandLine
from tests.imgsvc.test_commands import answering

_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 31\r\nConnection: close\r\n\r\n{"images": [], "cursor": null} '


def _write(home: Path, text: str) -> Path:
    file = home / ".config/imgsvc/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_options_come_before_the_environment_and_that_before_the_default_profile(tmp_path: Path) -> None:
    shell = CommandLine(tmp_path)
    with answering(_ANSWER) as (url, asked), answering(_ANSWER) as (other, elsewhere):
        _write(
            tmp_path,
            f'default = "home"\n[profiles.home]\nurl = "{url}"\nkey = "ik_home"\nspace = "mine"\n'
            f'[profiles.work]\nurl = "{other}"\nkey = "ik_work"\n',
        )
        shell.ok("list")
        assert b"GET /v1/images?limit=200&space=mine" in asked[-1]
        assert b"Authorization: Bearer ik_home" in asked[-1]
        shell.ok("list", "--profile", "work")
        shell.ok("list", IMGSVC_PROFILE="work")
        shell.ok("list", "--profile", "work", IMGSVC_URL=url, IMGSVC_KEY="ik_other")
        assert [b"Bearer ik_work" in request for request in elsewhere] == [True] * 3
        shell.ok("list", "--url", other)
        assert b"Bearer" not in elsewhere[-1], "the key of a profile goes to the service of that profile only"
        shell.ok("list", IMGSVC_URL=other, IMGSVC_KEY="ik_other")
        assert b"Bearer ik_other" in elsewhere[-1]
        assert (len(asked), len(elsewhere)) == (1, 5)


def test_the_port_of_the_service_is_that_of_the_environment(tmp_path: Path) -> None:
    shell = CommandLine(tmp_path)
    with answering(_ANSWER) as (url, asked):
        shell.ok("list", PORT=url.rpartition(":")[2])
        assert asked[-1].startswith(b"GET /v1/images?limit=200 ")
    image = f"/v1/images/{'0' * 32}"
    for port in ("", "0"):
        assert shell.ok("url", "0" * 32, PORT=port).out == f"http://127.0.0.1:8080{image}\n"
    assert shell.ok("url", "0" * 32, PORT="9", IMGSVC_URL=url).out == f"{url}{image}\n"


def test_a_file_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    with answering(_ANSWER) as (url, _):
        file = _write(tmp_path, f'default = "a"\n[profiles.a]\nurl = "{url}"\n')
        nothing = "imgsvc: no images match\n"
        assert CommandLine(tmp_path).ok("list").err == nothing
        file.chmod(0o644)
        said = f"imgsvc: warning: {file} has keys, and others can read it; run `chmod 600 {file}`\n"
        assert CommandLine(tmp_path).ok("list").err == said + nothing


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("[profiles", (), "{file} is not TOML: "),
        ("[profiles.a]\n", ("--profile", "b"), "there is no profile 'b' in {file}; it has a"),
        ('default = "b"\n', (), "there is no profile 'b' in {file}"),
        ("[profiles.a]\nuri = 'x'\n", ("--profile", "a"), "{file}: `uri` of the profile 'a' is none of url, key, "),
        ("profiles = 1\n", (), '{file}: write `default = "NAME"` and `[profiles.NAME]`'),
    ],
)
def test_mistakes_in_the_file_are_explained(tmp_path: Path, text: str, options: tuple[str, ...], said: str) -> None:
    file = _write(tmp_path, text)
    done = CommandLine(tmp_path).run("list", *options)
    assert (done.code, done.err.startswith(f"imgsvc: {said.format(file=file)}")) == (2, True), done.err


def test_a_profile_without_a_file_is_explained(tmp_path: Path) -> None:
    done = CommandLine(tmp_path).run("list", "--profile", "work")
    file = tmp_path / ".config/imgsvc/config.toml"
    assert (done.code, done.err) == (
        2, f"imgsvc: there is no profile 'work', since {file} does not exist; write it\n",
    )  # fmt: skip
