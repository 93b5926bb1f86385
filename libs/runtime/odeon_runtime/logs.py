"""structlog set-up: one line a call, constant event names, no user data outside `pii.*`."""

import logging
import sys

import structlog


def setup_logs(service: str, *, level: str, style: str) -> None:
    """Log to standard error as JSON lines, or readable for people with style "console"."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if style == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


def _add_trace(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that says which module speaks."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(module=name)
    return bound
