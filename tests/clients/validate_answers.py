"""Checks recorded answers against official descriptions of the API.

Arguments: the folder that holds versions/openapi-VERSION.json, and a file with one JSON object a line:
version, operation, answer. Prints one line a finding, VERSION OPERATION PLACE: MESSAGE, and last the number
of answers that a description covers. The validator is the one that schemathesis brings.
"""

import json
import pathlib
import sys

import jsonschema_rs


def without_mistakes(schema):
    """Some descriptions require a member that they do not describe, and no response contains it."""
    if isinstance(schema, list):
        return [without_mistakes(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: without_mistakes(value) for name, value in schema.items()}
    described = schema.get("properties")
    if isinstance(described, dict) and isinstance(schema.get("required"), list):
        schema["required"] = [name for name in schema["required"] if name in described]
    return schema


def schemas(path):
    """The validator of each operation's answer, by the operation's name."""
    document = without_mistakes(json.loads(path.read_text()))
    found = {}
    for item in document["paths"].values():
        for operation in item.values():
            content = operation.get("responses", {}).get("200", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if schema:
                name = operation["operationId"].split("_")[-1]
                whole = {"allOf": [schema], "components": document["components"]}
                found[name] = jsonschema_rs.Draft7Validator(whole, validate_formats=True)
    return found


def main(folder, recording):
    known, checked, findings = {}, 0, set()
    for line in pathlib.Path(recording).read_text().splitlines():
        entry = json.loads(line)
        version, operation = entry["version"], entry["operation"]
        if version not in known:
            # A version may have no official description, only one that was derived from an older one.
            (path,) = pathlib.Path(folder).glob(f"versions/openapi-{version}*.json")
            known[version] = schemas(path)
        validator = known[version].get(operation)
        if validator is None:
            continue  # Newer operations are not hidden from older versions.
        checked += 1
        for error in validator.iter_errors(entry["answer"]):
            place = ".".join("*" if isinstance(step, int) else step for step in error.instance_path)
            findings.add(f"{version} {operation} {place}: {error.message}"[:300])
    print("\n".join([*sorted(findings), str(checked)]))


main(*sys.argv[1:])
