"""What parameters do to an object: metadata is merged, an empty string unsets."""

from typing import Any

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import (
    Body,
    fields,
    filled,
    is_array,
    is_nullable,
    resource_class,
)

_KEYS, _KEY_LENGTH, _VALUE_LENGTH = 50, 40, 500


def changes(body: Body, params: Body, names: str) -> Body:
    """The new values of those of the named fields that the parameters mention."""
    mentioned = {name: params[name] for name in names.split() if name in params}
    completed = filled(resource_class(body["object"]), mentioned)
    return {name: _value(body, name, completed[name]) for name in mentioned}


def given(params: Body, names: str) -> Body:
    """The fields of a new object that the parameters mention; what is empty stays null."""
    mentioned = {name: params[name] for name in names.split() if name in params}
    if "metadata" in mentioned:
        mentioned["metadata"] = merge_metadata({}, mentioned["metadata"])
    return {name: value for name, value in mentioned.items() if value != ""}


def merge_metadata(old: Body | None, new: Any) -> Body:
    """Keys are merged; an empty value removes its key, an empty string all of them."""
    if new == "":
        return {}
    merged = {**(old or {}), **new}
    metadata = {key: value for key, value in merged.items() if value != ""}
    _require_metadata(metadata)
    return metadata


def _value(body: Body, name: str, value: Any) -> Any:
    if name == "metadata":
        return merge_metadata(body.get("metadata"), value)
    if value != "":
        return value
    hint = fields(resource_class(body["object"]))[name]
    if is_nullable(hint):
        return None
    if is_array(hint):
        return []
    raise invalid(
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset"
        f" a parameter; however '{name}' cannot be unset. You should remove '{name}' from your"
        " request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )


def _require_metadata(metadata: Body) -> None:
    if len(metadata) > _KEYS:
        text = f"Metadata can have up to {_KEYS} keys, but you passed in {len(metadata)}."
        raise invalid(text, param="metadata")
    for key, value in metadata.items():
        if len(key) > _KEY_LENGTH:
            text = (
                f"Metadata keys can have up to {_KEY_LENGTH} characters, but you passed in a key"
                f" that is {len(key)} characters. Invalid key: {key}"
            )
            raise invalid(text, param="metadata")
        if len(value) > _VALUE_LENGTH:
            text = (
                f"Metadata values can have up to {_VALUE_LENGTH} characters, but you passed in a"
                f" value that is {len(value)} characters. Invalid value: {value}"
            )
            raise invalid(text, param=f"metadata[{key}]")
