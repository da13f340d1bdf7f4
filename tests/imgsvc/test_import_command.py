"""`imgsvc import`: a manifest of what went where, that a later run goes on from."""

import contextlib
import fcntl
import functools
import hashlib
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from tests import pictures, servers
from tests.imgsvc.command_line import CommandLine, Watch, numbered
from tests.imgsvc.test_upload_command import stored

LONG = bool(os.environ.get("LONG"))
NUMBER = int(os.environ.get("IMAGES", "100000")) if LONG else 200
MOST_BYTES = 150 * 1024**2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.fixture
def shell(service: servers.Served, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", service.url, folder=tmp_path)


def manifest(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.timeout(3 * 3600 if LONG else 120)
def test_a_killed_import_goes_on_stores_nothing_twice_and_takes_little_memory(tmp_path: Path) -> None:
    files = numbered(tmp_path / "photos", NUMBER)
    with servers.serve(tmp_path, LOG_LEVEL="WARNING") as service:
        shell = CommandLine(tmp_path / "home", service.url, folder=tmp_path)
        most = []
        with shell.on_terminal("import", "photos") as terminal:
            watch = Watch(terminal.process.pid)
            terminal.wait_for(NUMBER // 2, 3600 if LONG else 60)
            terminal.process.kill()
            most.append(watch.stop())
        done = len(manifest(tmp_path / "imgsvc-import.jsonl"))
        assert done >= NUMBER // 2
        with (tmp_path / "imgsvc-import.jsonl").open("a") as torn:
            torn.write('{"source": "half a li')
        with shell.on_terminal("import", "photos") as terminal:
            watch = Watch(terminal.process.pid)
            assert terminal.ended(3600 if LONG else 60) == 0, terminal.text[-2000:]
            most.append(watch.stop())
        assert f"{done:,} already there, 0 failed" in terminal.text
        assert stored(tmp_path / "data") == [(file.name, 1) for file in files]
        lines = manifest(tmp_path / "imgsvc-import.jsonl")
        assert {line["source"] for line in lines} == {str(file) for file in files}
        assert len(lines) == NUMBER == len({line["image_id"] for line in lines})
        assert f"0 imported, {NUMBER:,} already there, 0 failed" in shell.ok("import", "photos").err
        print(f"\n{NUMBER} images, resident bytes: {[f'{each / 1024**2:.0f} MiB' for each in most]}")
        assert max(most) < MOST_BYTES
    if LONG:
        shutil.rmtree(tmp_path / "photos")


def test_labels_and_failures_are_in_the_manifest_and_failures_are_tried_again(
    shell: CommandLine, tmp_path: Path
) -> None:
    numbered(tmp_path / "photos", 3)
    (tmp_path / "photos/bad.jpg").write_text("no image")
    (tmp_path / "photos/notes.txt").write_text("no image by its name")
    done = shell.run("import", "photos", "--manifest", "went.jsonl", "--tag", "archive", "--private", "--json")
    said = {"stored": 3, "known": 0, "failed": 1, "left_out": 1, "manifest": "went.jsonl"}
    assert (done.code, done.lines[-1]) == (1, said)
    lines = {str(line["source"]): line for line in manifest(tmp_path / "went.jsonl")}
    assert "not an image" in str(lines[f"{tmp_path}/photos/bad.jpg"]["error"])
    found = shell.ok("list", "--tag", "archive", "--visibility", "private", "--json").lines
    assert {image["image_id"] for image in found} == {line["image_id"] for line in lines.values() if "url" in line}
    (tmp_path / "photos/bad.jpg").write_bytes(pictures.jpeg())
    done = shell.ok("import", "photos", "--manifest", "went.jsonl", "--json")
    assert done.lines[-1] == said | {"stored": 1, "known": 3, "failed": 0}


def test_an_export_is_imported_with_its_labels(shell: CommandLine, tmp_path: Path) -> None:
    (file,) = numbered(tmp_path / "one", 1)
    labels = ["--title", "Sunset", "--tag", "sea", "--metadata", '{"sku": 7}', "--focus", "0.25,0.5", "--private"]
    (record,) = shell.ok("upload", file, *labels, "--json").lines
    shell.ok("export", "backup")
    shell.ok("delete", record["image_id"], "--yes")
    done = shell.ok("import", "backup", "--json").lines
    (restored,) = [line for line in done if line.get("exported_id") == record["image_id"]]
    (info,) = shell.ok("info", restored["image_id"], "--json").lines
    assert (info["title"], info["tags"], info["metadata"]) == ("Sunset", ["sea"], {"sku": 7})
    assert (info["focus"], info["visibility"]) == ({"x": 0.25, "y": 0.5}, "private")
    assert (info["original_filename"], info["sha256"]) == (file.name, record["sha256"])
    assert shell.ok("import", "backup", "--json").lines[-1]["stored"] == 0


def test_a_file_that_is_gone_does_not_stop_the_others(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 2)
    shell.ok("import", "photos", "--tag", "gone")
    shell.ok("export", "backup", "--tag", "gone")
    lost = next((tmp_path / "backup").rglob("*.jpg"))
    lost.unlink()
    done = shell.run("import", "backup", "--manifest", "again.jsonl")
    assert (done.code, "1 imported, 0 already there, 1 failed" in done.err) == (1, True)
    assert f"backup/{lost.parent.name}/{lost.name}: No such file or directory" in done.err
    (tmp_path / "backup/manifest.jsonl").write_text('{"file": "../photos/000/000000.jpg", "image_id": "1"}\n')
    done = shell.run("import", "backup")
    assert (done.code, done.err) == (2, "imgsvc: backup/manifest.jsonl, line 1 is not from `imgsvc export`\n")


def test_verify_stores_what_was_deleted_since(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 2)
    shell.ok("import", "photos")
    first = manifest(tmp_path / "imgsvc-import.jsonl")[0]
    shell.ok("delete", first["image_id"], "--yes")
    assert "0 imported, 2 already there" in shell.ok("import", "photos").err
    assert "1 imported, 1 already there" in shell.ok("import", "photos", "--verify").err
    assert "0 imported, 2 already there" in shell.ok("import", "photos", "--verify").err


def test_a_list_of_urls_is_imported(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "web", 2)
    with web_server(tmp_path / "web") as url:
        (tmp_path / "urls.txt").write_text(f"# photos\n{url}/000/000000.jpg\n\n{url}/000/000001.jpg\n{url}/none.jpg\n")
        done = shell.run("import", "urls.txt")
    assert (done.code, "2 imported, 0 already there, 1 failed" in done.err) == (1, True)
    assert f"imgsvc: {url}/none.jpg: the server answers 404" in done.err
    assert {line["source"] for line in manifest(tmp_path / "imgsvc-import.jsonl")} >= {f"{url}/000/000000.jpg"}


def test_a_bucket_is_imported(shell: CommandLine, s3_settings: dict[str, str]) -> None:
    config = {name.lower(): text for name, text in s3_settings.items()}
    store = from_url("s3://bucket", config=config, client_options={"allow_http": True})  # type: ignore[call-overload]
    obstore.put(store, "old/a/1.jpg", pictures.jpeg(40, 30))
    obstore.put(store, "old/2.png", bytes(pictures.noise(20, 30).pngsave_buffer()))
    obstore.put(store, "old/notes.txt", b"no image")
    obstore.put(store, "other/3.jpg", pictures.jpeg(41, 30))
    shell.variables = s3_settings
    done = shell.ok("import", "s3://bucket/old", "--json")
    assert {(line.get("source"), "image_id" in line) for line in done.lines[:-1]} == {
        ("s3://bucket/old/a/1.jpg", True), ("s3://bucket/old/2.png", True),
    }  # fmt: skip
    assert shell.ok("import", "s3://bucket/old", "--json").lines[-1]["known"] == 2


def test_stores_of_imbo_and_thumbor_are_imported_with_their_names(shell: CommandLine, tmp_path: Path) -> None:
    imbo = tmp_path / "imbo/c/h/r/christer/a/b/c/abcdef0123"
    imbo.parent.mkdir(parents=True)
    imbo.write_bytes(pictures.jpeg(33, 30))
    digest = hashlib.sha1(b"https://example.com/a.jpg").hexdigest()
    thumbor = tmp_path / "thumbor" / digest[:2] / digest[2:]
    thumbor.parent.mkdir(parents=True)
    thumbor.write_bytes(pictures.jpeg(34, 30))
    thumbor.with_name(f"{thumbor.name}.txt").write_text("the security key")
    (found,) = shell.ok("import", "imbo", "--kind", "imbo", "--json").lines[:-1]
    assert (found["imbo_user"], found["imbo_identifier"]) == ("christer", "abcdef0123")
    (found,) = shell.ok("import", "thumbor", "--kind", "thumbor", "--json").lines[:-1]
    assert found["thumbor_sha1"] == digest


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 2, "nowhere does not exist; name a folder, a file with URLs, or s3://BUCKET/PREFIX"),
        (("photos", "--kind", "imbo"), 2, "there are no images in photos; see --kind"),
        (("photos/000/000000.jpg",), 2, "photos/000/000000.jpg, line 1: "),
        (("photos", "--manifest", "photos/000/000000.jpg"), 2, "photos/000/000000.jpg is not a manifest of imgsvc"),
        (("photos", "--manifest", "no/folder.jsonl"), 1, "no/folder.jsonl: No such file or directory"),
        (("photos", "--kind", "tumbor"), 2, "invalid value for '--kind': 'tumbor' is not one of 'folder', 'export'"),
    ],
)
def test_what_cannot_be_imported_is_explained(
    shell: CommandLine, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    numbered(tmp_path / "photos", 1)
    done = shell.run("import", *arguments)
    assert (done.code, done.err[: len(said) + 8]) == (code, f"imgsvc: {said}")


def test_two_runs_do_not_share_a_manifest(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 1)
    with (tmp_path / "imgsvc-import.jsonl").open("w") as manifest:
        fcntl.flock(manifest, fcntl.LOCK_EX)
        done = shell.run("import", "photos")
    assert (done.code, done.err) == (
        2, "imgsvc: another run uses imgsvc-import.jsonl; wait for it, or name another file\n",
    )  # fmt: skip


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
