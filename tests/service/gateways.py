"""The other side of messages at the outer socket: a small HTTP server and a mail server, both real, on loopback."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import SMTP
from typing import Any

import orjson
from aiosmtpd.controller import Controller

from core.processes import free_port
from service.message_outlets import MailServer


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


@dataclass
class Mailbox:
    """What a mail server was given; it refuses with the next of `refusals` as long as there are any."""

    port: int
    mails: list[Mail] = field(default_factory=list[Mail])
    refusals: list[str] = field(default_factory=list[str])

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=SMTP))
        return "250 OK"

    @property
    def server(self) -> MailServer:
        return MailServer("127.0.0.1", self.port, "Kinship <no-reply@bank.example>", starttls=False)


@contextmanager
def mailbox(*refusals: str) -> Generator[Mailbox, None, None]:
    found = Mailbox(free_port(), refusals=list(refusals))
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
