"""Settings: every wrong value is one line that names its variable."""

import base64

import pytest

from core.settings import DEVELOPMENT_KEY, Settings, SettingsError, load_settings

OWN_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "many"),
        ("ENVIRONMENT", "moon"),
        ("MAX_BODY_BYTES", "1"),
        ("SWEEP_INTERVAL_SECONDS", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)


def test_production_refuses_what_is_meant_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match="OIDC_ISSUER"):
        load_settings()
    monkeypatch.setenv("OIDC_ISSUER", "https://issuer.example")
    with pytest.raises(SettingsError, match="IDENTITY_HASH_KEY"):
        load_settings()
    for name in ("IDENTITY_HASH_KEY", "CHECKIN_KEY", "STATEMENT_KEY"):
        for guessable in ("", "development-only", "fifteen letters"):
            monkeypatch.setenv(name, guessable)
            with pytest.raises(SettingsError, match=name):
                load_settings()
        monkeypatch.setenv(name, f"a secret of our own for {name}")
    for unusable in (
        "",
        "1",
        "1:short",
        f"1:{DEVELOPMENT_KEY}",
        f"2:{OWN_KEY},1:{DEVELOPMENT_KEY}",
        f"1:{OWN_KEY},1:{OWN_KEY}",
    ):
        monkeypatch.setenv("PERSONAL_DATA_KEYS", unusable)
        with pytest.raises(SettingsError, match="PERSONAL_DATA_KEYS") as error:
            load_settings()
        assert OWN_KEY not in str(error.value)
    monkeypatch.setenv("PERSONAL_DATA_KEYS", f"2:{OWN_KEY}")
    assert load_settings().environment == "production"
    assert OWN_KEY not in f"{load_settings()!r} {load_settings().key_ring}"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://h/d", "postgresql+asyncpg://h/d"),
        ("sqlite:///x.sqlite", "sqlite+aiosqlite:///x.sqlite"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_a_database_url_gets_its_driver(given: str, meant: str) -> None:
    assert Settings(database_url=given).database_url == meant
