"""Keeps schemathesis from taking away what it works with: its own key, its account and its cluster.

OOTHECA_KEEP holds their ids with commas between. Whoever reads lists finds them, and a DELETE of one of
them would turn every later answer into 401 or 404, which proves nothing.
"""

import os

import schemathesis
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
def before_call(context, case, kwargs):
    takes = case.method == "DELETE" or "/roles/" in case.path
    at_its_root = case.path.count("{") == 1 or "/roles/" in case.path
    if case.method != "GET" and takes and at_its_root:
        for name, value in (case.path_parameters or {}).items():
            if value in KEEP:
                case.path_parameters[name] = NOTHING
