"""Opening of video files and image directories."""

import stat
from pathlib import Path

import av.error

from facepulse.errors import VideoError
from facepulse.video.container import ContainerVideo, open_container
from facepulse.video.frames import MAX_SIDE, TimedFrames, Video
from facepulse.video.images import find_images, read_images


def open_video(source: str | Path, *, max_side: int = MAX_SIDE, fps: float | None = None) -> Video:
    """Open a video file, or a directory of images with timestamps in their names.

    Frames of a file have the timestamps of its stream, are rotated according to its metadata and converted to RGB from
    any pixel format. The times of the images of a directory are in their names: nanoseconds (as in PURE,
    `Image1392643993642815000.png`), microseconds or milliseconds since 1970, seconds with a decimal point, or dates and
    times of day with a fraction of a second.

    Args:
        source: file or directory.
        max_side: largest side of a frame in pixels; larger frames are scaled down to it.
        fps: frame rate in Hz that replaces the timestamps, if there are none or they are wrong: frame number i has the
            time i / fps, and the names of images have to contain numbers, but no times. The video's `warnings` say so.

    Returns:
        An iterator over the frames, which is also a context manager. It can be iterated once.

    Raises:
        VideoError: the source is missing or unreadable, or contains no frame.
    """
    path = Path(source)
    video: Video
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            found = find_images(path, fps)
            video = TimedFrames.of_images(str(path), "images", read_images(found.paths), found.times, max_side)
        elif stat.S_ISREG(mode):
            video = ContainerVideo(str(path), open_container(path), max_side, fps, path)
        else:
            raise VideoError(f"{path}: is a device or a pipe, not a file; record it to a file first")
    except FileNotFoundError:
        if path.is_symlink():
            raise VideoError(f"{path}: no such file, it is a link to {path.readlink()}; check the link") from None
        raise VideoError(f"{path}: no such file or directory; check the path") from None
    except PermissionError:
        raise VideoError(f"{path}: no permission to read it; change its permissions (chmod u+r)") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{path}: cannot be read as video ({reason}); check that a video player can play it"
        ) from error
    if fps is not None:
        video.warnings.append(f"timestamps: frame rate of {fps:.4g} Hz as stated, those of the source are not used")
    return video
