"""gunicorn around the web app: threads, so that each open desk can keep its event stream."""

from __future__ import annotations

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from agi.control import AmiCallControl
from core.settings import Settings
from web.app import create_app
from web.deps import WebDeps
from yihu import compose


def web_app(settings: Settings) -> Flask:
    """The app with its real services; called in each gunicorn process after it was forked."""
    from yihu.run import manager

    parts = compose.build(settings)
    ami = manager(settings)
    ami.start()
    return create_app(
        WebDeps(
            settings=settings,
            db=parts.db,
            clock=parts.clock,
            policies=parts.policies,
            ledger=parts.ledger,
            agents=parts.agents,
            dispatcher=parts.dispatcher,
            recordings=parts.recordings,
            control=AmiCallControl(ami),
        )
    )


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        settings = self.settings
        options: dict[str, Any] = {
            "bind": f"{settings.bind}:{settings.port('web_port')}",
            "workers": settings.web_processes,
            "worker_class": "gthread",
            "threads": settings.web_threads,
            "timeout": 60,
            "graceful_timeout": 5,
            "keepalive": 15,
            "worker_tmp_dir": None,
            "forwarded_allow_ips": settings.bind,
            "proc_name": "yihu-web",
            "limit_request_line": 4094,
            "limit_request_fields": 60,
        }
        for name, value in options.items():
            if value is not None:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return web_app(self.settings)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    _Server(settings).run()
