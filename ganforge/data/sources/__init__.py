"""Where pictures to pack come from, each kind of source in a file."""
