"""Prevents schemathesis from deleting its own API key, service account, and cluster, and from locking the cluster.

OOTHECA_KEEP contains their IDs and that of a backup, separated by commas. Schemathesis finds them in lists. After a
DELETE of one of them, every later response would be 401 or 404. A restore would lock the cluster.
"""

import os

import schemathesis

# Imported by the main thread. Schemathesis imports these when its workers start, at the same time, and then
# one of them can find a module that is only partly imported.
import schemathesis.transport.asgi
import schemathesis.transport.requests
import schemathesis.transport.wsgi
from hypothesis.internal import lambda_sources

KEEP = set(os.environ["OOTHECA_KEEP"].split(","))
NOTHING = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f"

describe = lambda_sources._lambda_description


def describe_or_not(function, *arguments, **named):
    """Only for messages; parsing the source of a lambda fails at random in Python 3.11."""
    try:
        return describe(function, *arguments, **named)
    except SystemError:
        return "lambda: <unknown>"


lambda_sources._lambda_description = describe_or_not


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Merges the two names that the official document has for one path, because each of them lacks methods."""
    paths = raw_schema["paths"]
    (create,) = paths.pop("/api/v1/clusters/{destination_cluster_id}/restores").values()
    for parameter in create["parameters"]:
        if parameter.get("in") == "path":
            parameter["name"] = "cluster_id"
    paths["/api/v1/clusters/{cluster_id}/restores"]["post"] = create


def change_body(case):
    """Prevents restores, and that backups expire because the test clock is advanced."""
    body = case.body
    if case.method != "POST" or not isinstance(body, dict):
        return
    if case.path.endswith("/restores"):
        for name in ("backup_id", "source_cluster_id"):
            if isinstance(body.get(name), str) and body[name] in KEEP:
                body[name] = NOTHING
    if case.path.endswith("/clock"):
        seconds = body.get("advance_seconds")
        if isinstance(seconds, int) and seconds > 1:
            body["advance_seconds"] = 1


@schemathesis.hook
def before_call(context, case, kwargs):
    change_body(case)
    takes = case.method == "DELETE" or "/roles/" in case.path
    at_its_root = case.path.count("{") == 1 or "/roles/" in case.path
    if case.method != "GET" and takes and at_its_root:
        for name, value in (case.path_parameters or {}).items():
            if value in KEEP:
                case.path_parameters[name] = NOTHING
