"""One tree of errors.

    YihuError
    ├── SettingsError      a setting is missing or wrong (at start)
    ├── NotFound           the thing asked for does not exist                    404
    ├── Unauthorized       nobody has signed in, or the token is wrong              401
    ├── Forbidden          the person may not do this                            403
    ├── Conflict           somebody changed it first, or the state forbids it    409
    ├── Invalid            the input is wrong; says which part and what to do    422
    ├── Unavailable        a part we depend on does not answer; try again        503
    └── TooMany            slower, please                                        429

Every error carries a stable ``id`` (kebab-case, shown to API clients as the RFC 9457 ``type``), a short
``title``, a ``detail`` for a person, and, where we know one, a ``fix``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class YihuError(Exception):
    """Base of everything Yihu raises on purpose."""

    status: ClassVar[int] = 500
    id: str = "internal"
    title: str = "Internal error"

    def __init__(
        self, detail: str = "", *, id: str | None = None, fix: str = "", data: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        if id is not None:
            self.id = id
        self.fix = fix
        self.data = data or {}

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem document of this error."""
        doc: dict[str, Any] = {
            "type": f"urn:yihu:problem:{self.id}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.fix:
            doc["fix"] = self.fix
        doc.update(self.data)
        return doc


class SettingsError(YihuError):
    id = "settings"
    title = "A setting is wrong"


class NotFound(YihuError):
    status = 404
    id = "not-found"
    title = "Not found"


class Forbidden(YihuError):
    status = 403
    id = "forbidden"
    title = "Not allowed"


class Unauthorized(YihuError):
    status = 401
    id = "unauthorized"
    title = "Sign in first"


class Conflict(YihuError):
    status = 409
    id = "conflict"
    title = "Conflict with the present state"


class Invalid(YihuError):
    status = 422
    id = "invalid"
    title = "The input is wrong"


class Unavailable(YihuError):
    status = 503
    id = "unavailable"
    title = "A part of the system does not answer"


class TooMany(YihuError):
    status = 429
    id = "too-many"
    title = "Too many requests"
