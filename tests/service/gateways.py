"""The other side of messages at the outer socket: a small HTTP server and a mail server, both real, on loopback."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import SMTP
from pathlib import Path
from typing import Any

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.clock import utc_now
from core.processes import free_port
from service.message_outlets import MailServer

# By what one signs in at the mail server that takes STARTTLS.
MAIL_USER, MAIL_PASSWORD = "kinship", "a mail secret"


@dataclass
class Call:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        return orjson.loads(self.body)["data"]

    def is_signed_by(self, secret: str) -> bool:
        """What a receiver checks, as Standard Webhooks describes it."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = self.headers["webhook-timestamp"]
        signed = f"{self.headers['webhook-id']}.{stamp}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Gateway:
    """An HTTP server that answers with the next of these statuses, and the last of them from then on."""

    port: int
    statuses: list[int] = field(default_factory=lambda: [200])
    calls: list[Call] = field(default_factory=list[Call])
    headers: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages?bank=1"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.calls.append(Call(headers, body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n{self.headers}Connection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def gateway(*statuses: int, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Gateway, None]:
    found = Gateway(free_port(), list(statuses) or [200])
    server = await asyncio.start_server(found.answer, "127.0.0.1", found.port, ssl=tls)
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


def certificate_for(name: str, folder: Path) -> Path:
    """A certificate that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=30))
        .not_valid_after(utc_now() + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return path


@dataclass
class Mailbox:
    """What a mail server was given; it refuses with the next of `refusals` as long as there are any.

    `signed_in` are the names under which somebody signed in, `encrypted` whether each e-mail came over TLS.
    """

    port: int
    mails: list[Mail] = field(default_factory=list[Mail])
    refusals: list[str] = field(default_factory=list[str])
    signed_in: list[str] = field(default_factory=list[str])
    encrypted: list[bool] = field(default_factory=list[bool])

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        self.encrypted.append(session.ssl is not None)
        self.mails.append(message_from_bytes(envelope.content, policy=SMTP))
        return "250 OK"

    @property
    def server(self) -> MailServer:
        return MailServer("127.0.0.1", self.port, "Kinship <no-reply@bank.example>", starttls=False)

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, said: Any) -> AuthResult:
        """Let in whoever knows the password."""
        name = said.login.decode()
        self.signed_in.append(name)
        return AuthResult(success=(name, said.password) == (MAIL_USER, MAIL_PASSWORD.encode()), handled=False)


@contextmanager
def mailbox(*refusals: str, tls: ssl.SSLContext | None = None) -> Generator[Mailbox, None, None]:
    """A mail server; with `tls` it takes nothing and lets nobody sign in before STARTTLS."""
    found = Mailbox(free_port(), refusals=list(refusals))
    guarded: dict[str, Any] = {
        "tls_context": tls,
        "require_starttls": True,
        "authenticator": found.authenticate,
        "auth_required": True,
    }
    controller = Controller(found, hostname="127.0.0.1", port=found.port, **(guarded if tls else {}))
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
