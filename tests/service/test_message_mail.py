"""E-mail by STARTTLS, at a real mail server: encrypted, to the server that it is meant for, or not at all."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from core.clock import utc_now
from service.message_mail import send_mail
from service.message_outlets import Letter, MailServer, NotTaken
from service.message_policy import MessageChannel
from tests.service.gateways import MAIL_PASSWORD, MAIL_USER, Mailbox, certificate_for, mailbox

pytestmark = pytest.mark.anyio

LETTER = Letter("1", MessageChannel.EMAIL, "CARE", "c", "zh", "lin@bank.example", "中秋快乐", "团团圆圆", utc_now())


def presented(certificate: Path) -> ssl.SSLContext:
    """What a mail server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def server_of(box: Mailbox, **more: str) -> MailServer:
    guarded = replace(box.server, host="localhost", starttls=True, username=MAIL_USER, password=MAIL_PASSWORD)
    return replace(guarded, **more)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One for localhost, whose authority this process trusts as it trusts those of its machine."""
    made = certificate_for("localhost", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return made


async def failure_of(server: MailServer) -> tuple[str, bool]:
    with pytest.raises(NotTaken) as refused:
        await send_mail(LETTER, server)
    return refused.value.failure, refused.value.is_final


async def test_an_e_mail_goes_encrypted_to_who_is_signed_in(certificate: Path) -> None:
    """Given a server that takes nothing in the clear, then the e-mail reaches it whole, encrypted, after a sign-in."""
    with mailbox(tls=presented(certificate)) as box:
        await send_mail(LETTER, server_of(box))
    assert (box.encrypted, box.signed_in) == ([True], [MAIL_USER])
    (mail,) = box.mails
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert (mail["To"], mail["Subject"], content.decode().strip()) == ("lin@bank.example", "中秋快乐", "团团圆圆")


async def test_a_wrong_password_is_ours_to_mend(certificate: Path) -> None:
    """Given a password that is not taken, then nothing is sent, and it is tried again later."""
    with mailbox(tls=presented(certificate)) as box:
        assert await failure_of(server_of(box, password="another")) == ("SMTP_535", False)
        assert box.mails == []


async def test_a_refusal_over_tls_is_final_as_any(certificate: Path) -> None:
    with mailbox("550 nobody here", tls=presented(certificate)) as box:
        assert await failure_of(server_of(box)) == ("SMTP_550", True)


async def test_nothing_is_said_to_a_server_that_is_another(certificate: Path, tmp_path: Path) -> None:
    """Given a certificate for another name, or one whose authority nobody knows, then neither an e-mail nor a password
    is handed over, and it is tried again later."""
    other = certificate_for("mail.bank.example", tmp_path)
    with mailbox(tls=presented(certificate)) as box:
        # Its certificate names localhost, and not this address.
        assert await failure_of(server_of(box, host="127.0.0.1")) == ("SMTP_UNREACHABLE", False)
        assert (box.mails, box.signed_in) == ([], [])
    with mailbox(tls=presented(other)) as box:
        assert await failure_of(server_of(box)) == ("SMTP_UNREACHABLE", False)
        assert (box.mails, box.signed_in) == ([], [])


async def test_without_starttls_nothing_is_handed_over() -> None:
    """Given a server that offers no STARTTLS, as one does from which somebody between has taken it away, then nothing
    goes out in the clear."""
    with mailbox() as box:
        assert await failure_of(server_of(box)) == ("SMTP_UNREACHABLE", False)
        assert (box.mails, box.signed_in) == ([], [])


@pytest.mark.parametrize("address", ["x@[y.z", "x@[y.z]\r\nBcc: all@bank.example", "<x@[y.z", "x@"])
async def test_an_address_that_cannot_be_read_is_given_up_at_once(address: str) -> None:
    """Given an address over which the parser falls, then nothing is sent, and no other attempt mends it."""
    with mailbox() as box:
        with pytest.raises(NotTaken) as refused:
            await send_mail(replace(LETTER, to=address), box.server)
        assert (refused.value.failure, refused.value.is_final) == ("ADDRESS_INVALID", True)
        assert box.mails == []
