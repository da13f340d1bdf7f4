"""The TLS proxy: HTTP/2, methods, redirects, renewal, and its own errors."""

import filecmp
import http.client
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pictures
from tests.servers import ROOT, free_port
from tests.tls.proxy import Proxy, proxy, service, write_certificate

STATUS = ("-w", "%{http_version} %{http_code} %{content_type}")
NOWHERE = ("-o", "/dev/null")


@pytest.fixture(scope="module")
def varnish_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with service(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="module")
def tls(varnish_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("proxy") / "open", varnish_port) as started:
        yield started


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large JPEG, so that transfers take as long as a test wants."""
    file = tmp_path_factory.mktemp("photo") / "photo.jpg"
    file.write_bytes(pictures.of_size(12_000_000))
    return file


@pytest.fixture(scope="module")
def image_id(tls: Proxy, photo: Path) -> str:
    done = tls.curl("--http2", "-F", f"image=@{photo}", f"{tls.url}/v1/images")
    return str(json.loads(done.stdout)["image_id"])


def problem(tls: Proxy, *arguments: str | Path) -> tuple[int, str]:
    """The status and the detail of a problem response, which must have the common headers."""
    printed = tls.curl("-i", "--http1.1", *arguments).stdout.decode()
    head, _, body = printed.rpartition("\r\n\r\n")
    headers = head.rpartition("\r\n\r\n")[2].lower()
    described = json.loads(body)
    assert "content-type: application/problem+json" in headers
    assert "cache-control: no-store" in headers
    assert "api-version: 1" in headers
    assert f"x-request-id: {described['request_id']}" in headers
    assert headers.split()[1] == str(described["status"])
    assert described["error"] == described["detail"]
    return described["status"], described["detail"]


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_clients_may_speak_both_versions_of_http(tls: Proxy, image_id: str, photo: Path, version: str) -> None:
    speak = f"--http{version}"
    upload = tls.curl(speak, *STATUS, "-F", f"image=@{photo}", *NOWHERE, f"{tls.url}/v1/images")
    assert upload.stdout.decode() == f"{version} 201 application/json; charset=utf-8"
    small = tls.curl(speak, *STATUS, *NOWHERE, f"{tls.url}/v1/images/{image_id}.webp?thumb=64&blur=2")
    assert small.stdout.decode() == f"{version} 200 image/webp"
    assert tls.curl(speak, f"{tls.url}/v1/images/{image_id}").stdout == photo.read_bytes()


def idle(tls: Proxy, *pauses: float) -> list[bool]:
    """Whether a connection still answers after each pause."""
    context = ssl.create_default_context(cafile=str(tls.certificates / "fullchain.pem"))
    connection = http.client.HTTPSConnection("localhost", tls.https, context=context, timeout=10)
    connection.request("GET", "/cache/healthcheck")
    connection.getresponse().read()
    connection.auto_open = 0
    found = []
    for pause in pauses:
        time.sleep(pause)
        try:
            connection.request("GET", "/cache/healthcheck")
            connection.getresponse().read()
            found.append(True)
        except (OSError, http.client.HTTPException):
            found.append(False)
    connection.close()
    return found


def test_idle_connections_stay_open_for_keepalive_seconds(varnish_port: int, tls: Proxy, tmp_path: Path) -> None:
    with proxy(tmp_path / "proxy", varnish_port, KEEPALIVE_SECONDS="2") as started:
        assert idle(started, 0.5, 5) == [True, False]
    assert idle(tls, 5) == [True]


def test_tls_below_1_2_is_refused(tls: Proxy) -> None:
    context = ssl.create_default_context(cafile=tls.certificates / "fullchain.pem")
    for version, allowed in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with socket.create_connection(("localhost", tls.https)) as connection:
            try:
                with context.wrap_socket(connection, server_hostname="localhost"):
                    assert allowed
            except ssl.SSLError:
                assert not allowed


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "PURGE", "TRACE"])
def test_a_public_that_may_only_read_gets_405_for_anything_else(
    varnish_port: int, image_id: str, photo: Path, tmp_path: Path, method: str
) -> None:
    with proxy(tmp_path / "reading", varnish_port, WRITERS="127.0.0.7,::7") as tls:
        url = f"{tls.url}/v1/images/{image_id}"
        body = ("-F", f"image=@{photo}") if method == "POST" else ()
        assert problem(tls, "-X", method, *body, url) == (
            405,
            "this method is not allowed here; allowed methods: GET, HEAD",
        )
        assert tls.curl("--http2", "-X", method, *body, *STATUS, *NOWHERE, url).stdout[:5] == b"2 405"
        for reading in ("-I", "-G"):
            assert tls.curl("--http2", reading, *STATUS, *NOWHERE, url).stdout.decode() == "2 200 image/jpeg"


def test_writers_may_do_everything(varnish_port: int, photo: Path, tmp_path: Path) -> None:
    for number, writers in enumerate(("127.0.0.6,127.0.0.7", "127.0.0.4/30 10.0.0.0/8", "all", "none")):
        with proxy(tmp_path / str(number), varnish_port, WRITERS=writers) as tls:
            sent = ("-F", f"image=@{photo}", *STATUS, *NOWHERE, f"{tls.url}/v1/images")
            accepted = [tls.curl("--interface", f"127.0.0.{n}", *sent).stdout[2:5] == b"201" for n in (7, 9)]
            assert accepted == {"all": [True, True], "none": [False, False]}.get(writers, [True, False])


def test_http_is_redirected_with_path_query_and_method(tls: Proxy) -> None:
    plain = f"http://localhost:{tls.http}/v1/images/x.webp?thumb=3&blur=%31"
    for method in ("GET", "POST"):
        done = tls.curl("-X", method, "-w", "%{http_code} %{redirect_url}", *NOWHERE, plain)
        assert done.stdout.decode() == f"308 {tls.url}/v1/images/x.webp?thumb=3&blur=%31"
    with socket.create_connection(("localhost", tls.http)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").readline().split()[1] == b"400"


def test_the_proof_of_the_domain_comes_from_the_webroot(tls: Proxy) -> None:
    folder = tls.certificates / "webroot/.well-known/acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("token.thumbprint")
    url = f"http://localhost:{tls.http}/.well-known/acme-challenge"
    assert tls.curl(f"{url}/token").stdout == b"token.thumbprint"
    for elsewhere in ("", "/", "/other", "/../../../fullchain.pem", "/..%2f..%2f..%2fprivkey.pem"):
        done = tls.curl("--path-as-is", "-w", "%{http_code}", *NOWHERE, url + elsewhere)
        assert done.stdout in {b"404", b"308", b"400"}, elsewhere


def serial(tls: Proxy) -> str:
    """The subject of the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("localhost", tls.https)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        return str(secured.getpeercert(binary_form=True))


