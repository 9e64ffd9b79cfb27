"""A message as the relay has received it, and its place in its topic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place in a topic. Numbers count up from 1 on a page; each time they start again on a larger page."""

    page: int
    number: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic."""

    topic: str
    position: Position
    publisher_id: str
    """The `token_id` in the publisher's token; empty if it has none."""
    text: str
    received_at: float
    """Epoch seconds. The wire does not tell when it was published."""
