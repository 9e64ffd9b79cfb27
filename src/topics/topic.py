"""What a topic is: the form of its messages, what the webhook does with them, and what users may do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from common.names import parse_id
from momento_access.permissions import Permissions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from momento import CacheClient

Content = TypeVar("Content")


class Redelivery(Enum):
    """Why acting on a message again does no harm, after an attempt that may have succeeded."""

    REPEATABLE = "repeatable"
    """The action changes nothing the second time, such as a `set` or a vote."""
    LOOKED_UP = "looked up"
    """The action first looks whether it was done, if `message.may_be_done`."""
    MAY_DOUBLE = "may double"
    """The action may happen twice if a process dies. It carries the message's id for its consumers."""


class NotPermittedError(Exception):
    """The user may not read what they asked for. The message says what, and may be shown to them."""


@dataclass(frozen=True, slots=True)
class Message(Generic[Content]):
    """A message whose publisher is verified."""

    content: Content
    """What `Topic.parse` has returned."""
    publisher: str
    """The identity in the publisher's token, which the publisher cannot choose."""
    id: str
    """Names the message among those of its publisher on this topic, in every delivery."""
    published_at: int
    """Epoch milliseconds. With the relay, when it received the message: after a crash, that may be later."""
    order: tuple[int, int]
    """Greater than that of every earlier message on this topic, and the same in every delivery."""
    may_be_done: bool
    """Whether an earlier attempt may have acted on it, completely or in part."""


class Services(Protocol):
    """What the webhook gives to a topic's action. Everything is connected when it is first used."""

    @property
    def cache_name(self) -> str:
        """The stack's cache."""

    @property
    def cache(self) -> CacheClient:
        """Momento's client. Its calls raise `MomentoError` instead of returning an error."""

    def publish(self, topic: str, text: str) -> None:
        """Publish a message of the service itself, without an identity. Raise `MomentoError`."""

    def aws_client(self, service: str) -> Any:
        """Return boto3's client of an AWS service, which raises `botocore`'s errors."""


class Topic(ABC, Generic[Content]):
    """One kind of message. A subclass is a file of this folder and a line in its `__init__.py`."""

    name: ClassVar[str]
    """The topic's name at Momento."""
    redelivery: ClassVar[Redelivery]

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the topic's settings, if it has any, from a function's environment."""

    @abstractmethod
    def parse(self, fields: Mapping[str, object]) -> Content:
        """Return the content of a message, given its JSON object without `id`. Raise `InvalidInputError`."""

    @abstractmethod
    def act(self, message: Message[Content], services: Services) -> bool | None:
        """Do what the message asks for. Return False if it was found done already.

        Any error means that the message is not done: the webhook keeps it and tries again.
        """

    def permissions(self, claims: Mapping[str, object], ids: Sequence[object]) -> Permissions:
        """Return what a user's token permits on this topic, and what of its stored state it may read.

        `claims` are the verified claims of the user's JWT, `ids` what the request asks to read of this topic.
        Raise `InvalidInputError` if an id has the wrong form, and `NotPermittedError`. By default, every user
        may publish and subscribe, and read the cache key `<name>:<id>`.
        """
        return Permissions({self.name}, {self.name}, read={self.key(id_) for id_ in ids})

    def key(self, id_: object) -> str:
        """Return the cache key of an id, which no other topic can reach. Raise `InvalidInputError`."""
        return f"{self.name}:{parse_id(f'an id of {self.name}', id_)}"
