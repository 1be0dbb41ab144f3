"""The OpenAPI 3.1 document, made from the same pydantic models that check requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from web.api.models import SCOPES
from web.api.schemas import Problem

TITLE = "Yihu"
VERSION = "1.0.0"


@dataclass(frozen=True)
class Operation:
    """One method of one path; ``path`` as Flask writes it."""

    method: str
    path: str
    summary: str
    security: str  # a scope, "signature", or "" for public
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answers: tuple[tuple[int, type[BaseModel] | str], ...] = ()
    problems: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        words = re.sub(r"[^a-z]+", "_", self.path.removeprefix("/api/v1").lower()).strip("_")
        return f"{self.method}_{words}"


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document."""
    listed = list(operations)
    models: list[type[BaseModel]] = [Problem]
    for operation in listed:
        models += [model for model in (operation.body, operation.query) if model is not None]
        models += [model for _, model in operation.answers if not isinstance(model, str)]
    unique = list(dict.fromkeys(models))
    refs, schemas = models_json_schema(
        [(model, "validation") for model in unique], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method] = _operation(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Scopes: " + ", ".join(SCOPES)},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Yihu-Signature",
                    "description": "v1=HMAC-SHA256 over X-Yihu-Timestamp, a dot and the body",
                },
            },
        },
    }


def _operation(operation: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": {},
        "security": [],
    }
    if operation.security == "signature":
        made["security"] = [{"signature": []}]
    elif operation.security:
        made["security"] = [{"token": []}]
        made["description"] = f"Scope: {operation.security}"
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[operation.body, "validation"]}},
        }
    for status, model in operation.answers:
        if isinstance(model, str):
            content = {model: {"schema": {"type": "string", "format": "binary"}}}
        else:
            content = {"application/json": {"schema": refs[model, "validation"]}}
        made["responses"][str(status)] = {"description": "done", "content": content}
    for status in operation.problems:
        made["responses"][str(status)] = {
            "description": "problem",
            "content": {"application/problem+json": {"schema": refs[Problem, "validation"]}},
        }
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"<(?:\w+:)?(\w+)>", operation.path)
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template="#/components/schemas/{model}")
        required = schema.get("required", [])
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": part}
            for name, part in schema["properties"].items()
        ]
    return found
