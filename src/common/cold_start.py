"""Pause garbage collection during a cold start. Import this first; call `finish_cold_start()` after set-up.

What a function loads stays loaded, so collections meanwhile find nothing and only delay the first caller.
"""

from __future__ import annotations

import gc

gc.disable()


def finish_cold_start() -> None:
    """Resume garbage collection, for objects that are created from now on."""
    gc.freeze()
    gc.enable()
