"""Names that people choose, such as identities and course ids: any script, but nothing invisible."""

from __future__ import annotations

import re
import unicodedata

from common.inputs import InvalidInputError

_JOINERS = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}"}
_VIRAMA_COMBINING_CLASS = 9
_ID_MAX_LENGTH = 64

# Letters and symbols by category that show nothing all the same.
_BLANK = {
    "\N{HANGUL CHOSEONG FILLER}",
    "\N{HANGUL JUNGSEONG FILLER}",
    "\N{HANGUL FILLER}",
    "\N{HALFWIDTH HANGUL FILLER}",
    "\N{BRAILLE PATTERN BLANK}",
    "\N{MUSICAL SYMBOL NULL NOTEHEAD}",
}
# Marks that show nothing.
_BLANK_MARKS = {
    "\N{COMBINING GRAPHEME JOINER}",
    "\N{KHMER VOWEL INHERENT AQ}",
    "\N{KHMER VOWEL INHERENT AA}",
}
# Format characters that are shown, such as the Arabic number sign.
_SHOWN_FORMATS = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Flags such as Scotland's: a black flag, letters that only exist for flags, and an end mark.
_SUBDIVISION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")


def parse_name(value: object, max_length: int) -> str:
    """Return `value` if it is a name of 1 to `max_length` characters. Raise `InvalidInputError` otherwise.

    A name consists of visible characters, with spaces and joiners only between them. Control characters,
    characters that change the direction of text, and characters that show nothing by themselves are refused.
    Different names may still look the same: an accent may be part of a letter or follow it. The error's
    message says what a name is, such as "a string of 1 to 64 visible characters".
    """
    if isinstance(value, str) and 0 < len(value) <= max_length and _is_visible(value):
        return value
    raise InvalidInputError(
        f"a string of 1 to {max_length} visible characters, with spaces and joiners only between them"
    )


def _is_visible(name: str) -> bool:
    """Return whether every character shows something, or changes how its neighbours look."""
    name = _SUBDIVISION_FLAG.sub("\U0001f3f4", name)
    before = ""
    for index, character in enumerate(name):
        after = name[index + 1 : index + 2]
        if character in _JOINERS:
            # Malayalam and other scripts also end words with a joiner after a virama.
            is_placed_well = _is_virama(before) or (_is_shown(before) and _is_shown(after))
        elif unicodedata.category(character) == "Zs":
            is_placed_well = before != "" and after != ""
        elif "VARIATION SELECTOR" in unicodedata.name(character, ""):
            is_placed_well = _has_variations(before) or after == "\N{COMBINING ENCLOSING KEYCAP}"
        elif unicodedata.category(character).startswith("M"):
            # Bengali, Kannada and Sinhala also put a joiner before a virama.
            is_joined = before in _JOINERS and not _is_virama(character)
            is_placed_well = character not in _BLANK_MARKS and before != "" and not is_joined
        else:
            is_placed_well = _is_shown(character)
        if not is_placed_well:
            return False
        before = character
    return True


def _is_shown(character: str) -> bool:
    if character in _BLANK | _BLANK_MARKS:
        return False
    return character in _SHOWN_FORMATS or unicodedata.category(character or "\0")[0] in "LMNPS"


def _has_variations(character: str) -> bool:
    """Return whether it can be a symbol or an ideograph, whose look a variation selector chooses."""
    if character in {"\N{INFORMATION SOURCE}", "\N{WAVY DASH}"}:  # Emoji of other categories than the rest.
        return True
    return character != "" and unicodedata.category(character) in {"So", "Sm", "Po", "Lo"}


def _is_virama(character: str) -> bool:
    return character != "" and unicodedata.combining(character) == _VIRAMA_COMBINING_CLASS


def parse_id(what: str, value: object) -> str:
    """Return an id that can be a part of a cache key: a whole number, or a name without a colon.

    It has 64 characters at most. Raise `InvalidInputError`, whose message calls the id `what`.
    """
    id_ = parse_number_or_name(what, value, _ID_MAX_LENGTH)
    if ":" in id_:
        raise InvalidInputError(f"{what} must not have a colon")
    return id_


def parse_number_or_name(what: str, value: object, max_length: int) -> str:
    """Return a whole number as text, or a name. Raise `InvalidInputError`, whose message calls it `what`."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    try:
        return parse_name(str(value) if is_number else value, max_length)
    except InvalidInputError as error:
        raise InvalidInputError(f"{what} must be a whole number or {error}") from None
