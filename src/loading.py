"""Loads a function without looking for garbage: to be imported before all else, and told when that is done.

What is loaded stays: to look through it again and again while it grows is time that the first caller waits.
"""

from __future__ import annotations

import gc

gc.disable()


def done() -> None:
    """Look for garbage from now on, but only in what comes after."""
    gc.freeze()
    gc.enable()
