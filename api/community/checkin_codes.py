"""A customer's check-in code as text and as a picture."""

from datetime import datetime

import strawberry

from api.context import Info
from api.qr import qr_png, qr_svg
from community.checkin_codes import make_code


@strawberry.type(description="A code to show at the entrance; ask for a new one when it has expired.")
class CheckInCode:
    code: str = strawberry.field(description="What the picture says; `checkIn` takes it.")
    expires_at: datetime = strawberry.field(description="Until when it can be scanned, five minutes after its making.")

    @strawberry.field(description="The code as a QR code, a whole SVG document.")
    def qr_svg(self) -> str:
        return qr_svg(self.code)

    @strawberry.field(description="The code as a QR code, a PNG in a data: address.")
    def qr_png(self) -> str:
        return qr_png(self.code)


def code_for(info: Info, event_id: str, customer_id: str) -> CheckInCode:
    """A fresh code of a registration; the caller has seen to it that it is the viewer's own."""
    key = info.context.edge.settings.checkin_key.get_secret_value()
    made = make_code(key, event_id=event_id, customer_id=customer_id, now=info.context.now)
    return CheckInCode(code=made.text, expires_at=made.expires_at)
