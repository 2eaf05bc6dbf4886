"""Celery settings that the coordinator and the nodes must agree on, or that keep any process of theirs alive.

Each line answers something Celery does by itself; docs/adr/0002-celery-settings.md says what and why.
"""

import socket
from typing import Any

SETTINGS: dict[str, Any] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "enable_utc": True,
    "timezone": "UTC",
    "task_ignore_result": True,  # PostgreSQL is the truth; there is no result backend
    "task_track_started": False,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # for ever: the default gives up after about 50 minutes
    "broker_channel_error_retry": True,  # survive a consumer timeout instead of exiting
    "broker_connection_timeout": 4,
    "broker_heartbeat": 30,
    "broker_transport_options": {
        "confirm_publish": True,
        "read_timeout": 30,  # a broker that blocks publishers must not hang us for ever
        "write_timeout": 30,
        "socket_settings": {
            socket.TCP_USER_TIMEOUT: 20_000,  # py-amqp's own 1 s drops the connection at every hiccup
            socket.TCP_KEEPIDLE: 30,
            socket.TCP_KEEPINTVL: 10,
            socket.TCP_KEEPCNT: 3,
        },
    },
    "task_create_missing_queues": False,  # a mistyped queue must fail, not be created
    "task_inherit_parent_priority": False,
    "task_acks_late": False,
    "task_send_sent_event": False,
    "worker_enable_prefetch_count_reduction": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": True,
}

WORKER_CONTROL: dict[str, Any] = {
    # a worker that restarts under its name must not be locked out by its own dying connection; for workers only:
    # a client with these settings would leave a durable reply queue behind at every question it asks
    "control_queue_exclusive": False,
    "control_queue_durable": True,
    "control_queue_expires": 3600.0,
}
