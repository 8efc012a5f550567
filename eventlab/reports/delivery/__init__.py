"""Sending reports, failures, corrections and alerts to their readers, over mail and webhooks."""
