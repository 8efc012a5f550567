"""Definitions as a folder of JSON Schema files: out, in, and checked as a CI run does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab.cli import main
from eventlab.schemas import folders

if TYPE_CHECKING:
    from pathlib import Path

V1 = {"customer": "VARCHAR NOT NULL", "amount": "DECIMAL(18,2)"}
V2 = {"client": "VARCHAR NOT NULL", "amount": "DECIMAL(18,2)", "note": "VARCHAR"}


def _shop(path: Path) -> el.EventLog:
    log = el.open(path, create=True)
    log.define("OrderPlaced", V1, compatibility="FULL_TRANSITIVE")
    log.define(
        "page view!", {"type": "object", "properties": {"url": {"type": "string", "maxLength": 5}}}, validation="warn"
    )
    log.define("OrderPlaced", V2, compatibility="BACKWARD", upcast={"client": "customer"})
    log.append("s", el.Event("Inferred", {"x": 1}))
    return log


def test_an_exported_folder_makes_the_same_registry(tmp_path: Path) -> None:
    """Every version with its mode, validation and upcast; inferred types stay out; a second import defines nothing."""
    with _shop(tmp_path / "a") as log:
        paths = log.export_schemas(tmp_path / "git")
        told = log.sql(
            "select event_type, version, compatibility, validation, upcast, schema from schema_versions"
        ).fetchall()
    assert [str(path.relative_to(tmp_path / "git")) for path in paths] == [
        "OrderPlaced/1.json",
        "page%20view%21/1.json",
        "OrderPlaced/2.json",
    ]
    with el.open(tmp_path / "b", create=True) as log:
        assert log.import_schemas(tmp_path / "git") == [("OrderPlaced", 1), ("OrderPlaced", 2), ("page view!", 1)]
        assert log.import_schemas(tmp_path / "git") == []
        again = log.sql(
            "select event_type, version, compatibility, validation, upcast, schema from schema_versions"
        ).fetchall()
        assert sorted(again) == sorted(row for row in told if row[0] != "Inferred")
        assert log.check_schemas(tmp_path / "git") == []


def test_a_changed_file_is_no_version(tmp_path: Path) -> None:
    """A defined version never changes: import and check name the file."""
    with _shop(tmp_path / "a") as log:
        log.export_schemas(tmp_path / "git")
        file = tmp_path / "git" / "OrderPlaced" / "1.json"
        file.write_text(file.read_text().replace('"customer"', '"buyer"'))
        with pytest.raises(el.SchemaIncompatible, match="is not version 1 of OrderPlaced"):
            log.import_schemas(tmp_path / "git")
        assert [path for path, _, _ in log.check_schemas(tmp_path / "git")] == [file]


def _file(folder: Path, version: int, properties: dict[str, Any], **told: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"type": "object", "properties": properties, "x-eventlab": told}
    (folder / f"{version}.json").write_text(json.dumps(document))


def test_a_folder_is_checked_version_by_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the mode that a version says, or the one before it; an upcast reads what was renamed. The exit code is CI's."""
    folder = tmp_path / "git" / "A"
    _file(folder, 1, {"x": {"type": "integer"}}, compatibility="FULL")
    _file(folder, 2, {"x": {"type": "integer"}, "y": {"type": "string"}})
    assert main(["types", "check", str(tmp_path / "git")]) == 0
    assert "2 schemas, all compatible" in capsys.readouterr().out
    _file(folder, 3, {"x": {"type": "string"}, "y": {"type": "string"}})
    assert main(["types", "check", str(tmp_path / "git")]) == 1
    said = capsys.readouterr()
    assert "3.json: x:" in said.out
    assert "FULL" in said.out
    assert said.err.startswith("error: ")
    _file(folder, 3, {"text": {"type": "string"}}, compatibility="BACKWARD", upcast={"text": "x::varchar"})
    assert main(["types", "check", str(tmp_path / "git")]) == 0
    assert main(["types", "check", str(tmp_path / "git"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == []


def test_a_check_against_a_store_reads_its_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next version must be one that the store would take: by its contract and by what is recorded."""
    with _shop(tmp_path / "a") as log:
        log.export_schemas(tmp_path / "git")
        log.append("s", el.Event("OrderPlaced", {"client": "ann"}))
    folder = tmp_path / "git" / "OrderPlaced"
    _file(folder, 3, {"client": {"type": "string"}, "amount": {"type": "boolean"}}, compatibility="FORWARD")
    assert main(["types", "check", str(tmp_path / "git"), "--store", str(tmp_path / "a")]) == 1
    assert "amount" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("A/1.json", "{", "1.json is no JSON"),
        ("A/one.json", "{}", "not named by its version"),
        ("A/1.json", '{"type": "object", "x-eventlab": 5}', "x-eventlab is 5"),
        ("A/1.json", '{"type": "object", "properties": {"a": {"type": "integr"}}}', "1.json: "),
        ("A/1.json", '{"type": "object", "x-eventlab": {"compatibility": "ALL"}}', "ALL"),
        ("1.json", "{}", "has no schemas"),
    ],
)
def test_a_folder_that_is_none_is_one_error(tmp_path: Path, name: str, content: str, hint: str) -> None:
    """It names the file."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(el.SchemaInvalid, match=hint):
        folders.read(tmp_path)
