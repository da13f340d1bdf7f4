"""What the command says when it cannot measure, and that locust stays out of its process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import locust_process
from tests.loadtests.running import loadtests
from tests.servers import ROOT, free_port


def one_line(stderr: str) -> str:
    (line,) = stderr.strip().splitlines()
    return line


@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_is_down_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = loadtests("--target", url, "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith(f"loadtests: the target {url} does not answer: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_is_not_a_url_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = loadtests("--target", "127.0.0.1:8080", "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("loadtests: '127.0.0.1:8080' is not a target; give only scheme, host")


def test_missing_photos_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = loadtests("--target", "http://127.0.0.1:1", "--wallpapers", tmp_path, "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("loadtests: there are no photos in ")


@pytest.mark.usefixtures("wallpapers")
def test_without_docker_it_says_what_to_do(tmp_path: Path) -> None:
    done = loadtests("--reports", tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 2
    assert one_line(done.stderr) == (
        "loadtests: no Docker Engine answers; start one, set DOCKER_HOST, or give a TARGET"
    )


@pytest.mark.parametrize("option", ["--reports", "--files"])
@pytest.mark.usefixtures("wallpapers")
def test_a_folder_that_is_a_file_is_reported_before_anything_starts(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = loadtests("--reports", tmp_path, "--files", tmp_path, option, tmp_path / "file")
    assert done.returncode == 2
    assert one_line(done.stderr) == (
        f"loadtests: {option}: {tmp_path}/file is not a writable folder: File exists; use another one"
    )
    assert not done.stdout


def test_a_spike_that_is_too_short_is_an_error() -> None:
    done = loadtests("--shape", "spike", "--seconds", 1)
    assert done.returncode == 2
    assert done.stderr.endswith("error: --seconds of a spike, before and after it together, must be at least 20\n")


def test_locust_is_killed_if_it_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_process, "_STOP_SECONDS", 0.1)
    process = subprocess.Popen(["sleep", "60"])
    waits = iter([KeyboardInterrupt])
    wait = process.wait

    def interrupted(timeout: float | None = None) -> int:
        for error in waits:
            raise error
        return wait(timeout)

    monkeypatch.setattr(process, "wait", interrupted)
    with pytest.raises(locust_process.NothingMeasured, match="locust did not stop within"):
        locust_process._wait(process)
    assert wait(5) == -signal.SIGKILL


def test_help_lists_shapes_and_exit_codes() -> None:
    done = loadtests("--help")
    assert done.returncode == 0
    for word in ("steady", "ramp", "spike", "soak", "cold", "exit codes", "--target", "--users"):
        assert word in done.stdout


def test_locust_patches_only_its_own_processes() -> None:
    code = "import loadtests.__main__, sys; sys.exit('gevent' in sys.modules or 'locust' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_fault_that_would_start_too_late_is_an_error(tmp_path: Path) -> None:
    done = loadtests("--fault", "stop-redis", "--seconds", 20, "--warm-up", 5, "--reports", tmp_path)
    assert done.returncode == 2
    assert "--fault-after 40 plus --fault-seconds 15 end after the run, which lasts 25 s" in done.stderr
