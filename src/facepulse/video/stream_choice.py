"""Choice among the video streams of a container: the recording, not its poster, thumbnails or depth map."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import av.error
from av.stream import Disposition

ABOUT_EQUAL = 0.9  # of the most frames
COUNTED_PACKETS = 2000  # of all streams together


def choose_stream(container: Any, reopen: Callable[[], Any] | None = None) -> Any | None:
    """Choose the stream with the most frames; among about equal ones, one with a decoder, the default, the largest.

    Args:
        container: opened source.
        reopen: opens the source once more to count packets, if it has several streams and does not state their numbers
            of frames; None for a source that can be opened once.

    Returns:
        The stream; None if there is no video. Its `codec_context` is None if there is no decoder.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if len(streams) < 2:
        return streams[0] if streams else None
    counts = [stream.frames for stream in streams]
    # AVI states the number of periods, which may be those of the other stream.
    if reopen and (container.format.name == "avi" or not all(counts)):
        counts = _counted_packets(reopen, [stream.index for stream in streams])
    longest = [s for s, count in zip(streams, counts, strict=True) if count >= ABOUT_EQUAL * max(counts)]
    return max(longest, key=_rank)


def _rank(stream: Any) -> tuple[bool, bool, int]:
    if stream.codec_context is None:
        return False, False, 0
    return True, bool(stream.disposition & Disposition.default), stream.width * stream.height


def _counted_packets(reopen: Callable[[], Any], indices: Sequence[int]) -> list[int]:
    counts = dict.fromkeys(indices, 0)
    with suppress(av.error.FFmpegError), reopen() as container:
        packets = container.demux([container.streams[index] for index in indices])
        for packet in itertools.islice(packets, COUNTED_PACKETS):
            counts[packet.stream_index] += packet.size > 0
    return list(counts.values())
