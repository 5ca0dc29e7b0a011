"""One HTML page about one or several runs, made from what their folders hold."""
