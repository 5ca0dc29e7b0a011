"""One set of tests for every component, whoever wrote it: `pytest --ganforge-plugin MODULE` runs them on a plugin."""
