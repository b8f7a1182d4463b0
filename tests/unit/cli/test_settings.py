"""Where the server is found."""

import pytest

from resit.cli.settings import CommandError, Exit, Server, find_server


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "url").write_text("http://127.0.0.1:4000\n")
    (tmp_path / "admin-token").write_text("from-file\n")
    return tmp_path


def test_the_environment_names_the_server():
    found = find_server(None, {"RESIT_URL": "https://resit.example", "RESIT_TOKEN": "t"})
    assert (found.url, found.token) == ("https://resit.example", "t")


def test_a_named_folder_wins_over_the_environment(folder):
    found = find_server(folder, {"RESIT_URL": "https://resit.example", "RESIT_TOKEN": "t"})
    assert (found.url, found.token) == ("http://127.0.0.1:4000", "from-file")


def test_the_default_folder_is_looked_into(folder, monkeypatch):
    monkeypatch.setattr("resit.cli.settings.default_data_dir", lambda: folder)
    assert find_server(None, {}).token == "from-file"
    assert find_server(None, {"RESIT_TOKEN": "mine"}).token == "mine"


def test_the_admin_token_of_this_machine_goes_to_no_other(folder, monkeypatch):
    monkeypatch.setattr("resit.cli.settings.default_data_dir", lambda: folder)
    with pytest.raises(CommandError, match="RESIT_TOKEN is not") as raised:
        find_server(None, {"RESIT_URL": "https://elsewhere.example"})
    assert raised.value.exit == Exit.NOT_AUTHORISED


def test_nothing_there_is_one_clear_line(tmp_path):
    with pytest.raises(CommandError, match="no Resit server found") as raised:
        find_server(tmp_path, {})
    assert raised.value.hint == "start one with `resit serve`, or set RESIT_URL and RESIT_TOKEN"
    assert raised.value.exit == Exit.UNAVAILABLE


@pytest.mark.parametrize("url", ["localhost:4000", "ftp://h", "http://", "http://h:99999", "http://[", "nonsense"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(CommandError, match="RESIT_URL"):
        find_server(None, {"RESIT_URL": url, "RESIT_TOKEN": "t"})


def test_a_token_is_never_shown():
    assert "hidden" not in repr(Server("http://h", "hidden"))
    with pytest.raises(CommandError) as raised:
        find_server(None, {"RESIT_URL": "http://h", "RESIT_TOKEN": "hidden\u00e9"})
    assert "hidden" not in raised.value.message + raised.value.hint
