"""A customer's check-in code as text and as a picture."""

import io
from datetime import datetime

import segno
import strawberry

from api.context import Info
from community.checkin_codes import make_code

PIXELS = 6


@strawberry.type(description="A code to show at the entrance; ask for a new one when it has expired.")
class CheckInCode:
    code: str = strawberry.field(description="What the picture says; `checkIn` takes it.")
    expires_at: datetime = strawberry.field(description="Until when it can be scanned, five minutes after its making.")

    @strawberry.field(description="The code as a QR code, a whole SVG document.")
    def qr_svg(self) -> str:
        image = io.BytesIO()
        segno.make(self.code, micro=False).save(image, kind="svg", scale=PIXELS)
        return image.getvalue().decode()

    @strawberry.field(description="The code as a QR code, a PNG in a data: address.")
    def qr_png(self) -> str:
        return segno.make(self.code, micro=False).png_data_uri(scale=PIXELS)


def code_for(info: Info, event_id: str, customer_id: str) -> CheckInCode:
    """A fresh code of a registration; the caller has seen to it that it is the viewer's own."""
    key = info.context.edge.settings.checkin_key.get_secret_value()
    made = make_code(key, event_id=event_id, customer_id=customer_id, now=info.context.now)
    return CheckInCode(code=made.text, expires_at=made.expires_at)
