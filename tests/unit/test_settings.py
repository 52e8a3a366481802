"""Settings: arguments win over the environment, the environment over ``.env``; no message repeats a key."""

from __future__ import annotations

import ssl
import sys
import types
from pathlib import Path

import pytest
from pydantic import SecretStr

from kiegen_nb.errors import ConfigurationError
from kiegen_nb.settings import certificates, data_folder, is_loopback, load_settings

KEY = "kie-0123456789"


def key_of(**arguments: object) -> str | None:
    key = load_settings(**arguments).api_key
    return None if key is None else key.get_secret_value()


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "api_key": None,
        "base_url": None,
        "upload_url": None,
        "database_url": None,
        "output_dir": Path("kiegen_output"),
        "poll_interval": 3.0,
        "create_limit": 20,
        "create_window": 10.0,
        "look_limit": 9.0,
        "embed": False,
    }


def test_every_documented_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIEGEN_BASE_URL", "http://127.0.0.1:8000/")
    monkeypatch.setenv("KIEGEN_UPLOAD_URL", "http://127.0.0.1:8001")
    monkeypatch.setenv("KIEGEN_DATABASE_URL", "tasks.sqlite3")
    monkeypatch.setenv("KIEGEN_OUTPUT_DIR", "pictures")
    monkeypatch.setenv("KIEGEN_POLL_INTERVAL", "1.5")
    monkeypatch.setenv("KIEGEN_CREATE_LIMIT", "40")
    monkeypatch.setenv("KIEGEN_CREATE_WINDOW", "5")
    monkeypatch.setenv("KIEGEN_LOOK_LIMIT", "0")
    settings = load_settings()
    assert settings.api_key == SecretStr(KEY)
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.upload_url == "http://127.0.0.1:8001"
    assert settings.database_url == "tasks.sqlite3"
    assert settings.output_dir == Path("pictures")
    assert settings.poll_interval == 1.5
    assert (settings.create_limit, settings.create_window, settings.look_limit) == (40, 5.0, 0.0)


def test_an_argument_wins_and_none_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIEGEN_POLL_INTERVAL", "1.5")
    monkeypatch.setenv("KIE_API_KEY", "from-environment")
    assert load_settings(poll_interval=9).poll_interval == 9.0
    assert load_settings(poll_interval=None).poll_interval == 1.5
    assert key_of(api_key=SecretStr("from-argument")) == "from-argument"


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KIE_API_KEY=from-file\nKIEGEN_POLL_INTERVAL=7\nOTHER=1\n", encoding="utf-8")
    assert key_of() == "from-file"
    monkeypatch.setenv("KIE_API_KEY", "from-environment")
    assert key_of() == "from-environment"
    assert load_settings().poll_interval == 7.0


@pytest.mark.parametrize("name", ["API_KEY", "api_key"])
def test_a_key_of_another_program_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv(name, "the-key-of-another-program")
    assert key_of() is None
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=the-key-of-another-program\n", encoding="utf-8")
    assert key_of() is None


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KIE_API_KEY", value)
    assert key_of() is None


def test_spaces_around_a_key_are_left_out() -> None:
    assert key_of(api_key=SecretStr(f"  {KEY}\n")) == KEY


@pytest.mark.parametrize("value", [f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"{KEY}ü"])
def test_a_key_with_foreign_characters_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(api_key=SecretStr(value))
    assert "copy it again" in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"base_url": "api.kie.ai"}, "base_url: 'api.kie.ai' is not an address"),
        ({"base_url": "ftp://api.kie.ai"}, "is not an address"),
        ({"base_url": "http://"}, "is not an address"),
        ({"upload_url": "file:///tmp"}, "upload_url"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "often"}, "poll_interval"),
    ],
)
def test_an_unusable_setting_is_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**arguments)
    assert words in str(caught.value)


def test_a_key_inside_an_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(base_url=f"https://user:{KEY}@api.kie.ai")
    assert "KIE_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)


def test_settings_never_show_the_key() -> None:
    settings = load_settings(api_key=SecretStr(KEY))
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost", True),
        ("http://[::1]:8000", True),
        ("https://api.kie.ai", False),
        ("https://localhost.example", False),
        ("https://127.0.0.1.example", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_is_local(url: str, *, local: bool) -> None:
    assert is_loopback(url) is local


def test_a_keyring_the_user_has_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, user: f"{service}/{user}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert key_of() == "kie.ai/KIE_API_KEY"
    monkeypatch.setenv("KIE_API_KEY", KEY)
    assert key_of() == KEY


def test_a_locked_keyring_means_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_service: str, _user: str) -> str:
        raise RuntimeError("locked")

    keyring = types.ModuleType("keyring")
    keyring.get_password = locked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert key_of() is None


def test_the_data_folder_is_made() -> None:
    assert data_folder().is_dir()


def test_the_certificates_are_read_once_for_all_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = certificates(trust_env=True)
    assert certificates(trust_env=True) is usual
    assert certificates(trust_env=False) is certificates(trust_env=False)
    one = usual.get_ca_certs(binary_form=True)[0]
    own = tmp_path / "own.pem"
    own.write_text(ssl.DER_cert_to_PEM_cert(one))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert certificates(trust_env=True).get_ca_certs(binary_form=True) == [one], "whoever names others is heard"
    assert certificates(trust_env=False) is certificates(trust_env=False)
