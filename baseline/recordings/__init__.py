"""Windows on disk: the format, its writer, and the reader that replays it."""

from baseline.recordings.reader import Recording
from baseline.recordings.replay import replay
from baseline.recordings.writer import RecordingWriter

__all__ = ["Recording", "RecordingWriter", "replay"]
