"""The link to Asterisk's manager interface: panoramisk in an event loop of its own thread, synchronous for the rest.

An action is sent once and answered within its time, or it is Unavailable: it is never repeated, for a second
Originate would ring an agent twice. Events are lost while the link is down, so everybody who keeps state registers
``on_connect`` and compares with what Asterisk says now.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import re
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Self

from panoramisk.manager import Manager
from panoramisk.message import Message

from agi.ami_wire import AmiEvent, AmiResponse, HeaderValue, Pending, Wire, checked, plain
from core import log
from core.errors import Unavailable

CONNECT_SECONDS = 5.0
BOOT_SECONDS = 60.0  # Asterisk lets us in before it has read its configuration
FIRST_DELAY, LONGEST_DELAY = 0.25, 4.0  # s between attempts to connect

__all__ = ["AmiClient", "AmiEvent", "AmiResponse", "Subscription"]


class Subscription:
    """Events that were asked for, in a bounded queue. With a callback, a thread of its own hands them over."""

    def __init__(
        self, owner: AmiClient, patterns: tuple[str, ...], callback: Callable[[AmiEvent], None] | None, size: int
    ) -> None:
        self.patterns = patterns
        self._owner, self._callback, self._size = owner, callback, size
        self._events: deque[AmiEvent] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._overflowed = 0
        self._thread: threading.Thread | None = None
        if callback is not None:
            self._thread = threading.Thread(target=self._hand_over, name=f"ami-{patterns[0]}", daemon=True)
            self._thread.start()

    @property
    def overflowed(self) -> int:
        """How many events were thrown away because nobody took them."""
        return self._overflowed

    def put(self, event: AmiEvent) -> None:
        with self._changed:
            if self._closed:
                return
            if len(self._events) >= self._size:
                self._overflowed += 1
                return
            self._events.append(event)
            self._changed.notify_all()

    def get(self, seconds: float | None = None) -> AmiEvent | None:
        """The next event; None when none came in time, or the subscription was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed, timeout=seconds)
            return self._events.popleft() if self._events else None

    def close(self) -> None:
        """No more events. Safe to call twice, also from the callback."""
        self._owner._unsubscribe(self)
        with self._changed:
            self._closed = True
            self._events.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hand_over(self) -> None:
        assert self._callback is not None
        while True:
            event = self.get()
            if event is None:
                return
            try:
                self._callback(event)
            except Exception:
                self._owner.log.exception("event callback failed", ami_event=event.name)


class _Manager(Manager):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's manager for what it does well: matching events with patterns. One bad callback hurts no other."""

    patterns: list[tuple[str, re.Pattern[str]]]

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.forget("FullyBooted", self.send_awaiting_actions)  # nothing is ever sent a second time

    def dispatch(self, event: Message) -> list[str]:
        matched = []
        for pattern, regexp in list(self.patterns):
            if regexp.match(event.event):
                matched.append(pattern)
                for callback in list(self.callbacks[pattern]):
                    with contextlib.suppress(Exception):
                        callback(self, event)
        return matched

    def forget(self, pattern: str, callback: Callable[..., None]) -> None:
        self.callbacks[pattern].remove(callback)
        if not self.callbacks[pattern]:
            del self.callbacks[pattern]
            self.patterns = [entry for entry in self.patterns if entry[0] != pattern]


