"""The grants of the issuer: authorization code with PKCE, refresh token with rotation, client credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError

from api.issuer.authlib_bases import AuthorizationCodeGrant, ClientCredentialsGrant, CodeChallenge, RefreshTokenGrant
from api.issuer.families import Family, first_secret, next_secret
from api.issuer.personas import PERSONA_BY_KEY, Persona
from api.issuer.tokens import ACCESS_SECONDS
from core.clock import utc_now

if TYPE_CHECKING:
    from api.issuer.clients import Client
    from api.issuer.server import IssuerRequest, IssuerServer

# A client that names itself in any way gets the answer that its own way deserves.
AUTHENTICATION = ["client_secret_basic", "client_secret_post", "none"]


class CodeChallengeS256(CodeChallenge):
    """PKCE without its two weak doors: no challenge at all, and the challenge that is the verifier itself."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Code, redirect_uri: str) -> None:
        parameters = grant.request.payload.data
        if "code_challenge" not in parameters:
            raise InvalidRequestError("Missing 'code_challenge'")
        if parameters.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Unsupported 'code_challenge_method': it must be S256")
        super().validate_code_challenge(grant, redirect_uri)


class Code(AuthorizationCodeGrant):
    """Codes are families whose first secret is the code itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTHENTICATION
    request: IssuerRequest
    server: IssuerServer

    def generate_authorization_code(self) -> str:
        return first_secret()

    def save_authorization_code(self, code: str, request: IssuerRequest) -> None:
        parameters = request.form
        family = Family(
            client_id=request.client.client_id,
            subject=request.user.subject,
            scope=request.scope,
            redirect_uri=parameters["redirect_uri"],
            code_challenge=parameters["code_challenge"],
            nonce=parameters.get("nonce"),
            signed_in=int(utc_now().timestamp()),
        )
        request.started = (code, family)

    def query_authorization_code(self, code: str, client: Client) -> Family | None:
        family = self.request.family
        return family if family is not None and family.check_client(client) else None

    def delete_authorization_code(self, authorization_code: Family) -> None:
        """The endpoint advances the family, which uses up the code."""

    def authenticate_user(self, authorization_code: Family) -> Persona | None:
        return PERSONA_BY_KEY.get(authorization_code.subject)

    def generate_token(self, user: Persona, scope: str, **_: Any) -> dict[str, Any]:
        token = bearer_token(self, user, scope)
        token["refresh_token"] = next_secret(self.request.form["code"])
        if "openid" in scope.split():
            token["id_token"] = self.server.signer.id_token(self.request.authorization_code, user)
        return token


class Refresh(RefreshTokenGrant):
    """Every refresh gives a new refresh token and uses up the old one."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTHENTICATION
    request: IssuerRequest
    server: IssuerServer

    def authenticate_refresh_token(self, refresh_token: str) -> Family | None:
        return self.request.family

    def authenticate_user(self, refresh_token: Family) -> Persona | None:
        return PERSONA_BY_KEY.get(refresh_token.subject)

    def revoke_old_credential(self, refresh_token: Family) -> None:
        """The endpoint advances the family, which uses up the old token."""

    def generate_token(self, user: Persona, scope: str, **_: Any) -> dict[str, Any]:
        token = bearer_token(self, user, scope)
        token["refresh_token"] = next_secret(self.request.form["refresh_token"])
        return token


class ClientCredentials(ClientCredentialsGrant):
    """The client speaks for itself, within its own scopes."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTHENTICATION
    request: IssuerRequest
    server: IssuerServer

    def validate_requested_scope(self) -> None:
        scope = self.request.client.get_allowed_scope(self.request.payload.scope)
        if scope is None:
            raise InvalidScopeError()
        self.request.scope = scope

    def generate_token(self, **_: Any) -> dict[str, Any]:
        return bearer_token(self, None, self.request.scope)


def bearer_token(grant: Code | Refresh | ClientCredentials, user: Persona | None, scope: str) -> dict[str, Any]:
    """The answer of RFC 6749, section 5.1, without a refresh token."""
    return {
        "token_type": "Bearer",
        "access_token": grant.server.signer.access_token(grant.request.client, user, scope),
        "expires_in": ACCESS_SECONDS,
        "scope": scope,
    }
