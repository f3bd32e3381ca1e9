"""RGB frames with times from video files, image directories and cameras, and video files written from frames."""
