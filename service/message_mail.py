"""E-mail by SMTP: plain text whose Message-ID is made from the delivery, so that a second copy is known as one."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

import aiosmtplib

from service.message_outlets import LONGEST_SECONDS, Letter, MailServer, NotTaken

# Answers of a mail server from here on say that trying again does not help (RFC 5321, 4.2.1).
PERMANENT = 500


def mail_of(letter: Letter, server: MailServer) -> EmailMessage:
    """The e-mail; raises ValueError, LookupError or AttributeError for an address that is none."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = server.sender
    mail["To"] = letter.to or ""
    # A title with a line break in it would end the header.
    mail["Subject"] = " ".join(letter.subject.split())
    mail["Date"] = format_datetime(letter.at)
    mail["Message-ID"] = f"<{letter.id}@{domain_of(server.sender)}>"
    mail["Content-Language"] = letter.language
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.body, charset="utf-8")
    return mail


def domain_of(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2] or "localhost"


async def send_mail(letter: Letter, server: MailServer) -> None:
    """Hand an e-mail to the server; raises NotTaken."""
    try:
        mail = mail_of(letter, server)
    except (ValueError, LookupError, AttributeError) as error:
        # The parser of addresses falls over some that are broken, such as x@[y.z, and does not say so by a ValueError.
        raise NotTaken("ADDRESS_INVALID", is_final=True) from error
    try:
        await aiosmtplib.send(
            mail,
            hostname=server.host,
            port=server.port,
            start_tls=server.starttls,
            username=server.username,
            password=server.password,
            timeout=LONGEST_SECONDS,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        code = max((one.code for one in error.recipients), default=0)
        raise NotTaken(f"SMTP_{code}", is_final=code >= PERMANENT) from error
    except aiosmtplib.SMTPResponseException as error:
        # What is wrong with our sign-in or our sender is mended by us, and then all of it goes out.
        is_about_us = isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPSenderRefused)
        raise NotTaken(f"SMTP_{error.code}", is_final=error.code >= PERMANENT and not is_about_us) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotTaken("SMTP_UNREACHABLE") from error
