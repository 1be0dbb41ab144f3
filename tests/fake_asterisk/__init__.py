"""A stand-in for Asterisk, for fast tests: ``FakeCaller`` dials our FastAGI server, ``FakeAmi`` is a manager interface.

Both are held to the real Asterisk by the tests in ``tests/contracts``, which run on both.
"""

from tests.fake_asterisk.ami import FakeAmi
from tests.fake_asterisk.caller import FakeCaller
from tests.fake_asterisk.commands import Message

__all__ = ["FakeAmi", "FakeCaller", "Message"]
