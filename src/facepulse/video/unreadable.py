"""Reasons why a file cannot be read as video, each with advice, for error messages."""

import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import av.error

CONVERT = "convert it to MP4 with H.264"
ENCRYPTED = "it is encrypted (protected against copying); give a copy without protection"
_UNFINISHED = {".part", ".crdownload", ".download", ".partial", ".tmp", ".opdownload"}

# First bytes of AVI, Matroska, FLV, ASF and MPEG files.
_VIDEO_FORMATS = b"RIFF", b"\x1aE\xdf\xa3", b"FLV\1", b"0&\xb2u", b"\0\0\1\xba", b"G@"
# First bytes of files that are given by mistake, in lower case.
_MISTAKES = (
    (b"version https://git-lfs", "a pointer of Git LFS to one", "fetch the video (git lfs pull)"),
    (b"/annex/objects/", "a pointer of git-annex to one", "fetch the video (git annex get)"),
    (b"\0\5\x16\7", "a file that macOS writes beside one (._)", "give the file without ._ in its name"),
    (b"bplist00", "a property list of macOS, such as the placeholder of a file in iCloud", "download the video first"),
    (b"<!doctype html", "a web page", "download the video itself"),
    (b"<html", "a web page", "download the video itself"),
    (b"<?xml", "an XML text, such as the answer of a server", "download the video again"),
    (b"#extm3u", "a playlist", "give a video file"),
    (b"{", "a JSON text, such as the answer of a server", "download the video again"),
    (b"%pdf", "a PDF document", "give a video file"),
    (b"\x93numpy", "a NumPy array", "load it and give the array"),
    (b"matlab 5.0", "a MATLAB file", "load it and give the array"),
    (b"matlab 7.3", "a MATLAB file", "load it and give the array"),
    (b"\x89hdf\r\n", "an HDF5 file", "load it and give the array"),
    (b"pk\3\4", "a ZIP archive or a file of that form (npz, docx)", "give the video inside"),
    (b"\x1f\x8b", "a compressed file", "unpack it and give the video inside"),
    (b"7z\xbc\xaf", "an archive", "unpack it and give the video inside"),
    (b"rar!", "an archive", "unpack it and give the video inside"),
)


def not_a_video(path: Path) -> str:
    """Reason why FFmpeg recognises no video in a file."""
    if path.suffix.lower() in _UNFINISHED:
        return "the download is not complete; wait for its end, or download it again"
    with path.open("rb") as file:
        head = file.read(4096)
    if _lacks_index(path):
        return "incomplete, its index (moov) is missing; record or copy it again"
    if not head.strip(b"\0"):
        return "not a video: it begins with zeros only, as an incomplete copy does; copy it again"
    if head[4:8] == b"ftyp" or head.startswith(_VIDEO_FORMATS):
        return "the file is incomplete or damaged; record, export or copy it again"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, kind, advice in _MISTAKES:
        if start.startswith(signature):
            return f"not a video but {kind}; {advice}"
    return "not a video; give a video file such as mp4, mov, avi, mkv or webm"


def without_decoder(path: Path | None) -> str:
    """Reason why a stream has no decoder, with the code of its format if the file is an MP4 or MOV."""
    found = path and re.search(rb"vide.*?stsd.{12}([\w -]{4})", _movie_box(path), re.DOTALL)
    code = found[1].decode("ascii").strip() if found else ""
    if code in ("encv", "drmi"):
        return ENCRYPTED
    return f"its video format{code and f' ({code})'} is not supported; {CONVERT}"


def undecoded(path: Path | None, stream: Any, packets: int, errors: Set[type[Exception]]) -> str:
    """Reason why a stream has not given any frame.

    Args:
        path: of the file, None for a network address.
        stream: video stream with a decoder.
        packets: number of packets read.
        errors: types of the errors of the decoder.
    """
    name = stream.codec.canonical_name
    if path and name == "webp" and _is_animated_webp(path):
        return f"animated WebP is not supported; {CONVERT}"
    if packets == 0 and not stream.frames:
        return "no frame could be decoded, its video stream is empty or cut off; record or copy it again"
    if errors and errors <= {av.error.PatchWelcomeError, av.error.NotImplementedError}:
        return f"no frame could be decoded, this variant of {name} is not supported; {CONVERT}"
    if not stream.width or stream.pix_fmt is None:  # the decoder did not even understand the headers
        return (
            f"no frame could be decoded, the file is damaged, or this variant of {name} is not supported; copy it "
            f"again, or {CONVERT}"
        )
    return "no frame could be decoded, the file is damaged; export or copy it again"


def _is_animated_webp(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(21)
    return head[12:16] == b"VP8X" and bool(head[20] & 2)


def _boxes(path: Path) -> dict[bytes, tuple[int, int]]:
    """Offset and size of the boxes of an MP4 or MOV up to the first incomplete one (ISO/IEC 14496-12, 4.2)."""
    boxes: dict[bytes, tuple[int, int]] = {}
    start, length = 0, path.stat().st_size
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size = int.from_bytes(header[:4], "big")
            size = int.from_bytes(header[8:], "big") if size == 1 else size
            if size < 8 or start + size > length or (boxes and b"ftyp" not in boxes):
                break
            boxes[header[4:8]] = start, size
            start += size
            file.seek(start)
    return boxes


def _lacks_index(path: Path) -> bool:
    boxes = _boxes(path)
    return b"ftyp" in boxes and b"moov" not in boxes


def _movie_box(path: Path) -> bytes:
    start, size = _boxes(path).get(b"moov", (0, 0))
    with path.open("rb") as file:
        file.seek(start)
        return file.read(min(size, 2**20))
