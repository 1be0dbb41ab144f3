"""The Flask app: put together from its feature folders."""

from __future__ import annotations

import contextlib
from typing import Any, cast

from flask import Flask, Response, jsonify, render_template, request
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from core import log
from core.errors import Invalid, YihuError
from core.secrets import secret
from web import i18n, words
from web.api.views import bp as api_bp
from web.auth import guard
from web.auth.views import bp as auth_bp
from web.calls.views import bp as calls_bp
from web.deps import KEY, WebDeps, deps
from web.desk.live import Live
from web.desk.views import bp as desk_bp
from web.limits import limiter
from web.nav import navigation
from web.staff.views import bp as staff_bp
from web.tickets.views import bp as tickets_bp

LARGEST_BODY = 4 * 1024 * 1024
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(parts: WebDeps) -> Flask:
    """The app over these services."""
    app = Flask("web", root_path=str(i18n.FOLDER), template_folder="templates", static_folder="static")
    settings = parts.settings
    app.config.update(
        SECRET_KEY=secret(settings.home, "web"),
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        SESSION_COOKIE_NAME="yihu_csrf",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        RATELIMIT_HEADERS_ENABLED=False,
        TRUSTED_HOSTS=[host.strip() for host in settings.trusted_hosts.split(",") if host.strip()] or None,
    )
    app.extensions[KEY] = parts
    app.extensions["yihu_live"] = Live(parts)
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    csrf = CSRFProtect(app)
    csrf.exempt(api_bp)  # signed or with a token, never with a cookie
    limiter.init_app(app)
    i18n.install(app)
    app.before_request(_no_nul)
    app.before_request(guard.check)
    app.after_request(_secure)
    app.context_processor(_context)
    for bp in (auth_bp, desk_bp, calls_bp, tickets_bp, staff_bp, api_bp):
        app.register_blueprint(bp)
    app.register_error_handler(YihuError, _yihu_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.add_url_rule("/healthz", "healthz", guard.public(_healthz))
    return app


def _no_nul() -> None:
    """PostgreSQL stores no NUL and no address or form of ours has one: refused before anything looks at it."""
    values = [request.path, *request.args.values()]
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        values += request.form.values()
    if any("\x00" in value for value in values):
        raise Invalid("the request contains a NUL character", id="nul")


def _healthz() -> Response:
    """Whether the app can serve: its database answers."""
    deps().db.check()
    return jsonify(status="ok")


def _context() -> dict[str, Any]:
    language = i18n.language()
    return {
        "actor": guard.signed_in(),
        "nav": navigation(),
        "lang": language,
        "text_direction": "rtl" if language in i18n.RIGHT_TO_LEFT else "ltr",
        "words": words,
    }


def _secure(response: AnyResponse) -> AnyResponse:
    phone = deps().settings.phone_ws_url
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    origin = "/".join(phone.split("/")[:3])
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
        f"connect-src 'self' {origin}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    )
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _answer(status: int, problem: dict[str, Any]) -> AnyResponse:
    """The same trouble as a problem document (RFC 9457) for programs, as a page for people."""
    response: AnyResponse
    if guard.wants_json():
        response = jsonify(problem)
        response.headers["Content-Type"] = "application/problem+json"
    else:
        response = Response(render_template("error.html", problem=problem, message=words.error_words(problem)))
    response.status_code = status
    return response


def _yihu_error(exc: YihuError) -> AnyResponse:
    if exc.status >= 500:
        log.get("web").error("request failed", problem=exc.id, detail=exc.detail, path=request.path)
    return _answer(exc.status, exc.problem())


def _csrf_error(_: CSRFError) -> AnyResponse:
    detail = "页面已过期，请刷新后重试"
    return _answer(400, {"type": "urn:yihu:problem:csrf", "title": "CSRF", "status": 400, "detail": detail})


def _http_error(exc: HTTPException) -> AnyResponse:
    status = exc.code or 500
    if status < 400 and exc.response is not None:
        return cast("AnyResponse", exc.response)
    problem = {
        "type": f"urn:yihu:problem:http-{status}",
        "title": exc.name,
        "status": status,
        "detail": exc.description or exc.name,
    }
    response = _answer(status, problem)
    with contextlib.suppress(AttributeError):
        for name, value in exc.get_headers():
            if name.lower() in ("allow", "retry-after"):
                response.headers[name] = value
    return response


def _unexpected(exc: Exception) -> AnyResponse:
    log.get("web").exception("unexpected error", path=request.path, exc_info=exc)
    return _answer(
        500,
        {
            "type": "urn:yihu:problem:internal",
            "title": "Internal error",
            "status": 500,
            "detail": "系统内部错误，请稍后重试",
        },
    )
