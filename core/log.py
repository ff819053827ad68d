"""JSON logs: one object a line on standard error, with the request or job id bound to each."""

import logging
import sys

import orjson
import structlog


def configure_logging(level: str) -> None:
    """Send structlog and the standard library's loggers through one JSON renderer."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(
                    serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Under uvicorn's command line its loggers bring handlers of their own, which write text.
    logging.getLogger("uvicorn").handlers.clear()
    logging.getLogger("uvicorn").propagate = True
    # It writes each statement at DEBUG with its parameters, among them codes that only their owners may see.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    # Both repeat at INFO what our own request and job lines say better.
    for noisy in ("httpx", "uvicorn.access", "neo4j", "arq.worker", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
