"""Typed columns as classes: a dataclass, a msgspec Struct or a pydantic model, for code that makes or reads events.

A class says the types of fields; ``x-duckdb`` beside a Python type keeps the column's type where Python has none of its own, so
that the class, given as a schema again, makes the same columns. What a contract says beyond types, only JSON Schema says.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import keyword
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from eventlab.errors import SchemaInvalid
from eventlab.schemas import properties, types
from eventlab.schemas.types import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from eventlab.schemas.types import FieldType

    Make = Callable[[str, Mapping[str, Field]], Any]
    Mark = Callable[[Any, FieldType], Any]

_PYTHON: dict[str, Any] = {
    "NULL": type(None),
    "BOOLEAN": bool,
    "FLOAT": float,
    "DOUBLE": float,
    "DECIMAL": Decimal,
    "VARCHAR": str,
    "DATE": dt.date,
    "TIME": dt.time,
    "TIMESTAMP": dt.datetime,
    "TIMESTAMPTZ": dt.datetime,
    "UUID": uuid.UUID,
    "JSON": Any,
    **dict.fromkeys(types.INTEGERS, int),
}
_ANYTHING = bool | int | float | str | list[Any] | dict[str, Any]  # of JSON, but null


def as_dataclass(name: str, fields: Mapping[str, Field]) -> type[Any]:
    """Return a dataclass with those fields.

    Raises
    ------
    SchemaInvalid
        If a field has a name that Python does not allow: a dataclass cannot rename it.
    """
    impossible = [field for field in fields if not field.isidentifier() or keyword.iskeyword(field)]
    if impossible:
        message = f"{name}: a dataclass cannot have a field {impossible[0]!r}"
        raise SchemaInvalid(message, hint="Take the msgspec or the pydantic form, which rename it.")
    said = [
        (field, kind) if required else (field, kind, dataclasses.field(default=None))
        for field, kind, required in _annotated(name, fields, as_dataclass, _mark_for_msgspec)
    ]
    return dataclasses.make_dataclass(_class_name(name), said, kw_only=True)


def as_struct(name: str, fields: Mapping[str, Field]) -> type[Any]:
    """Return a msgspec Struct with those fields; names that Python does not allow are renamed."""
    names = _attributes(fields, frozenset(dir(msgspec.Struct)))
    said: list[Any] = [
        (names[field], kind) if required else (names[field], kind, None)
        for field, kind, required in _annotated(name, fields, as_struct, _mark_for_msgspec)
    ]
    rename = {attribute: field for field, attribute in names.items()}
    return msgspec.defstruct(_class_name(name), said, kw_only=True, rename=rename)


def as_model(name: str, fields: Mapping[str, Field]) -> type[Any]:
    """Return a pydantic model with those fields; names that Python does not allow are aliases.

    Raises
    ------
    SchemaInvalid
        If pydantic is not installed.
    """
    try:
        import pydantic  # noqa: PLC0415 - only who wants a model needs it
    except ImportError as error:
        raise SchemaInvalid(f"{name}: pydantic is not installed", hint="pip install pydantic") from error
    names = _attributes(fields, frozenset(dir(pydantic.BaseModel)))
    said: dict[str, Any] = {}
    for field, kind, required in _annotated(name, fields, as_model, _mark_for_pydantic):
        alias = None if names[field] == field else field
        said[names[field]] = (kind, pydantic.Field(alias=alias) if required else pydantic.Field(None, alias=alias))
    config = pydantic.ConfigDict(populate_by_name=True, protected_namespaces=())
    model: type[Any] = pydantic.create_model(_class_name(name), __config__=config, **said)
    return model


def _annotated(name: str, fields: Mapping[str, Field], make: Make, mark: Mark) -> Iterable[tuple[str, Any, bool]]:
    """Yield each field with its annotation, and whether it must be given."""
    for field, (kind, required) in ((field, (said.type, said.required)) for field, said in fields.items()):
        if required and kind == types.JSON:
            yield field, _ANYTHING, True
        else:
            python = _annotation(kind, f"{name}_{field}", make, mark)
            yield field, python if required else python | None, required


def _annotation(kind: FieldType, name: str, make: Make, mark: Mark) -> Any:  # noqa: ANN401 - an annotation
    """Return the Python type of a column."""
    python: Any
    match kind.kind:
        case "ENUM":
            python = Literal[kind.values]
        case "STRUCT":
            python = make(name, {field: Field(inner) for field, inner in kind.fields})
        case "LIST" if kind.item:
            python = list[_annotation(kind.item, name, make, mark) | None]  # type: ignore[misc]
        case "MAP" if kind.item:
            python = dict[str, _annotation(kind.item, name, make, mark) | None]  # type: ignore[misc]
        case _:
            python = _PYTHON[kind.kind]
    exact = properties.EXACT in properties.of_type(kind) or kind.kind == "ENUM"  # msgspec puts values in order
    return mark(python, kind) if exact else python


def _mark_for_msgspec(python: Any, kind: FieldType) -> Any:  # noqa: ANN401 - an annotation
    """Return an annotation with the column's type, as msgspec keeps it."""
    return Annotated[python, msgspec.Meta(extra_json_schema={properties.EXACT: str(kind)}, **_bounds(kind))]


def _mark_for_pydantic(python: Any, kind: FieldType) -> Any:  # noqa: ANN401 - an annotation
    """Return an annotation with the column's type, as pydantic keeps it."""
    import pydantic  # noqa: PLC0415 - as above

    return Annotated[python, pydantic.Field(json_schema_extra={properties.EXACT: str(kind)}, **_bounds(kind))]


def _bounds(kind: FieldType) -> dict[str, Any]:
    """Return the bounds of an integer of less than 64 bits."""
    if kind.kind not in types.INTEGERS or abs(types.INTEGERS[kind.kind]) == 64:  # noqa: PLR2004 - bits
        return {}
    low, high = types.bounds(kind.kind)
    return {"ge": low, "le": high}


def _attributes(fields: Iterable[str], taken: frozenset[str]) -> dict[str, str]:
    """Return a name for each field that Python allows and that is not taken."""
    found: dict[str, str] = {}
    used = {*taken, *fields}
    for field in fields:
        name = re.sub(r"\W", "_", field).lstrip("_")
        if field == name and name.isidentifier() and not keyword.iskeyword(name) and name not in taken:
            found[field] = name
            continue
        name = name if name[:1].isidentifier() else f"field_{name}"
        while name in used or keyword.iskeyword(name):
            name += "_"
        used.add(name)
        found[field] = name
    return found


def _class_name(name: str) -> str:
    """Return the name of a class for an event type, or for a field of it.

    Examples
    --------
    >>> [_class_name(name) for name in ("OrderPlaced", "page view!", "2fa", "OrderPlaced_lines")]
    ['OrderPlaced', 'PageView', 'Event2fa', 'OrderPlacedLines']
    """
    joined = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", name))
    return joined if joined.isidentifier() and not keyword.iskeyword(joined) else f"Event{joined}"
