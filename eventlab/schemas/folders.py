"""Definitions as a folder of JSON Schema files, ``OrderPlaced/1.json``, that can live beside code in version control.

A file is the contract of one version; what a definition says beyond it stands under ``x-eventlab``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from eventlab.errors import EventlabError, SchemaInvalid
from eventlab.schemas import compatibilities, contracts
from eventlab.schemas.compatibilities import Earlier

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from eventlab.schemas.compatibilities import Issue
    from eventlab.schemas.registry import Definition

KEY = "x-eventlab"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LONGEST = 150  # characters of a folder's name


@dataclass(frozen=True, slots=True)
class Filed:
    """One definition as a file has it; what it leaves out is None. ``place``: which one of its type in the folder it is, from 1."""

    path: Path
    event_type: str
    version: int
    place: int
    contract: dict[str, Any]
    compatibility: str | None
    validation: str | None
    upcast: dict[str, str] | str | None


def folder_name(name: str) -> str:
    """Return a name as a folder can be called on any file system.

    Examples
    --------
    >>> [folder_name(name) for name in ("OrderPlaced", "page view!", "..")]
    ['OrderPlaced', 'page%20view%21', '%2E%2E']
    """
    quoted = quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(quoted) <= _LONGEST:
        return quoted
    return f"{quoted[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def write(folder: Path, definitions: Iterable[Definition]) -> list[Path]:
    """Write a file for each definition that a person has made, and return the files; those of inferred types are left out."""
    paths = []
    for definition in definitions:
        if definition.origin != "defined":
            continue
        told = {
            "event_type": definition.event_type,
            "version": definition.version,
            "compatibility": definition.compatibility,
            "validation": definition.validation,
            **({"upcast": definition.upcast} if definition.upcast else {}),
        }
        document = {"$schema": _DIALECT, "title": definition.event_type, **definition.schema, KEY: told}
        path = folder / folder_name(definition.event_type) / f"{definition.version}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def propose(folder: Path, event_type: str, contract: dict[str, Any]) -> Path:
    """Write a proposed schema as the first version of a type.

    Raises
    ------
    SchemaInvalid
        If there is a file of it already.
    """
    path = folder / folder_name(event_type) / "1.json"
    if path.exists():
        raise SchemaInvalid(f"{path} is there already", hint="Give another folder, or delete the file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"$schema": _DIALECT, "title": event_type, **contract, KEY: {"event_type": event_type, "version": 1}}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


def read(folder: Path) -> list[Filed]:
    """Return the definitions of a folder, those of a type in the order of their versions.

    Raises
    ------
    SchemaInvalid
        If there are none, or a file is no schema: the error names it.
    """
    paths = sorted(folder.glob("*/*.json"), key=lambda path: (path.parent.name, _number(path)))
    if not paths:
        raise SchemaInvalid(
            f"{folder} has no schemas", hint="A folder of schemas has a file a version, like OrderPlaced/1.json."
        )
    places: Counter[str] = Counter()
    filed = []
    for path in paths:
        places[path.parent.name] += 1
        filed.append(_read(path, places[path.parent.name]))
    return filed


def check(filed: Iterable[Filed]) -> list[tuple[Filed, Issue]]:
    """Return what each version of a type has against the versions of its folder before it, in the mode that it says itself.

    A version with an upcast is read through it, so that only what the upcast does not yield is compared.
    """
    found: list[tuple[Filed, Issue]] = []
    earlier: dict[str, list[Filed]] = {}
    modes: dict[str, str] = {}
    for new in filed:
        before = earlier.setdefault(new.event_type, [])
        mode = modes[new.event_type] = new.compatibility or modes.get(new.event_type, "BACKWARD")
        versions = [Earlier(old.version, old.contract, _carried([*before, new], old)) for old in before]
        found += [(new, issue) for issue in compatibilities.issues(new.contract, versions, mode)]
        before.append(new)
    return found


def carried(contract: dict[str, Any], new: dict[str, Any], upcast: dict[str, str] | str | None) -> dict[str, Any]:
    """Return the contract of events of one version as an upcast to the next makes of it.

    A field that the upcast yields has the contract of the new version's field; so has all that a Python function returns.
    """
    if upcast is None:
        return contract
    if isinstance(upcast, str):
        return new
    fields = new.get("properties", {})
    old = {name: part for name, part in contract.get("properties", {}).items() if name in fields}
    yielded = {name: fields[name] for name in upcast if name in fields}
    required = {name for name in contract.get("required", ()) if name in old and name not in yielded}
    required |= {name for name in new.get("required", ()) if name in yielded}
    return {"type": "object", "properties": {**old, **yielded}, "required": sorted(required)}


def _carried(filed: list[Filed], old: Filed) -> dict[str, Any]:
    contract = old.contract
    for later in filed[filed.index(old) + 1 :]:
        contract = carried(contract, later.contract, later.upcast)
    return contract


def _number(path: Path) -> int:
    """Return the version that a file is of."""
    if not path.stem.isdecimal() or int(path.stem) < 1:
        raise SchemaInvalid(f"{path} is not named by its version", hint=f"Call it {path.parent / '1.json'}, 2.json, ….")
    return int(path.stem)


def _read(path: Path, place: int) -> Filed:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SchemaInvalid(
            f"{path} is no JSON: {error}", hint="A file of a folder of schemas is a JSON Schema."
        ) from None
    told = document.pop(KEY, {}) if isinstance(document, dict) else {}
    if not isinstance(told, dict):
        raise SchemaInvalid(
            f"{path}: {KEY} is {told!r}", hint=f'Write an object: "{KEY}": {{"compatibility": "FULL"}}.'
        )
    event_type = told.get("event_type", path.parent.name)
    if isinstance(document, dict) and document.get("title") == event_type:
        del document["title"]
        document.pop("$schema", None)
    try:
        compatibilities.check_mode(told.get("compatibility"))
        contract = contracts.contract(document, event_type=event_type)
    except EventlabError as error:
        raise SchemaInvalid(f"{path}: {error.message}", hint=error.hint) from None
    return Filed(
        path,
        event_type,
        _number(path),
        place,
        contract,
        told.get("compatibility"),
        told.get("validation"),
        told.get("upcast"),
    )
