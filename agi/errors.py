"""What can go wrong on the wire to Asterisk.

Hangup                 the call is over: not an error, one exception for every way it can show
AgiError               (core.errors.YihuError)
├── CommandFailed      Asterisk understood but could not: no such file, application or key
├── CommandRefused     510 or 520: unknown command or wrong usage, a mistake of ours
├── BadArgument        an argument that must not reach the wire; nothing was written
├── ChannelTimeout     no answer in the command's own length plus slack; the channel is unusable from then on
└── ProtocolError      nonsense, an over-long line or a bad environment; unusable from then on
"""

from __future__ import annotations

from typing import Literal

from core.errors import YihuError

HangupWay = Literal["line", "result", "dead", "eof", "ours"]


class Hangup(Exception):
    """The call is over. ``how`` it showed: a HANGUP line, result -1, 511, the end of the socket, or we ended it."""

    def __init__(self, how: HangupWay) -> None:
        super().__init__(how)
        self.how: HangupWay = how


class AgiError(YihuError):
    status = 503
    id = "agi"
    title = "The telephone line has a fault"


class CommandFailed(AgiError):
    id = "agi-command-failed"
    title = "Asterisk could not do it"


class CommandRefused(AgiError):
    id = "agi-command-refused"
    title = "Asterisk does not know the command"


class BadArgument(AgiError):
    id = "agi-bad-argument"
    title = "This must not reach the wire"


class ChannelTimeout(AgiError):
    id = "agi-timeout"
    title = "Asterisk does not answer"


class ProtocolError(AgiError):
    id = "agi-protocol"
    title = "Nonsense on the wire"
