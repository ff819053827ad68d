"""What the issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from typing import Any

from api.issuer.keys import ALGORITHM
from api.issuer.personas import SERVICE_SCOPES, WEB_SCOPES
from core.settings import Settings


def discovery_document(settings: Settings) -> dict[str, Any]:
    issuer = settings.issuer_url
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": [*WEB_SCOPES, *SERVICE_SCOPES],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "ui_locales_supported": ["zh", "en"],
        "request_uri_parameter_supported": False,
    }
