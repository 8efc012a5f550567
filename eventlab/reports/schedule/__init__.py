"""Doing what is due: rounds and the service, the past made good, issued reports corrected, and how it all stands."""
