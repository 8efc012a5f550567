"""Reports that make themselves: rendered from a pinned view, made again to the same numbers, scheduled, delivered, corrected."""
