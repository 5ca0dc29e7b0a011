"""Measurements on the user's own hardware."""
