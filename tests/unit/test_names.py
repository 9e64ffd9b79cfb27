"""Names in every script are accepted, and what cannot be seen is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.inputs import InvalidInputError
from common.names import parse_id, parse_name

GOOD = {
    "plain": "taylor",
    "with spaces": "John F. Smith",
    "ideographic space": "\u5c71\u7530\u3000\u592a\u90ce",
    "no-break space": "Anne\u00a0Marie",
    "Persian with a non-joiner": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "Malayalam with a joiner at its end": "\u0d05\u0d28\u0d3f\u0d32\u0d4d\u200d",
    "Malayalam with a joiner inside": "\u0d05\u0d28\u0d4d\u200d\u0d35\u0d30\u0d4d",
    "Bengali with a joiner before a virama": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "Kannada with a joiner before a virama": "\u0cb0\u200d\u0ccd\u0c95",
    "Sinhala with a joiner before a virama": "\u0db6\u200d\u0dca\u0db0",
    "Sinhala with a joiner after a virama": "\u0d9a\u0dca\u200d\u0dbb\u0dd3",
    "emoji with joiners": "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f469",
    "emoji with a skin tone": "\U0001f468\U0001f3fd\u200d\U0001f680",
    "emoji that is a letter": "\u2139\ufe0f",
    "emoji that is a dash": "\u3030\ufe0f",
    "flag of a country": "\U0001f1e9\U0001f1ea",
    "flag of a region": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "keycap": "1\ufe0f\u20e3",
    "combining accent": "Zoe\u0308",
    "ideograph with a variation": "\u845b\U000e0100\u57ce",
    "Arabic number sign": "\u0600\u0661",
}
BAD = {
    "empty": "",
    "space": " ",
    "ideographic space": "\u3000",
    "begins with a space": " taylor",
    "ends with a space": "taylor\u3000",
    "joiner": "\u200d",
    "ends with a joiner": "taylor\u200d",
    "begins with a non-joiner": "\u200ctaylor",
    "two joiners": "a\u200d\u200db",
    "joiner beside a space": "a\u200d b",
    "joiner before a combining accent": "e\u200d\u0301",
    "control character": "a\u0000b",
    "line break": "a\nb",
    "line separator": "a\u2028b",
    "right-to-left override": "a\u202eb",
    "isolate": "a\u2066b\u2069",
    "left-to-right mark": "taylor\u200e",
    "Arabic letter mark": "a\u061cb",
    "zero width space": "tay\u200blor",
    "word joiner": "tay\u2060lor",
    "byte-order mark": "\ufefftaylor",
    "soft hyphen": "tay\u00adlor",
    "Hangul filler": "\u3164",
    "name with a Hangul filler": "taylor\u3164",
    "half-width Hangul filler": "\uffa0",
    "braille blank": "\u2800",
    "grapheme joiner": "tay\u034flor",
    "combining mark alone": "\u0301",
    "variation selector after a letter": "taylor\ufe0f",
    "variation selector alone": "\ufe0f",
    "tag characters alone": "\U000e0041\U000e0042",
    "tag characters after another emoji": "\U0001f600\U000e0067\U000e0062\U000e007f",
    "surrogate": "\udc00",
    "private use": "\ue000",
    "unassigned": "\u0378",
    "interlinear annotation": "\ufff9a",
}


@pytest.mark.parametrize("name", GOOD.values(), ids=GOOD)
def test_accepts_names_of_every_script(name: str) -> None:
    assert parse_name(name, 64) == name


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_refuses_what_cannot_be_seen(name: str) -> None:
    with pytest.raises(InvalidInputError, match="visible characters"):
        parse_name(name, 64)


@given(st.text(min_size=1, max_size=64))
def test_no_accepted_name_holds_a_control_or_bidi_character(name: str) -> None:
    try:
        parse_name(name, 64)
    except InvalidInputError:
        return
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"} for character in name)
    assert not set(name) & set(
        "\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def test_bounds_the_length_in_characters() -> None:
    assert parse_name("\u00e9" * 64, 64)
    with pytest.raises(InvalidInputError):
        parse_name("\u00e9" * 65, 64)


@pytest.mark.parametrize(
    ("value", "parsed"), [(42, "42"), (-1, "-1"), ("room 1", "room 1"), ("x" * 64, "x" * 64)]
)
def test_an_id_is_a_number_or_a_name(value: object, parsed: str) -> None:
    assert parse_id("room", value) == parsed


@pytest.mark.parametrize("value", [True, None, 1.5, "", "a:b", ":", "x" * 65, ["a"]])
def test_refuses_what_is_no_id(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^room must "):
        parse_id("room", value)
