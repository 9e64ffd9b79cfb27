"""Polls: who may vote, read and listen, and what the tally says."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from momento import CredentialProvider, TopicClient, TopicConfigurations
from momento.errors import MomentoErrorCode
from momento.responses import CacheGet, CacheSetFetch, TopicPublish
from momento.responses.mixins import ErrorResponseMixin

from local.poll import Place, PollError, close_poll, deployed_place, open_poll
from local.stack.facts import MomentoFacts
from tests.support.deliveries import Deliveries
from tests.support.functions import Function, as_a_new_process
from tests.support.momento import CACHE, Momento, Subscription
from tests.support.project import ROOT
from tests.support.stack_facts import FACTS
from tests.support.token_requests import token_request

FRUIT = ["apple", "pear", "plum"]
Before = tuple[str, Callable[[], None]] | None


@pytest.fixture(scope="module")
def votes(load: Callable[..., Function], environment: dict[str, str]) -> Deliveries:
    return Deliveries(load("webhook", TOPICS="comment,poll"), "poll", environment["SPILL_QUEUE_URL"])


@pytest.fixture
def place(momento: Momento) -> Place:
    return Place(momento.credentials(), CACHE)


@pytest.fixture
def poll(place: Place) -> str:
    """Return the id of an open poll."""
    poll_id = f"poll {uuid.uuid4()}"
    open_poll(place, poll_id, "Which fruit?", FRUIT)
    return poll_id


def vote(poll_id: str, choice: Any) -> dict[str, Any]:
    return {"pollId": poll_id, "choice": choice}


def tally(momento: Momento, poll_id: str, auth_token: str | None = None) -> Any:
    with momento.cache_client(auth_token) as cache:
        found = cache.get(CACHE, f"poll:{poll_id}:tally")
    assert isinstance(found, CacheGet.Hit), found
    return json.loads(found.value_string)


def test_a_later_vote_replaces_an_earlier_one_of_the_same_voter(
    votes: Deliveries, momento: Momento, poll: str
) -> None:
    assert tally(momento, poll) == {"apple": 0, "pear": 0, "plum": 0}
    for voter, choice in [("taylor", "pear"), ("jordan", "plum"), ("taylor", "plum"), ("kim", "apple")]:
        assert votes.send(vote(poll, choice), voter) == (200, "stored")
    assert tally(momento, poll) == {"apple": 1, "pear": 0, "plum": 2}


def test_each_change_is_published(votes: Deliveries, momento: Momento, poll: str) -> None:
    with momento.subscribe(topic="poll-results") as results:
        votes.send(vote(poll, "pear"))
        votes.send(vote(poll, "plum"))
        published = [json.loads(results.next()[1]) for _ in range(2)]
    assert published == [
        {"pollId": poll, "tally": {"apple": 0, "pear": 1, "plum": 0}},
        {"pollId": poll, "tally": {"apple": 0, "pear": 0, "plum": 1}},
    ]


@pytest.mark.parametrize(
    ("earlier", "later"), [((7, 1), (7, 2)), ((7, 9), (7, 10)), ((9, 50), (10, 0)), ((2**63, 1), (2**63, 2))]
)
def test_an_earlier_vote_that_arrives_late_does_not_count(
    earlier: tuple[int, int], later: tuple[int, int], votes: Deliveries, momento: Momento, poll: str
) -> None:
    """After a crash, the relay gives the earlier vote a later time: when it received it again."""
    votes.send(vote(poll, "pear"), poll, order=later, published_at=1000)
    assert votes.send(vote(poll, "apple"), poll, order=earlier, published_at=2000) == (200, "stored")
    assert tally(momento, poll) == {"apple": 0, "pear": 1, "plum": 0}


def test_of_two_votes_in_the_same_millisecond_the_later_one_counts(
    votes: Deliveries, momento: Momento, poll: str
) -> None:
    """As the relay delivers them when it receives what was published during an outage."""
    for number, choice in enumerate(["plum", "pear", "apple"], start=1):
        votes.send(vote(poll, choice), poll, order=(7, number), published_at=1000)
    assert tally(momento, poll) == {"apple": 1, "pear": 0, "plum": 0}


def test_a_vote_that_waited_in_the_spill_queue_does_not_replace_a_later_one(
    votes: Deliveries, momento: Momento, poll: str
) -> None:
    momento.admin("/fail", rpcs="set-union", error="internal", count=1)
    assert votes.send(vote(poll, "apple")) == (202, "queued")
    votes.send(vote(poll, "pear"))
    assert votes.retry(votes.spilled(poll))
    assert tally(momento, poll) == {"apple": 0, "pear": 1, "plum": 0}


@pytest.mark.parametrize(
    "rpcs",
    ["get", "set-union", "set-fetch", "sorted-set-put", "sorted-set-get-rank", "set", "topic-publish"],
)
def test_a_vote_that_failed_half_way_counts_once_when_it_is_tried_again(
    rpcs: str, votes: Deliveries, momento: Momento, poll: str
) -> None:
    momento.admin("/fail", rpcs=rpcs, error="internal", count=1)
    assert votes.send(vote(poll, "plum")) == (202, "queued")
    with momento.subscribe(topic="poll-results") as results:
        assert votes.retry(votes.spilled(poll))
        assert json.loads(results.next()[1])["tally"] == {"apple": 0, "pear": 0, "plum": 1}
    assert tally(momento, poll) == {"apple": 0, "pear": 0, "plum": 1}


def act(environment: dict[str, str], votes: list[tuple[str, str, str, int]], before: Before = None) -> None:
    """Take votes of `(poll_id, voter, choice, number)`, as a webhook in a process of its own would.

    Before the cache's method of the given name is called, call the function, once.
    """
    with as_a_new_process(environment):
        _act(environment, votes, before)


def _act(environment: dict[str, str], votes: list[tuple[str, str, str, int]], before: Before) -> None:
    from momento_access.settings import MomentoSettings
    from topics import registered_topics
    from topics.topic import Message
    from webhook.services import WebhookServices

    class Cache:
        def __init__(self, cache: Any) -> None:
            self._cache = cache

        def __getattr__(self, name: str) -> Any:
            nonlocal before
            if before and before[0] == name:
                meanwhile, before = before[1], None
                meanwhile()
            return getattr(self._cache, name)

    class Services(WebhookServices):
        @property
        def cache(self) -> Any:
            return Cache(super().cache)

    polls = registered_topics()["poll"](environment)
    services = Services(MomentoSettings.from_environ(environment))
    for poll_id, voter, choice, number in votes:
        content = polls.parse(vote(poll_id, choice))
        message = Message(content, voter, f"id {number}", 1000, order=(7, number), may_be_done=True)
        polls.act(message, services)


def test_a_vote_that_is_overtaken_by_a_later_one_does_not_count(
    momento: Momento, environment: dict[str, str], poll: str
) -> None:
    def meanwhile() -> None:
        act(environment, [(poll, "taylor", "plum", 2000)])

    act(environment, [(poll, "taylor", "apple", 1000)], before=("sorted_set_put_elements", meanwhile))
    assert tally(momento, poll) == {"apple": 0, "pear": 0, "plum": 1}


def test_a_tally_is_kept_for_a_day(votes: Deliveries, momento: Momento, poll: str) -> None:
    votes.send(vote(poll, "pear"), "kim")
    for key in (f"poll:{poll}:tally", f"poll::standing:{poll}", f"poll::votes:{poll}:kim"):
        assert 86_300 < momento.remaining_ttl_seconds(key) <= 86_400


def test_the_tally_is_zero_if_the_votes_are_deleted_meanwhile(
    momento: Momento, environment: dict[str, str], poll: str
) -> None:
    def meanwhile() -> None:
        with momento.cache_client() as cache:
            cache.delete(CACHE, f"poll::standing:{poll}")

    act(environment, [(poll, "taylor", "pear", 1)], before=("sorted_set_get_rank", meanwhile))
    assert tally(momento, poll) == {"apple": 0, "pear": 0, "plum": 0}


def test_a_tally_that_is_overtaken_by_another_vote_is_not_shown_last(
    momento: Momento, environment: dict[str, str], poll: str
) -> None:
    def meanwhile() -> None:
        act(environment, [(poll, "jordan", "plum", 1000)])

    with momento.subscribe(topic="poll-results") as results:
        act(environment, [(poll, "taylor", "apple", 1000)], before=("set", meanwhile))
        published = published_until_now(momento, results)
    assert published[-1]["tally"] == tally(momento, poll) == {"apple": 1, "pear": 0, "plum": 1}


def test_the_tally_is_right_after_webhooks_have_raced(
    momento: Momento, environment: dict[str, str], poll: str
) -> None:
    order = random.Random(7)  # noqa: S311
    voters = [f"voter {number}" for number in range(8)]
    cast = [(poll, voter, order.choice(FRUIT), number) for number, voter in enumerate(voters * 3)]
    expected = dict.fromkeys(FRUIT, 0) | Counter({voter: choice for _, voter, choice, _ in cast}.values())
    cast *= 2  # Each is delivered twice.
    order.shuffle(cast)
    with (
        momento.subscribe(topic="poll-results") as results,
        ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as webhooks,
    ):
        list(webhooks.map(act, [environment] * 3, [cast[start::3] for start in range(3)]))
        published = published_until_now(momento, results)
    assert published[-1]["tally"] == tally(momento, poll) == expected


def published_until_now(momento: Momento, results: Subscription) -> list[Any]:
    with TopicClient(TopicConfigurations.Default.latest(), momento.credentials()) as client:
        client.publish(CACHE, "poll-results", "the end")
    return [json.loads(text) for text in iter(lambda: results.next()[1], "the end")]


def test_only_the_last_vote_of_a_voter_is_kept(votes: Deliveries, momento: Momento, poll: str) -> None:
    for number in range(30):
        votes.send(vote(poll, FRUIT[number % 3]), "kim", order=(1000, number))
    with momento.cache_client() as cache:
        kept = cache.set_fetch(CACHE, f"poll::votes:{poll}:kim")
    assert isinstance(kept, CacheSetFetch.Hit)
    assert len(kept.value_set_bytes) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"choice": "cherry"}, "choice must be one of the poll's"),
        ({"choice": 1}, "choice must be a string"),
        ({"pollId": "another"}, "there is no such poll"),
        ({"pollId": "a:b"}, "pollId must not have a colon"),
        ({"pollId": ""}, "pollId must be a whole number or a string of 1 to 64 visible characters"),
        ({"pollId": True}, "pollId must be a whole number or a string of 1 to 64 visible characters"),
    ],
)
def test_refuses_messages_that_are_not_votes(
    fields: dict[str, Any], reason: str, votes: Deliveries, momento: Momento, poll: str
) -> None:
    status, said = votes.send({**vote(poll, "apple"), **fields})
    assert status == 400
    assert reason in said
    assert tally(momento, poll) == {"apple": 0, "pear": 0, "plum": 0}


def test_refuses_votes_while_a_poll_is_closed(
    votes: Deliveries, momento: Momento, place: Place, poll: str
) -> None:
    votes.send(vote(poll, "apple"))
    close_poll(place, poll)
    assert votes.send(vote(poll, "pear")) == (400, "Bad request: the poll is closed")
    assert tally(momento, poll) == {"apple": 1, "pear": 0, "plum": 0}
    open_poll(place, poll, "Which fruit?", FRUIT)
    assert votes.send(vote(poll, "pear")) == (200, "stored")
    assert tally(momento, poll) == {"apple": 0, "pear": 1, "plum": 0}


def test_a_token_may_read_the_definition_and_tally_of_its_polls_but_no_vote(
    votes: Deliveries, momento: Momento, place: Place, load: Callable[..., Function], poll: str
) -> None:
    other = f"{poll}2"  # Begins with the same characters.
    open_poll(place, other, "Which fruit?", FRUIT)
    votes.send(vote(poll, "pear"))
    auth_token = token(load, poll)
    assert tally(momento, poll, auth_token)["pear"] == 1
    with momento.cache_client(auth_token) as cache:
        assert isinstance(cache.get(CACHE, f"poll:{poll}:definition"), CacheGet.Hit)
        refused = [
            cache.get(CACHE, f"poll:{other}:tally"),
            cache.sorted_set_fetch_by_rank(CACHE, f"poll::standing:{poll}"),
            cache.set_fetch(CACHE, f"poll::votes:{poll}:taylor"),
            cache.set(CACHE, f"poll:{poll}:tally", "{}"),
        ]
    for response in refused:
        assert isinstance(response, ErrorResponseMixin), response
        assert response.error_code is MomentoErrorCode.PERMISSION_ERROR


def test_a_token_may_only_vote_and_subscribe_to_results(
    momento: Momento, load: Callable[..., Function], poll: str
) -> None:
    auth_token = token(load, poll)
    with TopicClient(TopicConfigurations.Default.latest(), momento.credentials(auth_token)) as client:
        assert isinstance(client.publish(CACHE, "poll", "{}"), TopicPublish.Success)
        refused = client.publish(CACHE, "poll-results", "{}")
    assert isinstance(refused, TopicPublish.Error)
    assert refused.error_code is MomentoErrorCode.PERMISSION_ERROR
    with momento.subscribe(auth_token, "poll-results"), pytest.raises(grpc.RpcError) as error:
        momento.subscribe(auth_token, "poll")
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("poll_id", ["", ":", "votes:42", ":votes", None])
def test_no_token_is_given_for_an_invalid_poll(poll_id: Any, load: Callable[..., Function]) -> None:
    answer = ask_for_token(load, poll_id)
    assert answer["statusCode"] == 400
    assert "pollId must" in json.loads(answer["body"])["message"]


def ask_for_token(load: Callable[..., Function], poll_id: Any) -> dict[str, Any]:
    vendor = load("token_vendor", TOPICS="comment,poll")
    return vendor(token_request("taylor", {"reads": {"poll": [poll_id]}}))


def token(load: Callable[..., Function], poll_id: str) -> str:
    return str(json.loads(ask_for_token(load, poll_id)["body"])["authToken"])


def test_the_command_opens_and_closes_a_poll_of_the_local_stack(
    votes: Deliveries, momento: Momento, tmp_path: Path
) -> None:
    server, poll_id = momento.server, str(uuid.uuid4())
    its_momento = MomentoFacts(server.host, server.port, None, None, server.api_key)
    facts = dataclasses.replace(FACTS, momento=its_momento, cache=CACHE)
    (tmp_path / "stack.json").write_text(facts.to_json())

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "local.poll", "--state-dir", str(tmp_path), *arguments]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)

    opened = command("open", poll_id, "Which fruit?", *FRUIT)
    assert (opened.returncode, opened.stdout) == (0, f"Poll {poll_id} is open\n")
    assert votes.send(vote(poll_id, "plum")) == (200, "stored")
    other_choices = command("open", poll_id, "Which fruit?", "apple", "fig")
    assert (other_choices.returncode, other_choices.stdout) == (1, "")
    assert "give the new one another id" in other_choices.stderr
    assert command("close", poll_id).stdout == f"Poll {poll_id} is closed\n"
    assert votes.send(vote(poll_id, "plum"))[0] == 400
    assert command("close", "another").stderr == "There is no such poll.\n"
    (tmp_path / "stack.json").unlink()
    without_stack = command("close", poll_id)
    assert without_stack.returncode == 1
    assert without_stack.stderr.endswith("start one with make run, or give --stack\n")


@pytest.mark.parametrize(
    ("poll_id", "choices"),
    [
        ("", FRUIT),
        ("a:b", FRUIT),
        ("x" * 65, FRUIT),
        (" 42", FRUIT),
        ("42", ["apple"]),
        ("42", ["apple", "apple"]),
        ("42", [str(number) for number in range(21)]),
        ("42", ["a" * 2000, "b" * 2000]),
    ],
)
def test_a_poll_that_could_not_be_used_is_not_opened(poll_id: str, choices: list[str], place: Place) -> None:
    with pytest.raises(PollError):
        open_poll(place, poll_id, "?", choices)


def test_finds_the_cache_and_the_api_key_of_a_stack_on_aws(environment: dict[str, str]) -> None:
    stack = f"stack-{uuid.uuid4().hex}"
    secret_id = boto3.client("secretsmanager").create_secret(
        Name=f"key-{stack}", SecretString="e30.eyJ0IjoiZyJ9.sig\n"
    )["Name"]
    # moto's CloudFormation makes no secrets, so a table takes the place of one.
    table = {
        "TableName": secret_id,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    values = {"CacheName": "fruit", "MomentoEndpoint": "momento.example.com"}
    template = {
        "Parameters": {name: {"Type": "String"} for name in values},
        "Resources": {"MomentoApiKeySecret": {"Type": "AWS::DynamoDB::Table", "Properties": table}},
    }
    boto3.client("cloudformation").create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    )
    place = deployed_place(stack)
    assert place.cache == "fruit"
    assert isinstance(place.credentials, CredentialProvider)
    assert place.credentials.auth_token == "e30.eyJ0IjoiZyJ9.sig"
    assert place.credentials.cache_endpoint == "cache.momento.example.com"
    with pytest.raises(PollError, match="Cannot describe the stack"):
        deployed_place("another-stack")
