"""The native API, put together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from restorium.flows.engine import Engine
from restorium.native import (
    accounts,
    audit,
    drill_plans,
    drill_reports,
    drill_results,
    drill_runs,
    evidence,
    files,
    hosts,
    imports,
    jobs,
    maintenance,
    openapi,
    overview,
    point_disks,
    points,
    repositories,
    restore_lists,
    restores,
    session_events,
    tokens,
    vms,
    webhooks,
)
from restorium.native.errors import respond
from restorium.native.exchange import Endpoint
from restorium.vocabulary.errors import NotFound, RestoriumError, Unsupported

OPERATIONS = (
    *accounts.OPERATIONS,
    *hosts.OPERATIONS,
    *repositories.OPERATIONS,
    *maintenance.OPERATIONS,
    *session_events.OPERATIONS,
    *jobs.OPERATIONS,
    *imports.OPERATIONS,
    *points.OPERATIONS,
    *point_disks.OPERATIONS,
    *files.OPERATIONS,
    *vms.OPERATIONS,
    *restore_lists.OPERATIONS,
    *restores.OPERATIONS,
    *evidence.OPERATIONS,
    *drill_plans.OPERATIONS,
    *drill_runs.OPERATIONS,
    *drill_results.OPERATIONS,
    *drill_reports.OPERATIONS,
    *overview.OPERATIONS,
    *audit.OPERATIONS,
    *webhooks.OPERATIONS,
)


def create(engine: Engine) -> Starlette:
    """The application to mount at ``/v1``."""
    endpoints: dict[str, dict[str, Endpoint]] = {
        "/openapi.json": {"GET": _describe},
        "/tokens": {"POST": tokens.log_on(engine)},
        "/tokens/current": {"DELETE": tokens.log_off(engine)},
    }
    for operation in OPERATIONS:
        endpoints.setdefault(operation.path, {})[operation.method] = operation.endpoint(engine)
    return Starlette(
        routes=[Route(path, _by_method(served), methods=list(served)) for path, served in endpoints.items()],
        exception_handlers={HTTPException: _not_served, Exception: _unexpected},
    )


@cache
def describe() -> dict[str, Any]:
    """The API as an OpenAPI document."""
    return openapi.write(OPERATIONS)


async def _describe(_request: Request) -> Response:
    return Response(msgspec.json.encode(describe()), media_type="application/json")


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    async def serve(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return serve


async def _not_served(request: Request, error: Exception) -> Response:
    asked = f"{request.method} {request.url.path}"
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        refusal = Unsupported(f"{asked} is not offered", hint=f"This path answers to {allowed}.")
        return respond(refusal, status=405, headers={"Allow": allowed})
    return respond(NotFound(f"{asked} names nothing of this API", hint="Check the path."))


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return respond(RestoriumError("the server failed to answer the request"))
