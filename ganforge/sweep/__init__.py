"""Sweeps: many runs of one recipe that differ in some options, kept in a study that several jobs may share."""