_TO_REPEAT = 16
"""curl's code for a connection that nginx ends (GOAWAY) before the first request on it, if its worker is just leaving.
Browsers repeat such a request by themselves (RFC 9113, section 6.8)."""


def test_a_renewal_breaks_no_connection(varnish_port: int, image_id: str, photo: Path, tmp_path: Path) -> None:
    with proxy(tmp_path / "renewed", varnish_port) as tls:
        before = serial(tls)
        # 12 MB at 1.5 MB/s: eight seconds, in which there are several renewals.
        slow = ("-k", "--http2", "--limit-rate", "1500k")
        transfers = [
            subprocess.Popen(tls.command(*slow, "-o", tmp_path / f"{n}.jpg", f"{tls.url}/v1/images/{image_id}"))
            for n in range(4)
        ]
        transfers += [
            subprocess.Popen(tls.command(*slow, "-f", "-F", f"image=@{photo}", *NOWHERE, f"{tls.url}/v1/images"))
            for _ in range(2)
        ]
        asked = 0
        for number in itertools.count():
            if all(transfer.poll() is not None for transfer in transfers):
                break
            if number % 20 == 19:  # when the transfers have begun
                write_certificate(tls.certificates, f"renewal-{number}")
            ask = ("-k", "--http2", *STATUS, *NOWHERE, f"{tls.url}/v1/images/{image_id}.webp?thumb=64")
            done = tls.curl(*ask)
            if done.returncode == _TO_REPEAT:
                done = tls.curl(*ask)
            assert (done.returncode, done.stdout) == (0, b"2 200 image/webp"), done.stderr
            asked += 1
        assert [transfer.returncode for transfer in transfers] == [0] * 6
        assert asked > 20
        assert all(filecmp.cmp(tmp_path / f"{n}.jpg", photo, shallow=False) for n in range(4))
        assert tls.log.read_text().count("the certificate has changed") >= 2
        assert serial(tls) != before


