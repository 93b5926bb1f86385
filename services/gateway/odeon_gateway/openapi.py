"""OpenAPI 3.1 of the JSON face, generated from the descriptors.

`python -m odeon_gateway.openapi` prints it; docs/reference/openapi.json is the committed copy, and
a test fails when the two differ.
"""

import json
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from odeon_gateway.methods import Method, facing_methods

_Schema = dict[str, Any]
# ProtoJSON: https://protobuf.dev/programming-guides/json/
_WELL_KNOWN: dict[str, _Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Field names, comma separated"},
}
_INT64 = {"type": "string", "pattern": r"^-?\d+$"}
_SCALARS: dict[int, _Schema] = {
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number"},
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_UINT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_FIXED64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "minimum": 0},
    FieldDescriptor.TYPE_SINT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_FIXED32: {"type": "integer", "minimum": 0},
    FieldDescriptor.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
_ERROR: _Schema = {
    "type": "object",
    "description": "Connect error; `details[].debug` of google.rpc.ErrorInfo has the reason.",
    "required": ["code"],
    "properties": {
        "code": {"type": "string", "examples": ["not_found"]},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "examples": ["google.rpc.ErrorInfo"]},
                    "value": {"type": "string", "contentEncoding": "base64"},
                    "debug": {"type": "object"},
                },
            },
        },
    },
}
_PROBLEM: _Schema = {
    "type": "object",
    "description": "RFC 9457 problem with the reason of the refusal.",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@cache
def openapi_json() -> str:
    """The document as JSON text."""
    return json.dumps(openapi(), indent=1, sort_keys=True) + "\n"


def openapi() -> _Schema:
    """The document."""
    schemas: dict[str, _Schema] = {"ConnectError": _ERROR, "Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for path, method in sorted(facing_methods().items()):
        paths[path] = {"post": _operation(method, schemas)}
    paths.update(_media_paths())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Odeon",
            "version": "1",
            "description": "Every call is a POST with a JSON body (Connect protocol). The same "
            "calls are served over gRPC on the gateway's second port.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (odk_…) or a token.",
                }
            },
            "schemas": schemas,
        },
    }


def _operation(method: Method, schemas: dict[str, _Schema]) -> _Schema:
    kind = "application/connect+json" if method.streams_responses else "application/json"
    descriptor = method.descriptor
    operation: _Schema = {
        "operationId": f"{method.service}.{descriptor.name}",
        "tags": [method.service],
        "x-odeon-permission": method.permission,
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": _message(descriptor.input_type, schemas)}},
        },
        "responses": {
            "200": {
                "description": "Enveloped messages" if method.streams_responses else "OK",
                "content": {kind: {"schema": _message(descriptor.output_type, schemas)}},
            },
            "default": {
                "description": "Refused",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ConnectError"}}
                },
            },
        },
    }
    if method.public:
        operation["security"] = []
    return operation


def _message(descriptor: Descriptor, schemas: dict[str, _Schema]) -> _Schema:
    known = _WELL_KNOWN.get(descriptor.full_name)
    if known is not None:
        return known
    name = descriptor.full_name
    if name not in schemas:
        schemas[name] = {}  # breaks cycles
        schemas[name] = {
            "type": "object",
            "properties": {f.json_name: _field(f, schemas) for f in descriptor.fields},
        }
    return {"$ref": f"#/components/schemas/{name}"}


def _field(field: FieldDescriptor, schemas: dict[str, _Schema]) -> _Schema:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value = _single(entry.fields_by_name["value"], schemas)
        return {"type": "object", "additionalProperties": value}
    single = _single(field, schemas)
    return {"type": "array", "items": single} if field.is_repeated else single


def _single(field: FieldDescriptor, schemas: dict[str, _Schema]) -> _Schema:
    if field.message_type is not None:
        return _message(field.message_type, schemas)
    if field.enum_type is not None:
        return _enum(field.enum_type, schemas)
    return _SCALARS[field.type]


def _enum(descriptor: EnumDescriptor, schemas: dict[str, _Schema]) -> _Schema:
    schemas[descriptor.full_name] = {
        "type": "string",
        "enum": [value.name for value in descriptor.values],
    }
    return {"$ref": f"#/components/schemas/{descriptor.full_name}"}


def _media_paths() -> dict[str, Any]:
    return {
        path: entry
        for base, title in (("whip", "WHIP, RFC 9725"), ("whep", "WHEP"))
        for path, entry in (
            (f"/{base}/{{event}}", {"post": _sdp_operation(base, title)}),
            (f"/{base}/{{event}}/{{node}}/{{session}}", _resource(base, title)),
        )
    }


def _sdp_operation(base: str, title: str) -> _Schema:
    sdp = {"application/sdp": {"schema": {"type": "string"}}}
    return {
        "operationId": f"{base}.start",
        "tags": [base],
        "summary": f"{title}: SDP offer in, SDP answer out",
        "parameters": [_path_parameter("event")],
        "requestBody": {"required": True, "content": sdp},
        "responses": {
            "201": {"description": "Answer; Location names the session", "content": sdp},
            "default": _refused(),
        },
    }


def _resource(base: str, title: str) -> _Schema:
    fragment = {"application/trickle-ice-sdpfrag": {"schema": {"type": "string"}}}
    parameters = [_path_parameter(name) for name in ("event", "node", "session")]
    return {
        "patch": {
            "operationId": f"{base}.patch",
            "tags": [base],
            "summary": f"{title}: trickled candidates or an ICE restart",
            "parameters": parameters,
            "requestBody": {"required": True, "content": fragment},
            "responses": {
                "200": {"description": "ICE restarted", "content": fragment},
                "204": {"description": "Candidates taken"},
                "default": _refused(),
            },
        },
        "delete": {
            "operationId": f"{base}.end",
            "tags": [base],
            "summary": f"{title}: ends the session",
            "parameters": parameters,
            "responses": {"200": {"description": "Ended"}, "default": _refused()},
        },
    }


def _path_parameter(name: str) -> _Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _refused() -> _Schema:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": "Refused", "content": {"application/problem+json": {"schema": schema}}}


if __name__ == "__main__":
    print(openapi_json(), end="")
