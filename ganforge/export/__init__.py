"""Trained generators in other formats, each checked against the generator itself."""
