"""A stack that cannot start says so in one line that names the variable to change."""

import socket

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
    StackSettings.from_environment(environment).prepare()
    StackSettings.from_environment(environment).prepare()
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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QUIET_PERIOD", "901"),
        ("QUIET_PERIOD", "-1"),
        ("MIN_NEW_IMAGES", "0"),
        ("MIN_NEW_IMAGES", "100001"),
        ("KEEP_UNSURE", "1001"),
        ("LOCAL_AUTH", "yes"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_variable(variable, value):
    with pytest.raises(StackError, match=f"{variable}={value} "):
        StackSettings.from_environment({variable: value})


@pytest.mark.parametrize(("text", "on"), [("", False), ("false", False), ("true", True)])
def test_permissions_are_enforced_where_that_is_asked_for(text, on):
    assert StackSettings.from_environment({"LOCAL_AUTH": text}).auth is on
