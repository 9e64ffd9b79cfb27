"""A TCP proxy that can stop forwarding what is on its connections, for tests that block.

That is what a client sees when a load balancer, a NAT or a firewall has forgotten its connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.flow_proxy import FlowProxy


class BlackHole:
    """Forwards connections, on a thread of its own, until `swallow` is called."""

    def __init__(self, proxy: FlowProxy, thread: BlockingPortal) -> None:
        """Use `black_hole`."""
        self._proxy = proxy
        self._thread = thread
        self.address = proxy.address

    @property
    def accepted(self) -> int:
        """Return how many connections were made so far."""
        return self._proxy.accepted

    def swallow(self) -> None:
        """Drop from now on what comes over the connections that exist. New connections work."""
        self._thread.call(self._proxy.drop_all)


@contextmanager
def black_hole(port: int) -> Iterator[BlackHole]:
    """Forward connections to this port inside."""
    with (
        start_blocking_portal() as thread,
        thread.wrap_async_context_manager(FlowProxy.listening()) as proxy,
    ):
        thread.call(proxy.forward_to, port)
        yield BlackHole(proxy, thread)
