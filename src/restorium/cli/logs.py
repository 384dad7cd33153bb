"""Logs: one line an event on standard error, JSON unless a terminal reads it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog
from structlog.typing import Processor

from restorium.vocabulary.errors import InvalidInput

_LEVELS = ("debug", "info", "warning", "error")


def configure_logs(level: str) -> None:
    """Send records of ``level`` and above, structlog's and the standard library's, to standard error.

    Raises InvalidInput for an unknown level.
    """
    if level.lower() not in _LEVELS:
        known = ", ".join(_LEVELS)
        raise InvalidInput(f"{level!r} is not a log level", hint=f"Set log_level to one of {known}.")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        # The renderer's own choice of traceback shows local variables, which hold secrets.
        rendered: list[Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        rendered = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("asyncio").addFilter(_is_worth_telling)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """All but one fault of asyncio: a client that hangs up is no error.

    Its transport tells its protocol twice of a connection that is reset as the last bytes leave; the second time fails.
    """
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return True
    code = trace.tb_frame.f_code
    return (code.co_name, Path(code.co_filename).parent.name) != ("_call_connection_lost", "asyncio")
