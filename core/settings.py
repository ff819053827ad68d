"""Settings come from the environment (and `.env`); nothing else in Kinship reads it."""

from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.days import DEFAULT_ZONE, time_zones
from core.sealing import KeyRing

# What stands in for secrets while nobody has set them; production refuses it, and anything that can be guessed.
DEVELOPMENT_ONLY = "development-only"
SHORTEST_SECRET = 16
# The key that seals personal data while nobody has set one: 32 bytes that everybody can read here.
DEVELOPMENT_KEY = "ZGV2ZWxvcG1lbnQtb25seS1kZXZlbG9wbWVudC1vbmw="


class TrustedDocumentsMode(StrEnum):
    """Who may have a document of their own run: everybody, staff, or nobody. Registered ones are run for everybody."""

    OFF = "off"
    STAFF = "staff"
    ONLY = "only"


class Settings(BaseSettings):
    """Every value has a default that works on a fresh machine; a store left unset runs embedded."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "test", "production"] = "development"
    data_dir: Path = Path(".data")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str | None = None

    neo4j_uri: str | None = None
    neo4j_user: str = "neo4j"
    neo4j_password: SecretStr = SecretStr("")
    neo4j_database: str | None = None
    neo4j_pool_size: int = Field(default=50, ge=1)
    database_url: str | None = None
    database_pool_size: int = Field(default=10, ge=1)
    redis_url: str | None = None

    oidc_issuer: str | None = None
    oidc_audience: str = "kinship"
    oidc_roles_claim: str = "roles"
    oidc_algorithms: tuple[str, ...] = ("RS256", "ES256", "PS256", "EdDSA")
    oidc_leeway_seconds: int = Field(default=30, ge=0, le=300)

    personal_data_keys: SecretStr = SecretStr(f"1:{DEVELOPMENT_KEY}")
    identity_hash_key: SecretStr = SecretStr(DEVELOPMENT_ONLY)
    checkin_key: SecretStr = SecretStr(DEVELOPMENT_ONLY)
    statement_key: SecretStr = SecretStr(DEVELOPMENT_ONLY)
    loyalty_time_zone: str = DEFAULT_ZONE
    adjustment_limit: int = Field(default=1_000, ge=0)
    amount_per_thousand_points: int = Field(default=0, ge=0)
    points_currency: str = Field(default="CNY", pattern="^[A-Z]{3}$")
    max_body_bytes: int = Field(default=262_144, ge=1_024)
    operation_timeout_seconds: float = Field(default=10.0, gt=0)
    trusted_documents: TrustedDocumentsMode | None = None
    automatic_documents: bool = False
    # Objects that one principal may ask for in a minute (see api/costs.py).
    cost_per_minute: int = Field(default=100_000, ge=100)
    operations_at_once: int = Field(default=64, ge=1)
    operations_waiting: int = Field(default=512, ge=0)
    streams_at_once: int = Field(default=5_000, ge=1)
    recommendation_flush_seconds: float = Field(default=1.0, ge=0, le=60)
    sweep_interval_seconds: int = Field(default=5, ge=1, le=60)
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_from: str = Field(default="Kinship <kinship@localhost>", pattern=r"^[^\r\n]*@[^\r\n]+$")
    smtp_starttls: bool = True
    smtp_username: str | None = None
    smtp_password: SecretStr = SecretStr("")
    webhook_private_addresses: bool = False
    webhook_ca_file: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("loyalty_time_zone")
    @classmethod
    def known_zone(cls, zone: str) -> str:
        """Refuse a time zone that this machine does not know, before a day is closed by it."""
        if zone not in time_zones():
            raise ValueError("not a time zone of the IANA database")
        return zone

    @field_validator("smtp_host", "smtp_username")
    @classmethod
    def none_where_empty(cls, text: str | None) -> str | None:
        """An empty line in the environment says that there is none."""
        return text or None

    @field_validator("personal_data_keys")
    @classmethod
    def readable_keys(cls, keys: SecretStr) -> SecretStr:
        """Refuse keys that cannot be read, before anything is sealed."""
        KeyRing.parse(keys.get_secret_value())
        return keys

    @field_validator("database_url")
    @classmethod
    def with_driver(cls, url: str | None) -> str | None:
        """Name the asynchronous driver where the URL leaves it out, as most people write it."""
        for plain, driver in (("postgres://", "asyncpg"), ("postgresql://", "asyncpg"), ("sqlite://", "aiosqlite")):
            if url is not None and url.startswith(plain):
                backend = "postgresql" if driver == "asyncpg" else "sqlite"
                return f"{backend}+{driver}://{url.removeprefix(plain)}"
        return url

    @cached_property
    def base_url(self) -> str:
        """The address by which browsers and phones reach the API, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @cached_property
    def issuer_url(self) -> str:
        """The OIDC issuer that signs our access tokens: the bank's, or the embedded development one."""
        return self.oidc_issuer or f"{self.base_url}/issuer"

    @cached_property
    def documents_mode(self) -> TrustedDocumentsMode:
        """Who may send a document of their own; in production staff only, unless the operator says otherwise."""
        standard = TrustedDocumentsMode.STAFF if self.environment == "production" else TrustedDocumentsMode.OFF
        return self.trusted_documents or standard

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys that wrap the data keys of customers."""
        return KeyRing.parse(self.personal_data_keys.get_secret_value())

    @property
    def embedded_issuer(self) -> bool:
        return self.oidc_issuer is None

    def refuse_unsafe_production(self) -> None:
        """Raise SettingsError where production would run on something meant for development."""
        if self.environment != "production":
            return
        if self.embedded_issuer:
            raise SettingsError("OIDC_ISSUER: the embedded development issuer does not run in production")
        for name in ("identity_hash_key", "checkin_key", "statement_key"):
            secret: str = getattr(self, name).get_secret_value()
            if secret == DEVELOPMENT_ONLY or len(secret) < SHORTEST_SECRET:
                raise SettingsError(f"{name.upper()}: production needs its own secret of {SHORTEST_SECRET} characters")
        if self.smtp_host and not self.smtp_starttls:
            raise SettingsError("SMTP_STARTTLS: e-mail says things of persons, and leaves production encrypted only")
        if DEVELOPMENT_KEY in self.personal_data_keys.get_secret_value():
            raise SettingsError("PERSONAL_DATA_KEYS: production needs keys of its own")


class SettingsError(Exception):
    """A setting that cannot work; its text is the one line that the operator sees."""


def load_settings() -> Settings:
    """Read the environment; raises SettingsError with one line that names the variable."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}") from error
    settings.refuse_unsafe_production()
    return settings
