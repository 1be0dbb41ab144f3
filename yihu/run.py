"""The processes: ``python -m yihu run agi|link|worker|web``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from agi.ami import AmiClient
from agi.control import AmiCallControl
from core import log, outbox
from core.secrets import secret
from core.settings import Settings, load
from yihu import compose
from yihu.beat import Beat

LOOPBACK = "127.0.0.1"


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def manager(settings: Settings) -> AmiClient:
    """A manager link to this node's Asterisk, not yet started."""
    return AmiClient(LOOPBACK, settings.port("ami_port"), "yihu", secret(settings.home, "ami"))


def agi(settings: Settings) -> None:
    """The FastAGI server: one thread per call."""
    from agi.line import CallServices
    from agi.server import AgiServer
    from agi.session import CallHandler
    from ivr_flows.prompts.store import PromptStore
    from ivr_flows.registry import FlowRegistry

    _fork_siblings(settings.agi_processes)
    stop = _stop_on_signals()
    parts = compose.build(settings)
    ami = manager(settings)
    ami.start()
    control = AmiCallControl(ami)
    services = CallServices(
        db=parts.db,
        clock=parts.clock,
        policies=parts.policies,
        ledger=parts.ledger,
        agents=parts.agents,
        dispatcher=parts.dispatcher,
        recordings=parts.recordings,
        control=control,
        prompts=PromptStore(settings.prompts_dir),
    )
    handler = CallHandler(services, FlowRegistry.load(assigned=compose.flow_assignments(parts)))
    with AgiServer(LOOPBACK, settings.port("agi_port"), {"/call": handler}) as server:
        log.get("agi").info("ready", port=server.port)
        stop.wait()
        server.drain(settings.drain_seconds)
    control.close()
    ami.stop()
    parts.close()


def _fork_siblings(processes: int) -> None:
    """Make so many processes of this one; they share the port (SO_REUSEPORT). Children end with the first."""
    parent = os.getpid()
    children = []
    for _ in range(processes - 1):
        child = os.fork()
        if child == 0:
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
            return
        children.append(child)

    def watch() -> None:
        for child in children:
            os.waitpid(child, 0)
            # One gone: end as a whole and be restarted as a whole; calls of the others drain.
            os.kill(os.getpid(), signal.SIGTERM)

    if children:
        threading.Thread(target=watch, daemon=True).start()


def _end_with(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def link(settings: Settings) -> None:
    """The manager link: phones, agents, rooms, reconciliation."""
    from agi.link import Link
    from agi.reconcile import Reconciler

    stop = _stop_on_signals()
    parts = compose.build(settings)
    ami = manager(settings)
    control = AmiCallControl(ami)
    cel = settings.home / "asterisk" / "log" / "cel-custom" / "Master.csv"
    reconciler = Reconciler(parts.db, parts.clock, parts.ledger, parts.agents, parts.recordings, cel)
    worker = Link(parts.db, parts.clock, parts.ledger, parts.agents, control, ami, reconciler)
    ami.start()
    worker.run(stop, Beat(settings.run_dir, "link").beat)
    control.close()
    ami.stop()
    parts.close()


def worker(settings: Settings) -> None:
    """The job worker: delivers the outbox."""
    from routing.ledger import CALL_ENDED

    stop = _stop_on_signals()
    parts = compose.build(settings)
    beat = Beat(settings.run_dir, "worker")
    pump = outbox.Pump(parts.db, parts.clock, {CALL_ENDED: compose.record_pusher(parts)})
    logger = log.get("worker")
    while not stop.is_set():
        beat.beat()
        try:
            tried = pump.run_once(limit=20)
        except Exception:
            logger.exception("outbox pump failed")
            tried = 0
        stop.wait(0.05 if tried else 0.5)
    parts.close()


def web(settings: Settings) -> None:
    """The ticket app under gunicorn."""
    from yihu.serve import serve

    serve(settings)


PROCESSES: dict[str, Callable[[Settings], None]] = {"agi": agi, "link": link, "worker": worker, "web": web}


def main(name: str) -> None:
    """Run the process ``name`` until it is told to stop."""
    settings = load()
    log.configure(name, settings.log_level)
    try:
        PROCESSES[name](settings)
    except KeyboardInterrupt:
        sys.exit(130)
