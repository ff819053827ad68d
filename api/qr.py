"""Codes as pictures that a phone's camera reads."""

import io

import segno

PIXELS = 6


def qr_svg(text: str) -> str:
    """The text as a QR code, a whole SVG document."""
    image = io.BytesIO()
    segno.make(text, micro=False).save(image, kind="svg", scale=PIXELS)
    return image.getvalue().decode()


def qr_png(text: str) -> str:
    """The text as a QR code, a PNG in a data: address."""
    return segno.make(text, micro=False).png_data_uri(scale=PIXELS)
