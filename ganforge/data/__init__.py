"""Datasets, packing, order and readers."""
