"""A call session: what happens with one caller from the first ring to the closed ledger."""

from __future__ import annotations

import re

from agi.channel import Channel
from agi.errors import Hangup
from agi.line import AgiLine, CallServices
from core import log
from core.records import CALL_ID_PATTERN, EndedBy, Outcome
from ivr_flows import engine
from ivr_flows.engine import Ended, FlowResult
from ivr_flows.registry import FlowRegistry
from routing.control import LeftBecause
from routing.ledger import Kind, Ledger

_CALL_ID = re.compile(CALL_ID_PATTERN)
_NOT_DIALLABLE = re.compile(r"[^0-9+*#]")
NOT_THE_CALLER = ("ours", "eof")  # ways of losing the line that are no hang-up: the safety net has the caller


def number(text: str) -> str:
    """A caller's or called number as it may be stored: at most 40 of the signs a telephone has."""
    return _NOT_DIALLABLE.sub("", text)[:40]


class LedgerTrace:
    """What the flow does, as ledger events."""

    def __init__(self, ledger: Ledger, call_id: str) -> None:
        self.ledger, self.call_id = ledger, call_id

    def node_entered(self, flow_id: str, version: str, node_id: str, node_type: str) -> None:
        self.ledger.append(self.call_id, Kind.NODE, flow=flow_id, version=version, node=node_id, type=node_type)

    def digit(self, key: str) -> None:
        self.ledger.append(self.call_id, Kind.DIGIT, digit=key)

    def language(self, language: str) -> None:
        self.ledger.append(self.call_id, Kind.LANGUAGE, language=language)

    def fault(self, node_id: str, what: str) -> None:
        self.ledger.append(self.call_id, Kind.FAULT, node=node_id, what=what)


class CallHandler:
    """The FastAGI handler of ``/call``: one call, in its own thread."""

    def __init__(self, services: CallServices, flows: FlowRegistry) -> None:
        self.services, self.flows = services, flows
        self._log = log.get("session")

    def __call__(self, channel: Channel) -> None:
        """Whatever is raised here sends the caller into the dialplan's safety net."""
        call_id = channel.call_id
        if not _CALL_ID.match(call_id):
            self._log.error("refused a channel without a proper call id", channel_id=call_id)
            return
        caller, called = number(channel.env.get("agi_callerid", "")), number(channel.env.get("agi_extension", ""))
        ledger = self.services.ledger
        ledger.open(call_id, caller, called)
        self._log.info("call", caller=caller, called=called)
        line = AgiLine(channel, call_id, caller, self.services)
        pinned = self.flows.flow_for(called)
        result = engine.run(pinned, line, LedgerTrace(ledger, call_id), self.services.policies)
        self._after(line, result)

    def _after(self, line: AgiLine, result: FlowResult) -> None:
        """Close the ledger, unless the caller is still on the line in other hands."""
        if result.ended is Ended.FAILED:
            self._log.error("flow failed, the safety net takes the caller")
            return
        if result.ended is Ended.CALLER_GONE and line.gone_how in NOT_THE_CALLER:
            self._log.warning("line lost, not hung up", how=line.gone_how)
            return
        by = ended_by(result.ended, result.outcome, line.last_left)
        self.services.ledger.end(line.call_id, result.outcome, by)
        self._log.info("call ended", outcome=str(result.outcome), by=str(by))
        if result.ended is not Ended.CALLER_GONE:
            try:
                line.done()
            except Hangup:
                self._log.debug("hung up at the very end")


def ended_by(ended: Ended, outcome: Outcome, last_left: LeftBecause | None) -> EndedBy:
    """Who ended the call: the agent's hang-up lets the flow say goodbye, so it counts as the agent's."""
    if ended is Ended.CALLER_GONE:
        return EndedBy.CALLER
    if outcome is Outcome.TALKED and last_left is LeftBecause.HUNG_UP:
        return EndedBy.AGENT
    return EndedBy.FLOW
