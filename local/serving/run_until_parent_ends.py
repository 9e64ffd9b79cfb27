"""Runs a module as `python -m` does, and ends as soon as the parent process has ended.

The parent holds the other end of standard input and never writes to it: when the parent goes away, however
it does, reading ends. Works on every system that has pipes. `local.serving.child_process` starts it as a
script, so that nothing of `local` becomes importable to the module.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)  # The process leads a group of its own.


def _main() -> None:
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # The module finds its standard input empty.
    os.close(null)
    # The thread takes no signals: a module may wait for them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


_main()
