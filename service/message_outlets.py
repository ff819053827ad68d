"""The ways out of the house: what all of them take and answer, and how this process was set up for them."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from core.settings import Settings
from service.message_policy import MessageChannel

# So long the other side may take; shorter than the lease of a delivery.
LONGEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it goes out: `id` is the same however often it is sent. Its text form says nothing of a person."""

    id: str
    channel: MessageChannel
    category: str
    customer_id: str
    language: str
    to: str | None = field(repr=False)
    subject: str = field(repr=False)
    body: str = field(repr=False)
    at: datetime


class NotTaken(Exception):
    """The other side did not take it; `failure` is a code, and a final one is not tried again."""

    def __init__(self, failure: str, *, is_final: bool = False) -> None:
        super().__init__(failure)
        self.failure = failure
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed over, and from whom it comes."""

    host: str
    port: int
    sender: str
    starttls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outlets:
    """What this process may reach: its mail server, and whether webhooks go to loopback or private addresses.

    `ca_file` names the authority that signs the bank's own gateways, where that is none that the world knows.
    """

    mail: MailServer | None = None
    allows_loopback: bool = False
    allows_private: bool = False
    ca_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        mail = None
        if settings.smtp_host:
            mail = MailServer(
                host=settings.smtp_host,
                port=settings.smtp_port,
                sender=settings.smtp_from,
                starttls=settings.smtp_starttls,
                username=settings.smtp_username,
                password=settings.smtp_password.get_secret_value() or None,
            )
        return cls(
            mail=mail,
            allows_loopback=settings.environment != "production",
            allows_private=settings.webhook_private_addresses,
            ca_file=settings.webhook_ca_file,
        )
