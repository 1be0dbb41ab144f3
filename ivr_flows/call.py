"""A call under way, as a node sees it: the ports, the language, and the keys that work everywhere.

Nodes never touch a port themselves. So no node can forget that 0 and 9 always work, that every key is traced, or
in which languages to speak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core import log
from core.policy import Policy
from core.records import Outcome
from ivr_flows.errors import AlwaysKey
from ivr_flows.ports import (
    ALL_KEYS,
    ConnectOutcome,
    ConnectRequest,
    EmergencyOutcome,
    Input,
    InputMode,
    InputStatus,
    Line,
    MessageResult,
    Numbers,
    Prompt,
    Trace,
)


@dataclass
class Facts:
    """What has happened in the call so far, for its outcome."""

    reached: Outcome | None = None
    asked: bool = False  # for a person or an emergency line
    waiting: bool = False  # in a connect or emergency request at this moment

    def note(self, outcome: Outcome | None) -> None:
        """Remember the weightiest thing reached: an emergency line, else a person, else a message."""
        weight = [None, Outcome.MESSAGE, Outcome.TALKED, Outcome.EMERGENCY]
        if outcome in weight and weight.index(outcome) > weight.index(self.reached):
            self.reached = outcome


class FlowCall:
    """The call that a node works on. ``languages`` are the flow's, the first being its default."""

    def __init__(
        self, line: Line, trace: Trace, numbers: Numbers, languages: Sequence[str], person: str, emergency: str
    ) -> None:
        self._line, self._trace, self._numbers = line, trace, numbers
        self._languages = tuple(languages)
        self._chosen: str | None = None
        self.person_key, self.emergency_key = person, emergency
        self.facts = Facts()
        self._log = log.get("flow")

    # -- language -------------------------------------------------------------------------------------------

    @property
    def language(self) -> str:
        """The language the caller has chosen, else the flow's first."""
        return self._chosen or self._languages[0]

    @property
    def spoken(self) -> tuple[str, ...]:
        """Languages in which prompts are played: all of the flow's, until the caller has chosen one."""
        return (self._chosen,) if self._chosen else self._languages

    def choose_language(self, language: str) -> None:
        """From now on speak this language, and look for a person who does."""
        self._chosen = language
        self.traced(lambda: self._trace.language(language))

    # -- speaking and listening -----------------------------------------------------------------------------

    def play(self, prompts: Sequence[str], keys: str = "") -> Input:
        """Play prompts in the caller's language(s). Keys in ``keys`` come back; 0 and 9 work in any case."""
        spoken = [Prompt(prompt, language) for prompt in prompts for language in self.spoken]
        return self._heard(self._line.play(spoken, self._wanted(keys)), keys) if spoken else Input(InputStatus.NO_INPUT)

    def play_once(self, prompt: str) -> None:
        """Play a prompt that is no language, such as a tone: once, whatever is spoken."""
        self._heard(self._line.play([Prompt(prompt, self.language)], self._wanted("")), "")

    def ask(self, prompts: Sequence[str], seconds: float, keys: str, *, barge_in: bool) -> Input:
        """Play prompts, then wait up to ``seconds`` for a key. A key out of ``keys``: OK; another one: NO_MATCH.

        With ``barge_in`` a key counts already while the prompts play; 0 and 9 do so in any case.
        """
        heard = self.play(prompts, ALL_KEYS if barge_in else "")
        if heard.status is InputStatus.NO_INPUT:
            heard = self._heard(self._line.read_key(seconds, ALL_KEYS), ALL_KEYS)
        if heard.mode is InputMode.KEY and heard.value in self._always:
            raise AlwaysKey(heard.value)
        if heard.mode is InputMode.KEY and heard.value not in keys:
            return Input(InputStatus.NO_MATCH, heard.mode, heard.value, heard.confidence)
        return heard

    def record(self, max_seconds: float, silence_seconds: float, keys: str) -> MessageResult:
        """Record a message; a key out of ``keys`` ends it. 9 leads to the emergency after the message was kept."""
        result = self._line.record_message(max_seconds, silence_seconds, keys + self.emergency_key)
        if result.saved:
            self.facts.note(Outcome.MESSAGE)
        if result.key:
            self._pressed(result.key, keys)
        return result

    # -- reaching somebody ----------------------------------------------------------------------------------

    def connect(self, queue: str, priority: int, max_wait_seconds: float, *, escape: bool = True) -> ConnectOutcome:
        """Wait for a person and talk. With ``escape`` the emergency key works while waiting."""
        request = ConnectRequest(
            queue=queue,
            priority=priority,
            max_wait_seconds=max_wait_seconds,
            language=self.language,
            notice_languages=self.spoken,
            keys=self.emergency_key if escape else "",
        )
        with self._reaching():
            result = self._line.connect(request)
        if result.outcome is ConnectOutcome.TALKED:
            self.facts.note(Outcome.TALKED)
        if result.outcome is ConnectOutcome.KEY:
            self._pressed(result.key, "")
        return result.outcome

    def emergency(self, number: str) -> EmergencyOutcome:
        """Dial an emergency line and talk with it."""
        with self._reaching():
            outcome = self._line.emergency(number)
        if outcome is EmergencyOutcome.TALKED:
            self.facts.note(Outcome.EMERGENCY)
        return outcome

    # -- policy ---------------------------------------------------------------------------------------------

    def number(self, policy: Policy, least: float = 0) -> float:
        """The policy number in force, not below ``least``; its default when the policies cannot be read."""
        return max(least, number(self._numbers, policy))

    def text(self, policy: Policy) -> str:
        return text(self._numbers, policy)

    # -- inside ---------------------------------------------------------------------------------------------

    def traced(self, write: Callable[[], None]) -> None:
        """Write to the trace; a ledger that fails must not cost the caller the call."""
        try:
            write()
        except Exception as exc:
            self._log.error("ledger event lost", error=f"{exc.__class__.__name__}: {exc}")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        self.facts.asked = self.facts.waiting = True
        try:
            yield
        except Exception:
            self.facts.waiting = False
            raise
        self.facts.waiting = False  # not after CallerGone: then the caller gave up waiting

    @property
    def _always(self) -> str:
        return self.person_key + self.emergency_key

    def _wanted(self, keys: str) -> str:
        return keys + "".join(key for key in self._always if key not in keys)

    def _heard(self, heard: Input, keys: str) -> Input:
        if heard.mode is InputMode.KEY:
            self._pressed(heard.value, keys)
        return heard

    def _pressed(self, key: str, keys: str) -> None:
        self.traced(lambda: self._trace.digit(key))
        if key in self._always and key not in keys:
            raise AlwaysKey(key)


def number(numbers: Numbers, policy: Policy) -> float:
    """A policy number; its default when the policies cannot be read (a call goes on with the database down)."""
    try:
        return numbers.number(policy)
    except Exception as exc:
        log.get("flow").error("policy not readable", policy=policy.key, error=f"{exc.__class__.__name__}: {exc}")
        return float(policy.default)


def text(numbers: Numbers, policy: Policy) -> str:
    """Like :func:`number`, for a policy that is a text."""
    try:
        return numbers.text(policy)
    except Exception as exc:
        log.get("flow").error("policy not readable", policy=policy.key, error=f"{exc.__class__.__name__}: {exc}")
        return str(policy.default)
