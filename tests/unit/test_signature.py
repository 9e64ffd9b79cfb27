"""Momento's signature: the one that its own utilities make, and no other."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from common.webhook_signature import is_signed, sign


def test_signs_with_hmac_sha3_256_in_lower_case_hex() -> None:
    # The same as: printf '{"a":1}' | openssl dgst -sha3-256 -hmac secret
    assert sign(b'{"a":1}', "secret") == "fab80996a2e7fc38b5289f5199ae479275fa6d8dc4fa5b6d3c98b8fd70560675"


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_accepts_its_own_signature_and_no_other_of_the_body(body: bytes, secret: str) -> None:
    good = hmac.new(secret.encode(), body, hashlib.sha3_256).hexdigest()
    assert is_signed(body, good, secret)
    for bad in (good[:-1], good + "0", good[::-1] + "x", f" {good}"):
        assert not is_signed(body, bad, secret)


@given(st.binary(), st.text())
def test_refuses_any_other_text(body: bytes, signature: str) -> None:
    assert not is_signed(body, signature, "secret")
