"""Codes that people read aloud and type: no look-alikes, any case, with a check character."""

import secrets

# Neither I, L, O, U nor 0 and 1, which are mistaken for each other.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
# With all the spaces and hyphens that a person may put between.
LONGEST_TYPED = 100


def new_code(length: int) -> str:
    """A random code of `length` characters, the last of which checks the others."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(length - 1))
    return body + check_character(body)


def check_character(body: str) -> str:
    """Luhn's algorithm modulo the size of the alphabet: it finds every single wrong character.

    Source: ISO/IEC 7812-1 annex B, generalised to base N.
    """
    base = len(ALPHABET)
    total = 0
    for position, char in enumerate(reversed(body)):
        value = ALPHABET.index(char) * (2 if position % 2 == 0 else 1)
        total += value // base + value % base
    return ALPHABET[-total % base]


def normal_code(text: str) -> str | None:
    """The code as it is stored: upper case, no spaces or hyphens; None when it cannot be one of ours."""
    # Beyond ASCII there are letters whose upper case is one of ours, such as the long s.
    if len(text) > LONGEST_TYPED or not text.isascii():
        return None
    code = "".join(char for char in text.upper() if char not in " -")
    if not 4 <= len(code) <= 32 or any(char not in ALPHABET for char in code):
        return None
    return code if check_character(code[:-1]) == code[-1] else None
