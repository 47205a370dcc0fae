"""Which server is asked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tiphys.bootstrap import read_settings
from tiphys.client.login import Login, delete_login, login_in, read_login, write_login
from tiphys.client.place import segment
from tiphys.errors import UsageError

NOTED = Login(url="https://noted:1", api_key="hush", workspace="w", authority="/ca.pem")


def test_a_login_is_noted_for_its_owner_alone(home: Path) -> None:
    assert read_login(home) is None
    path = write_login(home, NOTED)
    assert read_login(home) == NOTED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_login(home, Login(url="https://other:1"))
    assert (read_login(home), stat.S_IMODE(path.stat().st_mode)) == (Login(url="https://other:1"), 0o600)
    assert [one.name for one in home.iterdir()] == [path.name]
    assert (delete_login(home), delete_login(home), read_login(home)) == (True, False, None)


@pytest.mark.parametrize("text", ["", "[]", '{"address": "x"}', "{"])
def test_a_note_that_cannot_be_read_is_told(home: Path, text: str) -> None:
    home.mkdir()
    (home / "server.json").write_text(text)
    with pytest.raises(UsageError, match=r"server\.json"):
        read_login(home)


def test_the_key_is_not_shown() -> None:
    assert "hush" not in repr(NOTED)


def test_the_environment_names_a_server() -> None:
    assert login_in({}) is None
    assert login_in({"TIPHYS_URL": "u"}) == Login(url="u")
    given = {"TIPHYS_URL": "u", "TIPHYS_API_KEY": "k", "TIPHYS_WORKSPACE": "w", "TIPHYS_CA": "c"}
    assert login_in(given) == Login(url="u", api_key="k", workspace="w", authority="c")


def test_a_named_database_goes_first_then_the_environment_then_the_note(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings().server is None
    write_login(home, NOTED)
    assert read_settings().server == NOTED
    monkeypatch.setenv("TIPHYS_URL", "https://said:1")
    assert read_settings().server == Login(url="https://said:1")
    monkeypatch.setenv("TIPHYS_DB_URL", "sqlite:///x.db")
    assert (read_settings().server, read_settings().db_url) == (None, "sqlite:///x.db")


def test_names_are_parts_of_a_path_whatever_they_hold() -> None:
    assert [segment(name) for name in ("a", "a/b c", "..", ".", "a.b", "")] == [
        "a",
        "a%2Fb%20c",
        "%2E%2E",
        "%2E",
        "a.b",
        "",
    ]
