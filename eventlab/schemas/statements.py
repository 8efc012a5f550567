"""The texts of states, as the registry keeps them: numbered beside the definitions of event types, never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StateText:
    """One version of a state: its SELECT, or None where the state was dropped.

    Attributes
    ----------
    registry_version
        Of the registry that begins with this text.
    """

    state: str
    version: int
    registry_version: int
    recorded_at: int
    text: str | None

    def document(self) -> dict[str, Any]:
        """Return the text as the JSON document that the journal keeps."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StateText:
        """Return the text that a stored document says."""
        return cls(**document)
