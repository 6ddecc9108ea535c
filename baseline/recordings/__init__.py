"""Windows on disk: the format, its writer, and the reader that replays it."""
