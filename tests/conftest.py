"""What tests of any kind may use: the functions in this process, with what they need behind them."""

from tests.all_topics import all_topics
from tests.function_harness import aws_endpoint, environment, load, momento

__all__ = ["all_topics", "aws_endpoint", "environment", "load", "momento"]  # The fixtures.
