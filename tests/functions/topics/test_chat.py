"""Chat: what is shown in which language, once, and who may say, hear and read what."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import grpc
import pytest
from momento import TopicClient, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import CacheListFetch, TopicPublish

from local.aws.translation import Translation
from tests.support.aws_proxy import AwsProxy
from tests.support.deliveries import Deliveries
from tests.support.functions import Function
from tests.support.message_record import delete_record
from tests.support.momento import CACHE, Momento
from tests.support.spill_queue import spilled_record
from tests.support.token_requests import token_request
from tests.support.wsgi_service import serve

LANGUAGES = ["en", "de", "es"]
CHAT = {"TOPICS": "comment,chat", "CHAT_LANGUAGES": ",".join(LANGUAGES)}


class Translate:
    """The stand-in for Amazon Translate, which fails for some languages."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        self._stand_in = Translation(lambda environ, start_response: [])

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        request = json.loads(body)
        self.requests.append(request)
        if request["TargetLanguageCode"] in self.failing:
            start_response("503 Service Unavailable", [("Content-Type", "application/x-amz-json-1.1")])
            return [b'{"__type": "ServiceUnavailableException"}']
        environ["wsgi.input"] = io.BytesIO(body)
        return self._stand_in(environ, start_response)


@pytest.fixture(scope="module")
def translate_server() -> Iterator[Translate]:
    translate = Translate()
    with serve(translate) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_TRANSLATE", url)
        yield translate


@pytest.fixture(autouse=True)
def translate(translate_server: Translate) -> Iterator[Translate]:
    translate_server.requests.clear()
    yield translate_server
    translate_server.failing.clear()


