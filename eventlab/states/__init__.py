"""States: one SELECT over events, and from it the value now, at any moment, its history, its differences, its course."""

from eventlab.states.catalogs import Catalog
from eventlab.states.reducers import Fold
from eventlab.states.states import State

__all__ = ["Catalog", "Fold", "State"]
