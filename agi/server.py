"""The FastAGI server: a lobby that costs no thread, and a thread for each call.

One thread accepts connections and collects their environments; only a complete one gets a thread and a place. So a
client that connects and says nothing costs a file handle for ``env_seconds`` and nothing else. Several processes
share a port (SO_REUSEPORT). Whatever goes wrong here, the socket is closed: the dialplan then sees that YIHU_DONE is
not 1 and its safety net takes the caller.
"""

from __future__ import annotations

import contextlib
import contextvars
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from agi.channel import Channel
from agi.errors import AgiError, Hangup
from agi.wire import MAX_ENV_BYTES
from core import log

Handler = Callable[[Channel], None]

BACKLOG = 1024
MAX_LOBBY = 2048  # connections whose environment is not complete yet
STOP_SECONDS = 10.0  # how long `stop` waits for sessions that it has closed
MAX_REFUSALS = 32  # refusals spoken at the same time; more are closed without a word
PING_PATH = "/ping"
PONG = b'NOOP "pong"\n'
REFUSED_VARIABLE = "YIHU_REFUSED"


@dataclass
class _Guest:
    """A connection in the lobby."""

    sock: socket.socket
    deadline: float
    data: bytearray = field(default_factory=bytearray)


class AgiServer:
    """``routes`` maps request paths ("/call") to handlers; ``/ping`` is answered by the server itself.

    ``max_sessions``: live calls at the same time; ``env_seconds``: how long a client may take to say what it wants;
    ``slack``: how late an answer of Asterisk may be (s). Port 0 takes a free one (see ``port``).
    """

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[str, Handler],
        *,
        max_sessions: int = 200,
        env_seconds: float = 3.0,
        slack: float = 10.0,
    ) -> None:
        self._address = (host, port)
        self._routes = dict(routes)
        self._max_sessions, self._env_seconds, self._slack = max_sessions, env_seconds, slack
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._lobby: dict[int, _Guest] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._sessions: dict[threading.Thread, Channel] = {}
        self._refusals: set[threading.Thread] = set()
        self._stopping = self._draining = self._listening = False
        self._port = port
        self._thread: threading.Thread | None = None
        self._context = contextvars.copy_context()
        self._log = log.get("agi.server")

    # -- life --

    def start(self) -> None:
        """Listen and serve in the background. Raises OSError when the port cannot be had."""
        host, port = self._address
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener, self._listening = listener, True
        self._port = int(listener.getsockname()[1])
        self._context = contextvars.copy_context()  # what the starter logs with, every call logs with
        self._selector.register(listener, selectors.EVENT_READ)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="agi-lobby", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port listened on; the real one once started."""
        return self._port

    @property
    def live(self) -> int:
        """How many calls are being served."""
        with self._lock:
            return len(self._sessions)

    def drain(self, seconds: float) -> bool:
        """Take no new calls and wait up to ``seconds`` for the live ones; True when all have ended."""
        self._draining = True
        self._wake()
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._listening or self._lobby or self._sessions), timeout=seconds
            )

    def stop(self) -> None:
        """Stop at once: live sessions are closed (their commands raise Hangup("ours")). Safe to call twice."""
        self._draining = self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for guest in list(self._lobby.values()):
            self._leave_lobby(guest, close=True)
        with self._lock:
            sessions, refusals = dict(self._sessions), set(self._refusals)
        for channel in sessions.values():
            channel.close()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in [*sessions, *refusals]:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._log.error("a call session does not end", thread=thread.name)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_in.send(b"x")

    # -- the lobby --

    def _serve(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # the accept loop never dies
                self._log.exception("agi lobby failed; going on")
                time.sleep(0.1)

    def _turn(self) -> None:
        if self._draining and self._listening:
            self._stop_listening()
        now = time.monotonic()
        for guest in [guest for guest in self._lobby.values() if guest.deadline <= now]:
            self._leave_lobby(guest, close=True)
        nearest = min((guest.deadline for guest in self._lobby.values()), default=now + 3600.0)
        for key, _ in self._selector.select(nearest - now):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_out:
                with contextlib.suppress(BlockingIOError):
                    self._wake_out.recv(4096)
            elif key.fd in self._lobby:
                self._hear(self._lobby[key.fd])

    def _stop_listening(self) -> None:
        assert self._listener is not None
        self._accept()  # what the kernel has already taken for us is served: a reset would cost callers their flow
        self._selector.unregister(self._listener)
        self._listener.close()
        with self._changed:
            self._listening = False
            self._changed.notify_all()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:  # out of file handles, or the client has gone again
                self._log.error("cannot accept", error=str(exc))
                time.sleep(0.05)
                return
            if len(self._lobby) >= MAX_LOBBY:
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A caller's channel may be silent for an hour (in a room): only keep-alive finds out that Asterisk died.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            self._lobby[sock.fileno()] = _Guest(sock, time.monotonic() + self._env_seconds)
            self._selector.register(sock, selectors.EVENT_READ)

    def _leave_lobby(self, guest: _Guest, *, close: bool) -> None:
        self._selector.unregister(guest.sock)
        with self._changed:
            self._lobby.pop(guest.sock.fileno(), None)
            self._changed.notify_all()
        if close:
            guest.sock.close()

    def _hear(self, guest: _Guest) -> None:
        try:
            data = guest.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        guest.data += data
        if not data or len(guest.data) > MAX_ENV_BYTES:
            self._leave_lobby(guest, close=True)
        elif b"\n\n" in guest.data or b"\n\r\n" in guest.data:
            self._admit(guest)

    def _admit(self, guest: _Guest) -> None:
        try:
            channel = Channel(guest.sock, initial=bytes(guest.data), env_seconds=0.0, slack=self._slack)
        except (AgiError, Hangup) as exc:
            self._log.warning("not an AGI session", error=str(exc))
            self._leave_lobby(guest, close=True)
            return
        if channel.path == PING_PATH:
            with contextlib.suppress(OSError):
                guest.sock.send(PONG)
            self._leave_lobby(guest, close=True)
            return
        thread = self._thread_for(channel, guest.sock)  # counted as a session before it leaves the lobby: see drain
        self._leave_lobby(guest, close=thread is None)
        if thread is None:
            return
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads
            self._log.error("no thread for a call", call_id=channel.call_id)
            self._end(thread, channel, guest.sock)

    def _thread_for(self, channel: Channel, sock: socket.socket) -> threading.Thread | None:
        """The thread that will serve or refuse, not started yet; None when not even a refusal is possible."""
        handler = self._routes.get(channel.path)
        with self._lock:
            serve = handler is not None and len(self._sessions) < self._max_sessions
            if handler is not None and serve:
                work = partial(self._session, channel, sock, handler)
            elif len(self._refusals) < MAX_REFUSALS:
                work = partial(self._refuse, channel, sock, "no-such-path" if handler is None else "busy")
            else:
                return None
            # Its own copy of the context: log fields of one call never reach another's lines.
            run = self._context.copy().run
            thread = threading.Thread(target=run, args=(work,), name=f"call-{channel.call_id}", daemon=True)
            if serve:
                self._sessions[thread] = channel
            else:
                self._refusals.add(thread)
        return thread

    # -- the threads --

    def _session(self, channel: Channel, sock: socket.socket, handler: Handler) -> None:
        try:
            log.bind_call(call_id=channel.call_id)
            handler(channel)
        except Hangup:
            pass
        except BaseException:  # also a flow's CallerGone that nobody caught
            self._log.exception("call session failed", call_id=channel.call_id)
        finally:
            self._end(threading.current_thread(), channel, sock)

    def _refuse(self, channel: Channel, sock: socket.socket, why: str) -> None:
        """Say so in a channel variable and close: the dialplan's safety net takes the caller."""
        self._log.error("call refused", call_id=channel.call_id, why=why, path=channel.path)
        try:
            channel.set_variable(REFUSED_VARIABLE, why)
        except (Hangup, AgiError) as exc:
            self._log.debug("refusal not heard", error=str(exc))
        finally:
            self._end(threading.current_thread(), channel, sock)

    def _end(self, thread: threading.Thread, channel: Channel, sock: socket.socket) -> None:
        channel.close()
        sock.close()
        with self._changed:
            self._sessions.pop(thread, None)
            self._refusals.discard(thread)
            self._changed.notify_all()


def ping(host: str, port: int, seconds: float = 2.0) -> bool:
    """Whether an AGI server of ours answers at this address within ``seconds``."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as sock:
            sock.sendall(b"agi_network: yes\nagi_network_script: ping\n\n")
            data = b""
            while len(data) < len(PONG) and (more := sock.recv(64)):
                data += more
            return data == PONG
    except OSError:
        return False
