"""The format of HAProxy's access log: one JSON document per line."""

from __future__ import annotations

# At most PIPE_BUF of Linux with the line's end, so that a line is written to a pipe in one piece.
LOG_LINE_BYTES = 4_000
# What HAProxy writes for a variable that is not set.
UNSET = "-"
NO_SERVER = "<NOSRV>"

_FIELDS = {
    "id": '"%[var(txn.id)]"',
    "request_id": '"%[var(txn.request_id),json(utf8s)]"',
    "trace_id": '"%[var(txn.trace_id)]"',
    "use_case": '"%[var(txn.use_case)]"',
    "endpoint": '"%[var(txn.endpoint)]"',
    "caller": '"%[var(txn.caller),json(utf8s)]"',
    "client": '"%ci"',
    "received_us": '"%[var(txn.received_us)]"',
    "accepted_ms": '"%Ts%ms"',
    "entity": '"%[var(txn.entity),json(utf8s)]"',
    "route": '"%[var(txn.route)]"',
    "eligible": '"%[var(txn.eligible)]"',
    "backend": '"%b"',
    "server": '"%s"',
    # With a plus sign if another server was asked than the first.
    "retries": '"%rc"',
    "termination": '"%ts"',
    "status": "%ST",
    "latency_us": '"%[var(txn.latency_us)]"',
    "queue_ms": "%Tw",
    "connect_ms": "%Tc",
    "response_ms": "%Tr",
    "total_ms": "%Ta",
    "bytes_in": "%U",
    "bytes_out": "%B",
}
LOG_FORMAT = "{" + ",".join(f'"{name}":{value}' for name, value in _FIELDS.items()) + "}"
