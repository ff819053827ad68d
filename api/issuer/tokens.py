"""What the issuer signs: access tokens (RFC 9068) and ID tokens (OpenID Connect Core 1.0)."""

from typing import Any

from joserfc import jwt

from api.issuer.clients import Client
from api.issuer.families import Family
from api.issuer.keys import ALGORITHM, KeyStore
from api.issuer.personas import SERVICE_ROLES, Persona
from core.clock import utc_now
from core.ids import new_id
from core.settings import Settings

ACCESS_SECONDS = 15 * 60


class TokenSigner:
    """Signs with whichever key is the newest at the moment."""

    def __init__(self, settings: Settings, keys: KeyStore) -> None:
        self._settings = settings
        self._keys = keys

    def access_token(self, client: Client, persona: Persona | None, scope: str) -> str:
        """For a person, or for the client itself where there is none."""
        now = int(utc_now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._settings.issuer_url,
            "aud": self._settings.oidc_audience,
            "sub": persona.subject if persona else client.client_id,
            "iat": now,
            "nbf": now,
            "exp": now + ACCESS_SECONDS,
            "jti": new_id(),
            "client_id": client.client_id,
            "scope": scope,
            "roles": sorted(persona.roles if persona else SERVICE_ROLES),
            **(names(persona) if persona else {"name": client.client_id}),
        }
        return self._sign("at+jwt", claims)

    def id_token(self, family: Family, persona: Persona) -> str:
        """For the client of a sign-in; it opens no API."""
        now = int(utc_now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._settings.issuer_url,
            "aud": family.client_id,
            "sub": persona.subject,
            "iat": now,
            "exp": now + ACCESS_SECONDS,
            "auth_time": family.signed_in,
            **({"nonce": family.nonce} if family.nonce else {}),
            **names(persona),
        }
        return self._sign("JWT", claims)

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        key = self._keys.current().signer
        return jwt.encode({"alg": ALGORITHM, "typ": kind, "kid": key.kid}, claims, key)


def names(persona: Persona) -> dict[str, str]:
    """The name, and the same in English (OpenID Connect Core, section 5.2: claims with language tags)."""
    return {"name": persona.name_zh, "name#en": persona.name_en}
