"""When a report is due, by the clocks of its zone, and which period it is of."""
