"""Video files, image directories and cameras as RGB frames with times, and video files written from frames."""
