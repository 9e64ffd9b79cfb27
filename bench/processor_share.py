"""Limit a process to the processor share that Lambda gives a memory size, with a quota of the kernel."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

MEGABYTES_PER_PROCESSOR = 1769
"""The memory size for which Lambda gives one whole processor.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

_PERIOD_MICROSECONDS = 20_000
_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_VERSION_2 = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def processor_share(megabytes: int) -> Iterator[list[str] | None]:
    """Yield a command prefix that runs a command with the processor share of `megabytes`.

    Yield None if this machine does not support it: it needs Linux and root.
    """
    quota = _PERIOD_MICROSECONDS * megabytes // MEGABYTES_PER_PROCESSOR
    parent = _VERSION_1 if (_VERSION_1 / "cpu.cfs_quota_us").exists() else _VERSION_2
    group = parent / f"bench-{os.getpid()}-{megabytes}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        yield ["/bin/sh", "-c", join, "sh"] if _limit(group, quota) else None
    finally:
        group.rmdir()


def _limit(group: Path, quota: int) -> bool:
    """Return whether the kernel limits the group to `quota` microseconds in each period."""
    try:
        if group.parent == _VERSION_1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
    except OSError:
        return False
    return True
