"""`token.Token`: mints disposable tokens."""

from collections.abc import Callable

from momento_wire_types import token_pb2 as pb
from momento_wire_types import token_pb2_grpc

from local.momento.auth import Authority
from local.momento.calls import Call
from local.momento.errors import invalid_argument
from local.momento.limits import MAX_PERMISSIONS, MAX_TOKEN_ID_CHARACTERS, MAX_TOKEN_SECONDS


class TokenService(token_pb2_grpc.TokenServicer):
    """Only the account's key may mint; that the call shows it is checked before it gets here."""

    def __init__(self, authority: Authority, endpoint: Callable[[], str]) -> None:
        """`endpoint` gives the `host:port` that a token's holder is to connect to."""
        self._authority = authority
        self._endpoint = endpoint

    async def GenerateDisposableToken(
        self, request: pb._GenerateDisposableTokenRequest, _: Call
    ) -> pb._GenerateDisposableTokenResponse:
        # Every SDK sends its key within the request; the Python SDK as the call's credentials as well.
        self._authority.authenticate(request.auth_token).require_super_user()
        lifetime = request.expires.valid_for_seconds
        if not 0 < lifetime <= MAX_TOKEN_SECONDS:
            raise invalid_argument(f"A token lives between 1 and {MAX_TOKEN_SECONDS} seconds")
        if len(request.token_id) > MAX_TOKEN_ID_CHARACTERS:
            raise invalid_argument(f"A token id has at most {MAX_TOKEN_ID_CHARACTERS} characters")
        # A disposable token cannot be a super-user's: that leaves it without explicit statements.
        permissions = request.permissions.explicit
        if not 0 < len(permissions.permissions) <= MAX_PERMISSIONS:
            raise invalid_argument(f"A token carries between 1 and {MAX_PERMISSIONS} permissions")
        api_key, valid_until = self._authority.mint(permissions, request.token_id, lifetime)
        return pb._GenerateDisposableTokenResponse(
            api_key=api_key, endpoint=self._endpoint(), valid_until=valid_until
        )
