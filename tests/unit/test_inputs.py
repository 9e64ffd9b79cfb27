"""Parsing what comes from outside: any input is either understood or refused with a reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.identity import parse_identity
from common.inputs import InvalidInputError, parse_json_object, raw_body, to_json
from publisher.request import Message, parse_event
from token_vendor.request import requested_reads
from topics import enabled_topics
from topics.comment import Comment, Comments
from webhook.request import AnonymousError, parse_message

ENVIRONMENT = {
    "TOPICS": "comment",
    "COMMENT_TTL_SECONDS": "60",
    "COMMENT_LIST_LENGTH": "10",
    "COURSE_IDS_CLAIM": "",
}
TOPICS = enabled_topics(ENVIRONMENT)
COMMENTS = Comments(ENVIRONMENT)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=5)
visible = st.characters(
    categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u2800\u3164\uffa0\U0001d159"
)
course_ids = st.integers(-(10**40), 10**40) | st.text(visible, min_size=1, max_size=128)
identities = st.text(visible, min_size=1, max_size=64)


@given(json_objects)
def test_reads_every_json_object(value: dict[str, Any]) -> None:
    assert parse_json_object(json.dumps(value)) == value
    assert parse_json_object(json.dumps(value, ensure_ascii=True).encode()) == value


@given(st.binary() | st.text() | json_values.map(json.dumps))
def test_refuses_everything_else_with_a_reason(document: bytes | str) -> None:
    try:
        assert isinstance(parse_json_object(document), dict)
    except InvalidInputError as error:
        assert str(error)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400 + ".0"])
def test_refuses_numbers_that_json_could_not_repeat(number: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_json_object(f'{{"votes": [{number}]}}')


@given(json_values)
def test_writes_what_was_parsed_without_escapes(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert to_json(["\u00e9\U0001f389"]) == '["\u00e9\U0001f389"]'


@pytest.mark.parametrize("value", [float("inf"), float("nan"), [{"a": -float("inf")}], "half \ud83d a pair"])
def test_writes_nothing_that_json_does_not_have(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"a number is too large|a character is incomplete"):
        to_json(value)


@given(st.binary())
def test_gives_back_the_bytes_of_a_body(body: bytes) -> None:
    assert raw_body({"body": base64.b64encode(body).decode(), "isBase64Encoded": True}) == body


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_gives_back_the_text_of_a_body(body: str) -> None:
    assert raw_body({"body": body, "isBase64Encoded": False}).decode() == body


@pytest.mark.parametrize("body", ["e30", "e3*0=", "e30=\n", "{}"])
def test_refuses_a_body_that_is_not_base64(body: str) -> None:
    assert raw_body({"body": "e30=", "isBase64Encoded": True}) == b"{}"
    with pytest.raises(InvalidInputError, match="the body cannot be read"):
        raw_body({"body": body, "isBase64Encoded": True})


@given(json_objects)
def test_every_body_is_bytes_or_refused(event: dict[str, Any]) -> None:
    for body in event.values():
        for encoded in (True, False):
            try:
                assert isinstance(raw_body({"body": body, "isBase64Encoded": encoded}), bytes)
            except InvalidInputError as error:
                assert str(error)


@given(course_ids, st.text())
def test_reads_a_comment(course_id: int | str, text: str) -> None:
    assert COMMENTS.parse({"courseId": course_id, "comment": text}) == Comment(str(course_id), text)


@given(json_values)
def test_every_course_id_names_a_list_or_is_refused(value: Any) -> None:
    try:
        comment = COMMENTS.parse({"courseId": value, "comment": ""})
    except InvalidInputError as error:
        assert "courseId" in str(error)
    else:
        assert 0 < len(comment.course_id.encode()) <= 4 * 128


@pytest.mark.parametrize("course_id", ["comment:1", "comment:", "comment:x:y"])
def test_a_course_cannot_have_the_keys_of_a_topic(course_id: str) -> None:
    with pytest.raises(InvalidInputError, match="must not begin with comment:"):
        COMMENTS.parse({"courseId": course_id, "comment": ""})


def test_a_course_may_have_other_names_with_a_colon() -> None:
    for course_id in ("math:1", ":", "comment", "comments:1"):
        assert COMMENTS.parse({"courseId": course_id, "comment": ""}).course_id == course_id


@given(identities)
def test_an_identity_fits_into_a_token_as_it_is(identity: str) -> None:
    assert parse_identity(identity) == identity


@pytest.mark.parametrize("character", ["x", "\u00e9", "\U0001f389"])
def test_an_identity_has_64_characters_at_most(character: str) -> None:
    assert parse_identity(character * 64) == character * 64
    with pytest.raises(InvalidInputError):
        parse_identity(character * 65)


@pytest.mark.parametrize("identity", [None, 1, "", "x" * 65, "a\u0000b", "a\nb", "\udc00", ["a"]])
def test_refuses_identities_that_do_not_fit_a_token(identity: Any) -> None:
    with pytest.raises(InvalidInputError):
        parse_identity(identity)


@given(
    json_values,
    st.fixed_dictionaries(
        {},
        optional={
            "userId": identities | json_values,
            "courseId": course_ids | json_values,
            "comment": st.text() | json_values,
        },
    ),
)
def test_every_publisher_event_is_understood_or_refused(value: Any, fields: dict[str, Any]) -> None:
    for event in (value, fields, {"messages": value}, {"messages": [fields, value]}):
        try:
            messages = parse_event(event, TOPICS, "request")
        except InvalidInputError as error:
            assert str(error)
            continue
        for message in messages:
            assert (
                isinstance(message, InvalidInputError)
                or json.loads(message.text)["comment"] == fields["comment"]
            )


@given(st.lists(st.tuples(identities, course_ids, st.text())))
def test_reads_every_message_of_a_batch(batch: list[tuple[str, int | str, str]]) -> None:
    messages = [{"userId": user, "courseId": course, "comment": text} for user, course, text in batch]
    parsed = parse_event({"messages": messages}, TOPICS, "request")
    assert [
        (message.user_id, message.topic, json.loads(message.text))
        for message in parsed
        if isinstance(message, Message)
    ] == [
        (user, "comment", {"courseId": course, "comment": text, "id": f"request-{index}"})
        for index, (user, course, text) in enumerate(batch)
    ]


@given(
    json_objects
    | st.fixed_dictionaries({"courseIds": json_values})
    | st.fixed_dictionaries({"reads": json_values | st.dictionaries(st.just("comment"), json_values)})
)
def test_every_token_request_is_understood_or_refused(content: dict[str, Any]) -> None:
    try:
        reads = requested_reads({"body": json.dumps(content)}, TOPICS)
    except InvalidInputError as error:
        assert str(error)
    else:
        assert sum(map(len, reads.values())) <= 10


@given(st.lists(course_ids, max_size=10))
def test_a_token_may_read_just_the_courses_asked_for(ids: list[int | str]) -> None:
    body = json.dumps({"courseIds": ids})
    requested = requested_reads({"body": body}, TOPICS)["comment"]
    assert COMMENTS.permissions({}, requested).read == {str(course_id) for course_id in ids}


WEBHOOK_FIELDS = {
    "cache": "course-comments",
    "topic": "comment",
    "event_timestamp": 1,
    "topic_sequence_number": 2,
    "topic_sequence_page": 3,
    "token_id": "taylor",
    "text": '{"courseId": 1, "comment": "x"}',
}


@given(
    st.sampled_from(sorted(WEBHOOK_FIELDS)),
    st.text() | st.integers() | json_values,
    st.sets(st.sampled_from([*WEBHOOK_FIELDS])),
)
def test_every_webhook_body_is_a_message_or_refused(changed: str, value: Any, missing: set[str]) -> None:
    content = {name: known for name, known in WEBHOOK_FIELDS.items() if name not in missing} | {
        changed: value
    }
    try:
        message = parse_message(content, TOPICS, "course-comments")
    except AnonymousError:
        assert content["token_id"] == ""
    except InvalidInputError as error:
        assert str(error)
    else:
        assert set(content) >= set(WEBHOOK_FIELDS) - {"topic_sequence_page"}
        assert (message.publisher, message.topic.name) == (content["token_id"], content["topic"])


@given(
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40), st.none() | st.integers(0, 2**40)),
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40), st.none() | st.integers(0, 2**40)),
)
def test_messages_have_the_same_id_only_if_they_are_the_same(
    one: tuple[int, int, int | None], other: tuple[int, int, int | None]
) -> None:
    def message(published: int, number: int, page: int | None) -> dict[str, Any]:
        content = WEBHOOK_FIELDS | {"text": '{"courseId": 1, "comment": "x"}'}
        del content["topic_sequence_page"]
        sequence = {"event_timestamp": published, "topic_sequence_number": number}
        return content | sequence | ({} if page is None else {"topic_sequence_page": page})

    def key(published: int, number: int, page: int | None) -> tuple[Any, ...]:
        return ("time", published, number) if page is None else ("page", page, number)

    [first, second] = [parse_message(message(*fields), TOPICS, "course-comments") for fields in (one, other)]
    assert (first.key == second.key) == (first.id == second.id) == (key(*one) == key(*other))


def test_a_topic_that_is_not_registered_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="TOPICS names pol; there is comment, poll, chat, event"):
        enabled_topics({"TOPICS": "comment, pol"})
    with pytest.raises(KeyError, match="TOPICS"):
        enabled_topics({})
