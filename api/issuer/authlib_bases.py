"""Authlib's classes to build on, as Any: authlib has no types, and the stubs of type checkers contradict it."""

from typing import Any

from authlib.oauth2 import rfc6749, rfc7636

AuthorizationServer: Any = rfc6749.AuthorizationServer
OAuth2Request: Any = rfc6749.OAuth2Request
OAuth2Payload: Any = rfc6749.OAuth2Payload
ClientMixin: Any = rfc6749.ClientMixin
AuthorizationCodeMixin: Any = rfc6749.AuthorizationCodeMixin
TokenMixin: Any = rfc6749.TokenMixin
AuthorizationCodeGrant: Any = rfc6749.AuthorizationCodeGrant
RefreshTokenGrant: Any = rfc6749.RefreshTokenGrant
ClientCredentialsGrant: Any = rfc6749.ClientCredentialsGrant
CodeChallenge: Any = rfc7636.CodeChallenge
