"""The project's tests. docs/tests.md says what each folder tests."""

import pytest

# Checks in shared code show what they compared, as those in tests do.
pytest.register_assert_rewrite("tests.support")
