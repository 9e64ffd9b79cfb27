"""Run a module as `python -m` does, and end when the parent process ends.

The parent holds the other end of standard input and never writes to it, so reading ends when the parent ends
for any reason. This works on every system with pipes. `local.serving.child_process` starts this file as a
script, so that the module cannot import `local`.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)  # This process leads its own group.


def _main() -> None:
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # The module gets an empty standard input.
    os.close(null)
    # The thread must not receive signals, because the module may wait for them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


_main()
