"""Claims that list values, in the forms in which API Gateway passes them."""

from __future__ import annotations

import pytest

from common.claims import claim_values


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("[math physics]", {"math", "physics"}),
        ("[]", set()),
        ("[123]", {"123"}),
        ('["math", "a b"]', {"math", "a b"}),
        ("math,physics", {"math", "physics"}),
        ("math physics", {"math", "physics"}),
        ("math", {"math"}),
        ("", set()),
        (["math", 5], {"math", "5"}),
        (5, set()),
        (None, set()),
    ],
)
def test_reads_a_list(value: object, values: set[str]) -> None:
    assert claim_values({"courses": value}, "courses") == values


def test_a_missing_claim_has_no_values() -> None:
    assert claim_values({}, "courses") == set()