@pytest.fixture(scope="module")
def dynamodb(aws_endpoint: str) -> Iterator[AwsProxy]:
    with AwsProxy(aws_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def chat(
    load: Callable[..., Function],
    environment: dict[str, str],
    translate_server: Translate,
    dynamodb: AwsProxy,
) -> Deliveries:
    webhook = load("webhook", **CHAT, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.url)
    return Deliveries(webhook, "chat", environment["SPILL_QUEUE_URL"])


@pytest.fixture
def room() -> str:
    return f"room {uuid.uuid4()}"


def said(room: str, text: Any = "Good morning", language: Any = "en", **more: Any) -> dict[str, Any]:
    return {"room": room, "language": language, "text": text, **more}


def history(momento: Momento, room: str, language: str, auth_token: str | None = None) -> list[Any]:
    with momento.cache_client(auth_token) as cache:
        fetched = cache.list_fetch(CACHE, f"chat:{room}:{language}")
    assert not isinstance(fetched, CacheListFetch.Error)
    return list(map(json.loads, fetched.value_list_string)) if isinstance(fetched, CacheListFetch.Hit) else []


def texts(momento: Momento, room: str) -> dict[str, list[str]]:
    """Return what a room shows in each language, newest first."""
    return {language: [entry["text"] for entry in history(momento, room, language)] for language in LANGUAGES}


def test_each_language_shows_the_message_under_its_authors_name(
    chat: Deliveries, momento: Momento, room: str
) -> None:
    with (
        momento.subscribe(topic=f"chat:{room}:de") as german,
        momento.subscribe(topic=f"chat:{room}:en") as own,
    ):
        assert chat.send(said(room, "Guten Tag", "de", id="click 1"), "taylor", published_at=5000) == (
            200,
            "stored",
        )
        shown = {"de": json.loads(german.next()[1]), "en": json.loads(own.next()[1])}
    common = {
        "userID": "taylor",
        "original": "Guten Tag",
        "originalLanguage": "de",
        "id": "click 1",
        "publishedAt": 5000,
    }
    assert shown == {
        "de": {**common, "text": "Guten Tag"},
        "en": {**common, "text": "[en] Guten Tag"},
    }
    assert history(momento, room, "de") == [shown["de"]]
    assert texts(momento, room) == {
        "en": ["[en] Guten Tag"],
        "de": ["Guten Tag"],
        "es": ["[es] Guten Tag"],
    }


def test_asks_for_masked_profanity_and_for_no_translation_into_the_authors_language(
    chat: Deliveries, translate: Translate, momento: Momento, room: str
) -> None:
    chat.send(said(room, "what the #!heck", "es"))
    assert sorted(request["TargetLanguageCode"] for request in translate.requests) == ["de", "en"]
    assert {request["SourceLanguageCode"] for request in translate.requests} == {"es"}
    assert texts(momento, room)["en"] == ["[en] what the ?$#@$"]


def test_a_failed_language_delays_no_other_and_is_tried_again_alone(
    chat: Deliveries, translate: Translate, momento: Momento, room: str
) -> None:
    translate.failing = {"en"}
    assert chat.send(said(room, "Guten Tag", "de")) == (202, "queued")
    assert texts(momento, room) == {"en": [], "de": ["Guten Tag"], "es": ["[es] Guten Tag"]}
    translate.failing = set()
    translate.requests.clear()
    with momento.subscribe(topic=f"chat:{room}:en") as english:
        assert chat.retry(chat.spilled(room))
        assert json.loads(english.next()[1])["text"] == "[en] Guten Tag"
    assert [request["TargetLanguageCode"] for request in translate.requests] == ["en"]
    assert texts(momento, room) == {
        "en": ["[en] Guten Tag"],
        "de": ["Guten Tag"],
        "es": ["[es] Guten Tag"],
    }


@pytest.mark.parametrize("rpcs", ["topic-publish", "list-push-front"])
@pytest.mark.parametrize("error", ["internal", "unavailable", "resource-exhausted"])
def test_every_language_has_the_message_once_after_a_fault_of_momento(
    rpcs: str, error: str, chat: Deliveries, momento: Momento, room: str
) -> None:
    momento.admin("/fail", rpcs=rpcs, error=error, count=1)
    is_tried_again_at_once = error == "unavailable"
    assert chat.send(said(room)) == ((200, "stored") if is_tried_again_at_once else (202, "queued"))
    if not is_tried_again_at_once:
        assert [len(shown) for shown in texts(momento, room).values()].count(1) == 2
        assert chat.retry(chat.spilled(room))
    assert texts(momento, room) == {
        "en": ["Good morning"],
        "de": ["[de] Good morning"],
        "es": ["[es] Good morning"],
    }


def test_a_message_that_was_already_shown_is_not_shown_again(
    chat: Deliveries, dynamodb: AwsProxy, translate: Translate, momento: Momento, room: str
) -> None:
    request = chat.request(said(room))
    assert chat.deliver(request) == (200, "stored")
    translate.requests.clear()
    delete_record(dynamodb)  # As if the process had died before it could note what it did.
    assert chat.retry({"Records": [spilled_record(base64.b64decode(request["body"]).decode())]})
    assert translate.requests == []
    assert texts(momento, room)["de"] == ["[de] Good morning"]


def test_a_language_that_is_listed_twice_shows_a_message_once(
    load: Callable[..., Function], environment: dict[str, str], momento: Momento, room: str
) -> None:
    webhook = load("webhook", TOPICS="chat", CHAT_LANGUAGES="en, de,en")
    assert Deliveries(webhook, "chat", environment["SPILL_QUEUE_URL"]).send(said(room)) == (200, "stored")
    assert texts(momento, room) == {"en": ["Good morning"], "de": ["[de] Good morning"], "es": []}


def test_the_history_keeps_the_newest_hundred(chat: Deliveries, momento: Momento, room: str) -> None:
    with momento.cache_client() as cache:
        cache.list_concatenate_front(CACHE, f"chat:{room}:en", [json.dumps({"text": "old"})] * 120)
    chat.send(said(room))
    assert texts(momento, room)["en"] == ["Good morning"] + ["old"] * 99


def test_the_history_is_kept_for_a_day(chat: Deliveries, momento: Momento, room: str) -> None:
    chat.send(said(room))
    for language in LANGUAGES:
        assert 86_300 < momento.remaining_ttl_seconds(f"chat:{room}:{language}") <= 86_400


def test_the_other_languages_wait_for_the_next_try_if_momento_does_not_answer(
    chat: Deliveries, momento: Momento, room: str
) -> None:
    """To wait for Momento once more for each of them would take longer than the webhook has."""
    with momento.subscribe(topic=f"chat:{room}:de") as german:
        momento.admin("/delay", rpcs="list-push-front", ms=1500)
        assert chat.send(said(room)) == (202, "queued")
        momento.admin("/clear-faults")
        with TopicClient(TopicConfigurations.Default.latest(), momento.credentials()) as client:
            client.publish(CACHE, f"chat:{room}:de", "nothing before")
        assert german.next()[1] == "nothing before"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"room": "a:b"}, "room must not have a colon"),
        ({"room": ""}, "room must be a whole number or a string of 1 to 64"),
        ({"room": None}, "room must be a whole number or a string of 1 to 64"),
        ({"language": "fr"}, "language must be one of en, de, es"),
        ({"language": ["en"]}, "language must be one of en, de, es"),
        ({"text": ""}, "text must be a string that is not blank"),
        ({"text": " \n"}, "text must be a string that is not blank"),
        ({"text": 7}, "text must be a string that is not blank"),
        ({"text": "\ud83d"}, "a character is incomplete"),
        ({"text": "x" * 899}, "text must have 900 bytes at most"),
        ({"text": "\u00fc" * 450}, "text must have 900 bytes at most"),
        ({"text": "\x01" * 150}, "text must have 900 bytes at most"),
    ],
)
def test_refuses_messages_that_cannot_be_shown(
    fields: dict[str, Any], reason: str, chat: Deliveries, translate: Translate, room: str
) -> None:
    status, answer = chat.send(said(room) | fields)
    assert status == 400
    assert reason in answer
    assert translate.requests == []


