"""Ways to get batches of rows onto the device: from a copy that lies there, read ahead, or from a stream."""
