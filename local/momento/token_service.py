"""`token.Token`: mints disposable tokens."""

from collections.abc import Callable

from momento_wire_types import token_pb2 as pb
from momento_wire_types import token_pb2_grpc

from local.momento.auth import Authority
from local.momento.calls import Call
from local.momento.errors import invalid_argument
from local.momento.limits import MAX_PERMISSIONS, MAX_TOKEN_ID_CHARACTERS, MAX_TOKEN_SECONDS


class TokenService(token_pb2_grpc.TokenServicer):
    """Mint tokens for the super-user. `CallInterceptor` has already checked the call's credentials."""

    def __init__(self, authority: Authority, endpoint: Callable[[], str]) -> None:
        """Mint with `authority`. `endpoint` returns the `host:port` for the users of a token."""
        self._authority = authority
        self._endpoint = endpoint

    async def GenerateDisposableToken(
        self, request: pb._GenerateDisposableTokenRequest, _: Call
    ) -> pb._GenerateDisposableTokenResponse:
        # All SDKs send their key in the request. The Python SDK also sends it in the metadata.
        self._authority.authenticate(request.auth_token).require_super_user()
        lifetime = request.expires.valid_for_seconds
        if not 0 < lifetime <= MAX_TOKEN_SECONDS:
            raise invalid_argument(f"A token must be valid for 1 to {MAX_TOKEN_SECONDS} seconds")
        if len(request.token_id) > MAX_TOKEN_ID_CHARACTERS:
            raise invalid_argument(f"A token id must have at most {MAX_TOKEN_ID_CHARACTERS} characters")
        # A token for a super-user has no explicit statements, so it is refused too.
        permissions = request.permissions.explicit
        if not 0 < len(permissions.permissions) <= MAX_PERMISSIONS:
            raise invalid_argument(f"A token must have 1 to {MAX_PERMISSIONS} permissions")
        api_key, valid_until = self._authority.mint(permissions, request.token_id, lifetime)
        return pb._GenerateDisposableTokenResponse(
            api_key=api_key, endpoint=self._endpoint(), valid_until=valid_until
        )