class AmiClient:
    """``action_seconds``: how long an answer may take; ``ping_seconds``: how often the link is tried, and how long
    that answer may take, so that a dead link is noticed within twice that time."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        action_seconds: float = 5.0,
        ping_seconds: float = 3.0,
    ) -> None:
        self._host, self._port, self._username, self._secret = host, port, username, secret
        self._action_seconds, self._ping_seconds = action_seconds, ping_seconds
        self.log = log.get("ami")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._manager: Any = _Manager(username=username)
        self._wire: Wire | None = None  # the connection that is logged in; the loop's thread writes it
        self._state = threading.Condition()
        self._generation = 0
        self._stopping = False
        self._stop: asyncio.Event | None = None
        self._hooks: list[Callable[[], None]] = []
        self._hook_calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._hook_thread: threading.Thread | None = None
        self._subscriptions: dict[Subscription, Callable[..., None]] = {}

    # -- life --

    def start(self) -> None:
        """Connect in the background, and again whenever the link breaks. Returns at once."""
        if self._thread is not None:
            return
        self._stopping = False
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="ami-loop", daemon=True)
        self._hook_thread = threading.Thread(target=self._run_hooks, name="ami-hooks", daemon=True)
        self._thread.start()
        self._hook_thread.start()
        started.wait()

    def stop(self) -> None:
        """Log off; actions under way fail, subscriptions end. Safe to call twice."""
        if self._thread is None or self._hook_thread is None:
            return
        self._stopping = True
        loop, stop = self._loop, self._stop
        assert loop is not None
        assert stop is not None
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(10.0)
        self._hook_calls.put(None)
        self._hook_thread.join(10.0)
        self._thread = self._hook_thread = None
        for subscription in list(self._subscriptions):
            subscription.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ready(self) -> bool:
        """Logged in, and Asterisk has booted."""
        return self._wire is not None

    @property
    def generation(self) -> int:
        """How often we have logged in; when it has grown, events may have been lost."""
        return self._generation

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the link is up; False when it is not within ``seconds``."""
        with self._state:
            return self._state.wait_for(lambda: self.ready, timeout=seconds)

    def on_connect(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` after each log-in (and now, if logged in), in a thread where actions may be sent."""
        with self._state:
            self._hooks.append(hook)
            if self.ready:
                self._hook_calls.put(hook)

    # -- actions --

    def action(self, name: str, *, seconds: float | None = None, **headers: HeaderValue) -> AmiResponse:
        """Send an action and wait for its answer, with the whole list if it is one.

        A list as value repeats the header. Raises Unavailable: no link, no answer within ``seconds``, or the link
        broke meanwhile (then it may have been done or not). Raises BadArgument for values that would be more than a
        value. That Asterisk says no is no exception: see ``AmiResponse.success``.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("an action cannot be waited for in the loop's own thread")
        checked(headers)
        seconds = self._action_seconds if seconds is None else seconds
        sent: Future[Pending] = Future()
        self._in_loop(self._send, name, headers, sent)
        try:
            pending = sent.result(seconds)
            try:
                return pending.done.result(seconds)
            except FutureTimeout:
                self._in_loop(self._forget, pending)
                raise
        except FutureTimeout:
            raise Unavailable(f"Asterisk did not answer {name} in {seconds:g} s", id="asterisk-unavailable") from None

    def post(self, name: str, **headers: HeaderValue) -> None:
        """Send an action and forget it; may be called anywhere, does nothing without a link."""
        checked(headers)
        with contextlib.suppress(Unavailable):
            self._in_loop(self._send, name, headers, Future())

    def _in_loop(self, work: Callable[..., None], *args: Any) -> None:
        loop = self._loop
        try:
            if loop is None or self._wire is None:
                raise RuntimeError
            loop.call_soon_threadsafe(work, *args)
        except RuntimeError:
            raise Unavailable("no link to Asterisk", id="asterisk-unavailable") from None

    def _send(self, name: str, headers: dict[str, HeaderValue], sent: Future[Pending]) -> None:
        pending = Pending(name, headers)
        if self._wire is None:
            pending.fail("no link")
        else:
            self._wire.send(pending)
        sent.set_result(pending)

    def _forget(self, pending: Pending) -> None:
        if self._wire is not None:
            self._wire.forget(pending)

    # -- events --

    def subscribe(
        self, *patterns: str, callback: Callable[[AmiEvent], None] | None = None, size: int = 2000
    ) -> Subscription:
        """Events whose names match one of the patterns ("Hangup", "Confbridge*"), from now on.

        At most ``size`` wait; more are counted in ``overflowed``. A callback runs in a thread of the subscription,
        may send actions, and may raise (it is logged).
        """
        subscription = Subscription(self, patterns, callback, size)

        def put(_: Any, message: Message) -> None:
            subscription.put(AmiEvent(plain(message)))

        with self._state:
            self._subscriptions[subscription] = put
        for pattern in patterns:
            self._manager.register_event(pattern, put)
        return subscription

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._state:
            put = self._subscriptions.pop(subscription, None)
        if put is not None:
            for pattern in subscription.patterns:
                self._manager.forget(pattern, put)

    # -- the loop's thread --

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._main(started))

    async def _main(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        delay, complained = FIRST_DELAY, False
        while not self._stopping:
            before = self._generation
            try:
                await self._connection()
            except (OSError, Unavailable, TimeoutError) as exc:
                if not complained:
                    self.log.warning("no link to Asterisk", error=str(exc) or type(exc).__name__)
                    complained = True
            except Exception:
                self.log.exception("link to Asterisk failed")
            if self._generation != before:
                delay, complained = FIRST_DELAY, False
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _connection(self) -> None:
        """One connection from beginning to end. Raises OSError, TimeoutError, Unavailable."""
        assert self._loop is not None
        assert self._stop is not None
        lost = asyncio.Event()
        booted = asyncio.Event()

        def on_event(message: Message) -> None:
            if message.event == "FullyBooted":
                booted.set()
            self._manager.dispatch(message)

        async with asyncio.timeout(CONNECT_SECONDS):
            _, wire = await self._loop.create_connection(lambda: Wire(on_event, lost.set), self._host, self._port)
        stopped, gone, ready = (asyncio.create_task(each.wait()) for each in (self._stop, lost, booted))
        try:
            await self._log_in(wire)
            await asyncio.wait((ready, gone, stopped), timeout=BOOT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not booted.is_set():
                raise Unavailable("Asterisk has not booted")
            self._up(wire)
            while not (lost.is_set() or self._stop.is_set()):
                await asyncio.wait((gone, stopped), timeout=self._ping_seconds, return_when=asyncio.FIRST_COMPLETED)
                if not (lost.is_set() or self._stop.is_set()):
                    await self._ask(wire, Pending("Ping", {}), self._ping_seconds)
            if self._stop.is_set():
                wire.send(Pending("Logoff", {}))
                await asyncio.sleep(0)
        finally:
            self._down()
            wire.close()
            for task in (stopped, gone, ready):
                task.cancel()

    async def _ask(self, wire: Wire, pending: Pending, seconds: float) -> AmiResponse:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(wire.send(pending))

    async def _log_in(self, wire: Wire) -> None:
        login = Pending("Login", {"Username": self._username, "Secret": self._secret, "Events": "on"})
        response = await self._ask(wire, login, CONNECT_SECONDS)
        if not response.success:
            raise Unavailable(f"Asterisk refuses the log-in: {response.message}", fix="compare manager.conf's secret")

    def _up(self, wire: Wire) -> None:
        with self._state:
            self._wire = wire
            self._generation += 1
            hooks = list(self._hooks)
            self._state.notify_all()
        self.log.info("link to Asterisk is up", generation=self._generation)
        for hook in hooks:
            self._hook_calls.put(hook)

    def _down(self) -> None:
        with self._state:
            was_up, self._wire = self._wire is not None, None
            self._state.notify_all()
        if was_up and not self._stopping:
            self.log.warning("link to Asterisk lost")

    def _run_hooks(self) -> None:
        while (hook := self._hook_calls.get()) is not None:
            try:
                hook()
            except Unavailable as exc:
                self.log.warning("link lost while comparing", error=str(exc))
            except Exception:
                self.log.exception("hook after log-in failed")
