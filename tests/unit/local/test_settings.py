"""A stack that cannot start says so in one line that names the variable to change."""

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local.settings import HOST, StackSettings, check_port
from ops import StackError
from tests.local_stack import free_ports

PORTS = ("API_PORT", "CLOUD_PORT", "SITE_PORT")


@pytest.fixture
def environment(tmp_path):
    return {
        **{name: str(port) for name, port in zip(PORTS, free_ports(3), strict=True)},
        "STATE_DIR": str(tmp_path / "state"),
    }


def test_the_defaults_are_those_of_the_readme():
    settings = StackSettings.from_environment({})
    assert settings.api_url == "http://127.0.0.1:8000"
    assert settings.site_url == "http://127.0.0.1:8080"
    assert settings.cloud_url == "http://127.0.0.1:4566"
    assert settings.state_dir.name == ".local" and settings.state_dir.is_absolute()
    assert settings.workers == 2


def test_dashboard_port_is_another_name_for_site_port():
    assert StackSettings.from_environment({"DASHBOARD_PORT": "9000"}).site_port == 9000
    both = {"DASHBOARD_PORT": "9000", "SITE_PORT": "9001"}
    assert StackSettings.from_environment(both).site_port == 9001


@pytest.mark.parametrize("variable", ["API_PORT", "SITE_PORT", "CLOUD_PORT", "LOCAL_WORKERS"])
@pytest.mark.parametrize("value", ["0", "-1", "eighty", "65536", "8_0", "²"])
def test_a_wrong_value_is_refused_by_its_variable(variable, value):
    with pytest.raises(StackError, match=f"{variable}={value} "):
        StackSettings.from_environment({variable: value})


def test_a_port_in_use_is_refused_by_its_variable():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} is in use.*API_PORT"):
            check_port("API_PORT", port)


@pytest.mark.parametrize("variable", ["API_PORT", "SITE_PORT", "CLOUD_PORT"])
def test_nothing_is_written_where_a_port_is_in_use(environment, tmp_path, variable):
    with socket.socket() as taken:
        taken.bind((HOST, int(environment[variable])))
        taken.listen()
        with pytest.raises(StackError, match=variable):
            StackSettings.from_environment(environment).prepare()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [("CLOUD_PORT", "API_PORT"), ("CLOUD_PORT", "SITE_PORT"), ("API_PORT", "SITE_PORT")],
)
def test_one_port_for_two_things_is_refused(environment, one, other):
    environment[other] = environment[one]
    with pytest.raises(StackError, match=f"{one} and {other} are both {environment[one]}"):
        StackSettings.from_environment(environment).prepare()


def test_a_kept_state_belongs_to_its_cloud_port(environment):
    StackSettings.from_environment(environment).prepare().close()
    StackSettings.from_environment(environment).prepare().close()
    moved = environment | {"CLOUD_PORT": str(free_ports(1)[0])}
    with pytest.raises(StackError, match=f"belongs to CLOUD_PORT={environment['CLOUD_PORT']}"):
        StackSettings.from_environment(moved).prepare()


def test_the_templates_parameters_are_its_own_defaults_unless_named():
    kept = StackSettings.from_environment({}).parameters
    assert kept == {
        "AllowedOrigins": "http://127.0.0.1:8080,http://localhost:8080",
        "Access": "private",
    }
    given = {"QUIET_PERIOD": "0", "MIN_NEW_IMAGES": "3", "KEEP_UNSURE": "20"}
    named = StackSettings.from_environment(given).parameters
    assert (named["QuietPeriod"], named["MinNewImages"], named["KeepUnsure"]) == ("0", "3", "20")
    off = StackSettings.from_environment({"FETCH_YOUTUBE": "false"}).parameters
    assert off["FetchYouTube"] == "false"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QUIET_PERIOD", "901"),
        ("QUIET_PERIOD", "-1"),
        ("MIN_NEW_IMAGES", "0"),
        ("MIN_NEW_IMAGES", "100001"),
        ("KEEP_UNSURE", "1001"),
        ("LOCAL_AUTH", "yes"),
        ("FETCH_YOUTUBE", "no"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_variable(variable, value):
    with pytest.raises(StackError, match=f"{variable}={value} "):
        StackSettings.from_environment({variable: value})


def test_the_functions_get_the_variables_that_the_old_project_had_too():
    given = {"MAX_UPLOAD_SIZE": "5MB", "DEBUG_MODE": "True", "LOG_LEVEL": "x", "MODEL_PATH": "/x"}
    settings = StackSettings.from_environment(given)
    assert settings.of_functions == {"MAX_UPLOAD_SIZE": "5MB", "DEBUG_MODE": "True"}
    with pytest.raises(StackError, match=r"MAX_UPLOAD_SIZE='50MB': .* from 1,024 to 10,000,000"):
        StackSettings.from_environment(given | {"MAX_UPLOAD_SIZE": "50MB"})


@pytest.mark.parametrize(("text", "on"), [("", False), ("false", False), ("true", True)])
def test_permissions_are_enforced_where_that_is_asked_for(text, on):
    assert StackSettings.from_environment({"LOCAL_AUTH": text}).auth is on


def test_a_second_stack_in_the_same_folder_says_so_and_the_next_one_starts(environment):
    settings = StackSettings.from_environment(environment)
    with settings.prepare():
        other = environment | dict(zip(PORTS, map(str, free_ports(3)), strict=True))
        with pytest.raises(StackError, match=f"already runs in .* \\(process {os.getpid()}\\)"):
            StackSettings.from_environment(other).prepare()
    settings.prepare().close()


def test_a_start_waits_until_the_emulator_of_a_killed_stack_has_saved(environment, tmp_path):
    settings = StackSettings.from_environment(environment)
    settings.prepare().close()
    lock = tmp_path / "state" / "lock"
    saving = ["import fcntl, sys; held = open(sys.argv[1]); fcntl.flock(held, fcntl.LOCK_EX)"]
    saving.append("print('held', flush=True); sys.stdin.read(1)")
    with subprocess.Popen(
        [sys.executable, "-c", "; ".join(saving), str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as emulator:
        assert emulator.stdout.readline() == b"held\n"
        lock.write_text("999999999")  # The stack itself is gone.
        threading.Timer(0.3, emulator.stdin.close).start()
        settings.prepare().close()
        assert emulator.wait() == 0


def test_a_state_folder_that_is_a_file_is_refused_in_one_line(environment, tmp_path):
    for name in ("file", "file/below"):
        environment["STATE_DIR"] = str(tmp_path / name)
        (tmp_path / "file").touch()
        with pytest.raises(StackError, match=r"STATE_DIR=.* cannot be used: .*\.$"):
            StackSettings.from_environment(environment).prepare()


def test_a_state_folder_that_cannot_be_written_is_refused_in_one_line(environment, monkeypatch):
    settings = StackSettings.from_environment(environment)
    for number in (errno.EROFS, errno.EACCES, errno.ENOSPC):

        def refuse(*_: object, error: int = number, **__: object) -> None:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(StackError, match=os.strerror(number)):
            settings.prepare()


@pytest.mark.parametrize("text", ["3 ministack 1.5.33", "2 ministack 99.0.0", "odd", ""])
def test_a_state_of_a_newer_version_is_refused_and_kept(environment, tmp_path, text):
    settings = StackSettings.from_environment(environment)
    settings.prepare().close()
    record = tmp_path / "state" / "version"
    record.write_text(text)
    with pytest.raises(StackError, match="is of another version"):
        settings.prepare()
    assert record.read_text() == text
    record.unlink()  # As a stack before there was such a file left it.
    settings.prepare().close()
