"""`python -m tests.chaos.shifted_clock SECONDS`: the relay as a process whose clock is wrong by so much."""

import runpy
import sys
import time

_right_time = time.time
_error = float(sys.argv[1])
time.time = lambda: _right_time() + _error
runpy.run_module("relay", run_name="__main__", alter_sys=True)
