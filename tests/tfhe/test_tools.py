import sys

import pytest

from tests.support import tools


def test_a_missing_tool_fails_the_test_and_says_what_to_install():
    with pytest.raises(AssertionError, match="install it"):
        tools.tool("no-such-tool-anywhere", "install it")


def test_what_a_tool_says_on_failure_is_shown():
    with pytest.raises(AssertionError, match="the reason"):
        tools.run([sys.executable, "-c", "raise SystemExit('the reason')"])
