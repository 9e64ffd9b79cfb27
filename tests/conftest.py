"""What tests of any kind may use: the functions in this process, with what they need behind them."""

from tests.function_harness import aws_endpoint, environment, load, momento

__all__ = ["aws_endpoint", "environment", "load", "momento"]  # The fixtures.
