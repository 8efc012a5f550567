"""The words for each rule that a reader has and a writer does not keep: what was done, and what to do about it.

A rule has two sides. Backward the new version reads, so the change took something away; forward the earlier version reads, so
the change added something that it does not know. The places in braces: the ``name`` of the property, what was (``old``) and is
(``new``), the values that are ``lost``, and the ``version`` that it clashes with.
"""

from __future__ import annotations

NEVER = (
    " Its default does not help: in JSON Schema a default is only a note, and events without the property stay without."
)
_UPCAST = "or say in an upcast how the new value comes from the old."
_UNPROVEN = 'leave this part as it was, write it with simpler keywords, or say compatibility="NONE" if you know better.'
_NEW_TYPE = "or give the new values a property of their own."

FIXES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "type": (
        ("type_changed", "type_changed"),
        (
            f"Keep {{old}}, or a type that holds it, {_UPCAST}",
            f"Keep {{old}}, since readers of version {{version}} expect it, {_NEW_TYPE}",
        ),
    ),
    "type_narrowed": (
        ("type_narrowed", "type_widened"),
        (
            f"Keep {{old}}, or a type that holds it, {_UPCAST}",
            f"Keep {{old}}, since readers of version {{version}} refuse other values, {_NEW_TYPE}",
        ),
    ),
    "null": (
        ("null_refused", "null_allowed"),
        (
            "Let {name} be null, as earlier events may have it.",
            "Do not let {name} be null, since readers of version {version} refuse null; leave the property out instead.",
        ),
    ),
    "required": (
        ("required_added", "required_removed"),
        (
            "Leave {name} optional, or give it a value in an upcast.",
            "Keep {name} required, since readers of version {version} rely on it.",
        ),
    ),
    "required_new": (
        ("required_added", "required_removed"),
        (
            "Declare {name} as optional, or give it a value in an upcast.",
            "Keep {name}, and keep it required, since readers of version {version} rely on it.",
        ),
    ),
    "added_to_open": (
        ("property_added_to_open", "property_removed_from_open"),
        (
            "Let {name} be anything that the earlier content admits there ({old}), or leave the name to undeclared properties.",
            "Keep {name} declared as {old}, or let undeclared properties be no more than that.",
        ),
    ),
    "removed_from_closed": (
        ("property_removed_from_closed", "property_added_to_closed"),
        (
            "Keep {name} declared, or leave additionalProperties out.",
            "Leave {name} out, since readers of version {version} refuse undeclared properties, or ask for BACKWARD alone.",
        ),
    ),
    "content_closed": (
        ("content_closed", "content_opened"),
        (
            "Leave additionalProperties as it was, or declare every property that earlier events have.",
            "Leave additionalProperties as it was, since readers of version {version} refuse undeclared properties.",
        ),
    ),
    "content_narrowed": (
        ("content_narrowed", "content_widened"),
        (
            "Leave additionalProperties as it was, since undeclared properties of earlier events may be anything.",
            "Leave additionalProperties as it was, since readers of version {version} refuse other undeclared properties.",
        ),
    ),
    "pattern_property": (
        ("pattern_property_changed", "pattern_property_changed"),
        (
            "Let properties with such names be anything that they were ({old}).",
            "Let properties with such names be no more than they were ({old}).",
        ),
    ),
    "enum": (
        ("enum_narrowed", "enum_extended"),
        (
            f"Keep {{lost}} in the enum, {_UPCAST}",
            "Leave {lost} out of the enum, since readers of version {version} do not know it.",
        ),
    ),
    "enum_new": (
        ("enum_added", "enum_removed"),
        (
            f"Leave the enum out, since earlier events may have other values, {_UPCAST}",
            "Keep the enum, since readers of version {version} know no other values.",
        ),
    ),
    "pattern": (
        ("pattern_changed", "pattern_changed"),
        (
            f"Keep the pattern, or leave it out, {_UPCAST}",
            "Keep the pattern, since readers of version {version} refuse texts of another form.",
        ),
    ),
    "pattern_new": (
        ("pattern_added", "pattern_removed"),
        (
            f"Leave the pattern out, since earlier texts may be of another form, {_UPCAST}",
            "Keep the pattern, since readers of version {version} refuse texts of another form.",
        ),
    ),
    "format": (
        ("format_changed", "format_changed"),
        (
            f"Keep the format, {_UPCAST}",
            f"Keep the format, since readers of version {{version}} expect it, {_NEW_TYPE}",
        ),
    ),
    "format_new": (
        ("format_added", "format_removed"),
        (
            f"Leave the format out, since earlier texts may be of another form, {_UPCAST}",
            "Keep the format, since readers of version {version} expect it.",
        ),
    ),
    "multipleOf": (
        ("multiple_of_changed", "multiple_of_changed"),
        (
            f"Choose a number that divides {{old}}, {_UPCAST}",
            "Choose a multiple of {old}, since readers of version {version} refuse others.",
        ),
    ),
    "multipleOf_new": (
        ("multiple_of_added", "multiple_of_removed"),
        (
            f"Leave multipleOf out, {_UPCAST}",
            "Keep multipleOf, since readers of version {version} refuse other numbers.",
        ),
    ),
    "uniqueItems": (
        ("unique_items_added", "unique_items_removed"),
        (
            f"Leave uniqueItems out, since earlier lists may repeat an item, {_UPCAST}",
            "Keep uniqueItems, since readers of version {version} refuse lists that repeat an item.",
        ),
    ),
    "propertyNames": (
        ("property_names_narrowed", "property_names_widened"),
        (
            "Leave propertyNames as it was, since earlier events may have other names.",
            "Leave propertyNames as it was, since readers of version {version} refuse other names.",
        ),
    ),
    "not": (
        ("not_extended", "not_narrowed"),
        (
            "Leave not as it was, since earlier events may have what it excludes now.",
            "Leave not as it was, since readers of version {version} refuse what it excluded.",
        ),
    ),
    "union": (
        ("alternative_removed", "alternative_added"),
        (
            f"Keep an alternative that admits everything that was admitted before, {_UPCAST}",
            f"Leave the added alternative out, since readers of version {{version}} do not know it, {_NEW_TYPE}",
        ),
    ),
    "overlap": (
        ("alternatives_overlap", "alternatives_overlap"),
        (
            "Use anyOf, or make the alternatives exclude each other: oneOf refuses what fits more than one.",
            "Make the alternatives exclude each other as before: in version {version} oneOf refuses what fits more than one.",
        ),
    ),
    "refused": (
        ("nothing_allowed", "value_allowed"),
        (
            "Allow what was allowed here before, since earlier events may have it.",
            "Allow nothing here, since readers of version {version} refuse every value.",
        ),
    ),
    "undecided": (
        ("undecided", "undecided"),
        (
            f"It cannot be proven that every earlier value fits: {_UNPROVEN}",
            f"It cannot be proven that version {{version}} reads every new value: {_UNPROVEN}",
        ),
    ),
}


def _bound(rule: str, code: str, *, least: bool) -> None:
    """Add the words for a bound: raising the least, or lowering the greatest, refuses what was allowed."""
    tighter, looser = ("raised", "lowered") if least else ("lowered", "raised")
    FIXES[rule] = (
        (f"{code}_{tighter}", f"{code}_{looser}"),
        (
            f"Leave {rule} where it was ({{old}}), {_UPCAST}",
            f"Leave {rule} where it was ({{old}}), since readers of version {{version}} refuse values beyond it.",
        ),
    )
    FIXES[f"{rule}_new"] = (
        (f"{code}_added", f"{code}_removed"),
        (
            f"Leave {rule} out, since earlier values may be beyond it, {_UPCAST}",
            f"Keep {rule} ({{old}}), since readers of version {{version}} refuse values beyond it.",
        ),
    )


for _rule, _code in (
    ("minimum", "minimum"),
    ("exclusiveMinimum", "exclusive_minimum"),
    ("minLength", "min_length"),
    ("minItems", "min_items"),
    ("minProperties", "min_properties"),
):
    _bound(_rule, _code, least=True)
    _bound(_rule.replace("min", "max").replace("Min", "Max"), _code.replace("min", "max"), least=False)
