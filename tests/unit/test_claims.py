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
        ("[5e10]", {"5e10"}),
        ("[1.50 2]", {"1.50", "2"}),
        ("[-0]", {"-0"}),
        ("[NaN]", {"NaN"}),
        ("[true]", {"true"}),
        ("[null]", {"null"}),
        ("[[math]]", {"[math]"}),
        ("[" * 10_000, {"[" * 9_999}),
        ('["math", 5]', {"math", "5"}),
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