def test_half_a_renewal_changes_nothing_until_the_other_half_is_there(varnish_port: int, tmp_path: Path) -> None:
    with proxy(tmp_path / "half", varnish_port) as tls:
        before = serial(tls)
        write_certificate(tmp_path / "new", "new")
        (tmp_path / "new/fullchain.pem").rename(tls.certificates / "fullchain.pem")
        tls.says("do not belong together; continuing with the ones before")
        assert serial(tls) == before
        (tmp_path / "new/privkey.pem").rename(tls.certificates / "privkey.pem")
        tls.says("the certificate has changed")
        while serial(tls) == before:
            pass
        assert tls.curl(*STATUS, *NOWHERE, f"{tls.url}/cache/healthcheck").stdout == b"2 200 application/json"


def test_a_stop_lets_transfers_finish(varnish_port: int, image_id: str, photo: Path, tmp_path: Path) -> None:
    with proxy(tmp_path / "stopped", varnish_port) as tls:
        target = tmp_path / "got.jpg"
        transfer = subprocess.Popen(
            tls.command("--http2", "--limit-rate", "3M", "-o", target, f"{tls.url}/v1/images/{image_id}")
        )
        while not target.exists():
            assert transfer.poll() is None
        tls.process.send_signal(signal.SIGTERM)
        assert tls.process.wait(30) == 0
        assert transfer.wait(30) == 0
        assert filecmp.cmp(target, photo, shallow=False)


def test_its_own_errors_look_like_all_others(tls: Proxy, image_id: str, tmp_path: Path) -> None:
    url = f"{tls.url}/v1/images/{image_id}"
    long = problem(tls, f"{url}?{'a' * 9000}")
    assert long == (414, "the URL is too long; shorten the chain of operations"), "the parts behind it explain this"
    assert problem(tls, "-H", f"X: {'a' * 60_000}", url)[0] == 431
    with proxy(tmp_path / "alone", 0, VARNISH=f"127.0.0.1:{free_port()}") as alone:
        assert problem(alone, f"{alone.url}/v1/images/{image_id}") == (
            502,
            "the service does not answer; retry in a second",
        )
        assert (
            alone.curl(*STATUS, *NOWHERE, f"http://127.0.0.1:{alone.health}/tls/healthcheck").stdout[:7] == b"1.1 200"
        )


def refused(folder: Path, **settings: str) -> tuple[int, list[str]]:
    environment = {
        **os.environ,
        "CERTIFICATES": str(folder),
        "RUN": str(folder / "run"),
        "VARNISH": "127.0.0.1",
        **settings,
    }
    done = subprocess.run(
        [str(ROOT / "tls/start")], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("tls: ")]


def test_a_start_that_cannot_work_says_why(tmp_path: Path) -> None:
    code, (said,) = refused(tmp_path)
    assert (code, "fullchain.pem and privkey.pem as user" in said) == (2, True)
    write_certificate(tmp_path)
    code, (said,) = refused(tmp_path, WRITERS="10.0.0.0/8,everyone")
    assert (code, "WRITERS='10.0.0.0/8,everyone'" in said) == (2, True)
    code, (said,) = refused(tmp_path, HTTPS_PORT="https")
    assert (code, "HTTPS_PORT='https'" in said) == (2, True)
    code, (said,) = refused(tmp_path, KEEPALIVE_SECONDS="10m")
    assert (code, "KEEPALIVE_SECONDS='10m'" in said) == (2, True)
    write_certificate(tmp_path / "other")
    (tmp_path / "other/privkey.pem").rename(tmp_path / "privkey.pem")
    code, (said,) = refused(tmp_path)
    assert (code, "belong together" in said) == (2, True)