@pytest.mark.parametrize("character", ["x", "\u00fc", "\u0e01", "\U0001f600", '"', "\n.", "\x01"])
def test_shows_the_longest_text_of_any_script(
    character: str, chat: Deliveries, momento: Momento, room: str
) -> None:
    size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    text = character * (898 // size)
    assert chat.send(said(room, text), publisher="\U0001f600" * 64) == (200, "stored")
    assert texts(momento, room)["de"] == [f"[de] {text}"]


def test_a_token_may_publish_on_chat_and_read_the_requested_rooms(
    chat: Deliveries, momento: Momento, load: Callable[..., Function], room: str
) -> None:
    other = f"{room}2"  # Begins with the same characters.
    for name in (room, other):
        chat.send(said(name))
    auth_token = json.loads(ask_for_token(load, [room])["body"])["authToken"]
    with TopicClient(TopicConfigurations.Default.latest(), momento.credentials(auth_token)) as client:
        assert isinstance(client.publish(CACHE, "chat", "{}"), TopicPublish.Success)
        refused = client.publish(CACHE, f"chat:{room}:en", "{}")
    assert isinstance(refused, TopicPublish.Error)
    assert refused.error_code is MomentoErrorCode.PERMISSION_ERROR
    with momento.subscribe(auth_token, f"chat:{room}:de"):
        pass
    for topic in ("chat", f"chat:{other}:de"):
        with pytest.raises(grpc.RpcError) as error:
            momento.subscribe(auth_token, topic)
        assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(history(momento, room, "en", auth_token)) == 1
    with momento.cache_client(auth_token) as cache:
        unread = cache.list_fetch(CACHE, f"chat:{other}:en")
    assert isinstance(unread, CacheListFetch.Error)
    assert unread.error_code is MomentoErrorCode.PERMISSION_ERROR


@pytest.mark.parametrize("room", ["", ":", "lobby:en", None])
def test_no_token_is_given_for_an_invalid_room(room: Any, load: Callable[..., Function]) -> None:
    answer = ask_for_token(load, [room])
    assert answer["statusCode"] == 400
    assert "room must" in json.loads(answer["body"])["message"]


def ask_for_token(load: Callable[..., Function], rooms: list[Any]) -> dict[str, Any]:
    vendor = load("token_vendor", **CHAT)
    return vendor(token_request("taylor", {"reads": {"chat": rooms}}))
