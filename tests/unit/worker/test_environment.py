"""Which variables reach setup, git and tests."""

import os
import sys
from pathlib import Path

from resit.worker import environment

MACHINE = {
    "PATH": "/usr/local/bin:/usr/bin",
    "HOME": "/home/operator",
    "LANG": "de_DE.UTF-8",
    "LC_TIME": "C",
    "TZ": "Europe/Berlin",
    "USER": "operator",
    "TERM": "xterm",
    "CI": "true",
    "https_proxy": "http://proxy:3128",
    "SSL_CERT_FILE": "/etc/ca.pem",
    "PIP_INDEX_URL": "https://pypi.local",
    "npm_config_registry": "https://npm.local",
    "UV_INDEX_URL": "https://pypi.local",
    "VIRTUAL_ENV": "/opt/resit",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "RESIT_DATA": "/var/resit",
    "GIT_DIR": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
}


def for_tests(variables: dict[str, str], machine: dict[str, str] = MACHINE) -> dict[str, str]:
    return environment.test_environment(
        variables, home=Path("/p/home"), tmp=Path("/p/tmp"), worker="w1", environ=machine
    )


def test_tests_get_a_clean_environment() -> None:
    assert for_tests({}) == {
        "PATH": "/usr/local/bin:/usr/bin",
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
        "TZ": "Europe/Berlin",
        "USER": "operator",
        "HOME": "/p/home",
        "TMPDIR": "/p/tmp",
        "RESIT_WORKER": "w1",
        "PLAYWRIGHT_BROWSERS_PATH": _browsers(),
    }


def _browsers() -> str:
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return f"/home/operator/{caches}/ms-playwright"


def test_variables_win_but_not_over_ours() -> None:
    found = for_tests({"LANG": "C", "HOME": "/mine", "CI": "1", "RESIT_WORKER": "fake", "RESIT_URL": "x"})
    assert (found["LANG"], found["HOME"], found["CI"]) == ("C", "/mine", "1")
    assert found["RESIT_WORKER"] == "w1"
    assert "RESIT_URL" not in found


def test_browsers_of_the_machine_are_found() -> None:
    assert for_tests({}, MACHINE | {"PLAYWRIGHT_BROWSERS_PATH": "/b"})["PLAYWRIGHT_BROWSERS_PATH"] == "/b"


def test_toolchains_on_the_path_are_found_without_their_home() -> None:
    found = for_tests({}, MACHINE | {"PATH": "/home/operator/.pyenv/shims:/usr/bin"})
    assert found["PYENV_ROOT"] == "/home/operator/.pyenv"
    assert "NVM_DIR" not in found


def test_resits_own_programs_are_not_on_the_path(tmp_path: Path) -> None:
    ours = tmp_path / "venv" / "bin"
    ours.mkdir(parents=True)
    (tmp_path / "link").symlink_to(ours)
    path = os.pathsep.join([str(ours), "/usr/bin", str(tmp_path / "link"), ""])
    assert environment.search_path(path, str(tmp_path / "venv"), "/usr") == "/usr/bin"
    assert environment.search_path("/usr/bin", "/usr", "/usr") == "/usr/bin", "not a virtual environment"
    assert environment.search_path("", "/usr", "/usr") == os.defpath


def test_setup_has_the_operators_home_network_and_package_tools() -> None:
    found = environment.setup_environment({"BASE_URL": "x", "RESIT_DATA": "y"}, environ=MACHINE)
    kept = {"HOME", "https_proxy", "SSL_CERT_FILE", "PIP_INDEX_URL", "npm_config_registry", "UV_INDEX_URL", "BASE_URL"}
    assert kept <= found.keys()
    assert not {"AWS_SECRET_ACCESS_KEY", "RESIT_DATA", "VIRTUAL_ENV", "CI", "GIT_DIR", "PYTHONPATH"} & found.keys()


def test_git_asks_nobody_and_can_not_be_led_elsewhere() -> None:
    found = environment.git_environment(MACHINE)
    assert found["GIT_TERMINAL_PROMPT"] == "0"
    assert "BatchMode=yes" in found["GIT_SSH_COMMAND"]
    assert "GIT_DIR" not in found
