"""Columns that many tables have."""

import json
from typing import Any

from sqlalchemy import DateTime, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import mapped_column

Json = dict[str, Any]


def now() -> Any:
    """When the row was made."""
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def moment() -> Any:
    return mapped_column(DateTime(timezone=True))


def json_object(default: str = "{}") -> Any:
    return mapped_column(JSONB, server_default=default, default=lambda: json.loads(default))
