"""Crops of the only face in a video, as the pipeline makes them."""

from pathlib import Path

import numpy as np

from facepulse.faces.crops import ClipBuilder
from facepulse.faces.detectors import DETECTORS
from facepulse.faces.tracking import FaceTracker
from facepulse.video.reader import open_video


def crops_of(video: Path, size: int, margin: float) -> np.ndarray:
    builder, clips = ClipBuilder(size, margin, 30.0), []
    with open_video(video) as frames:
        for tracked in FaceTracker(DETECTORS["auto"]()).track(iter(frames)):
            [boxes] = tracked.boxes.values()
            clips += builder.push(tracked.frames, boxes)
    return np.concatenate([clip.frames for clip in (*clips, *builder.finish())])
