"""The reason why a file is refused: not a video, not supported, encrypted, empty, incomplete or damaged."""

import io
import plistlib
import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

import facepulse
from facepulse import cli
from facepulse.errors import TooShortError, VideoError
from facepulse.video.reader import open_video
from small_videos import Track, gradient, write, write_tracks

CONVERT = "convert it to MP4 with H.264"


def refusal(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        open_video(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    reason = message.removeprefix(f"{path}: ")
    assert len(reason) < 200
    return reason


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("v") / "v.mp4", [gradient()] * 30, np.arange(30) / 30).read_bytes()


# --- not a video ---------------------------------------------------------------------------------------------------


def written(save, *arguments) -> bytes:
    content = io.BytesIO()
    save(content, *arguments)
    return content.getvalue()


def zipped(content: io.BytesIO) -> None:
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("v.mp4", bytes(100))


def hdf5(content: io.BytesIO) -> None:
    with h5py.File(content, "w") as file:
        file["x"] = 0


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d2\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("v.mp4", LFS, "a pointer of Git LFS to one; fetch the video"),
        ("v.mp4", b"/annex/objects/MD5E-s123--d41d8cd98f00b204.mp4\n", "git-annex"),
        ("v.mp4", b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>" * 9, "a web page; download the video itself"),
        ("v.mp4", b"\xef\xbb\xbf<HTML><body>Sign in</body></HTML>" * 9, "a web page"),
        ("v.mp4", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML text"),
        ("v.mp4", b'{"error": "not found"}', "a JSON text"),
        ("._v.mp4", b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4000), "a file that macOS writes beside one"),
        (".v.mp4.icloud", plistlib.dumps({"NSURLNameKey": "v"}, fmt=plistlib.FMT_BINARY), "iCloud; download the video"),
        ("v.pdf", b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n" * 30, "a PDF document"),
        ("v.zip", written(zipped), "a ZIP archive"),
        ("v.npz", written(np.savez, np.zeros(9)), "a ZIP archive or a file of that form"),
        ("v.npy", written(np.save, np.zeros(9)), "a NumPy array; load it and give the array"),
        ("v.mat", written(scipy.io.savemat, {"x": np.zeros(9)}), "a MATLAB file"),
        ("v.mat", b"MATLAB 7.3 MAT-file".ljust(512) + written(hdf5), "a MATLAB file"),
        ("v.h5", written(hdf5), "an HDF5 file"),
        ("v.tar.gz", b"\x1f\x8b\x08\0" + np.random.default_rng(0).bytes(3000), "a compressed file"),
        ("v.m3u8", b"#EXTM3U\n#EXTINF:1,\nv.ts\n", "a playlist"),
    ],
)
def test_file_given_by_mistake_is_named(tmp_path, name, content, reason):
    (path := tmp_path / name).write_bytes(content)
    assert (text := refusal(path)).startswith("not a video but ")
    assert reason in text


@pytest.mark.parametrize("content", [b"hello\n" * 50, np.random.default_rng(0).bytes(20000), b"MZ\x90\0" + bytes(3000)])
def test_unknown_file_is_not_a_video(tmp_path, content):
    (path := tmp_path / "v.mp4").write_bytes(content)
    assert refusal(path) == "not a video; give a video file such as mp4, mov, avi, mkv or webm"


def test_dangling_link_is_named(tmp_path):
    (path := tmp_path / "v.mp4").symlink_to("/nowhere/v.mp4")
    assert refusal(path) == "no such file, it is a link to /nowhere/v.mp4; check the link"
    (loop := tmp_path / "loop.mp4").symlink_to("loop.mp4")
    assert "(Too many levels of symbolic links)" in refusal(loop)


@pytest.mark.parametrize(
    "name", ["v.png", "v.jpg", "v.tiff", "v.bmp", "v.webp", "v.gif", "v.avif", "v.heic", "motion.jpg"]
)
def test_single_picture_is_said_to_be_one(tmp_path, mp4, name):
    path = tmp_path / name
    if name == "v.gif":
        write(path, [gradient()], [0], "gif", pixel_format="rgb8")
    elif name in ("v.avif", "v.heic"):  # a HEIC has another brand and codec
        content = write_tracks(path.with_suffix(".avif"), Track([gradient()], "libsvtav1")).read_bytes()
        path.write_bytes(content.replace(b"avif", name[2:].encode(), 1))
    else:
        cv2.imwrite(str(path), gradient())
    if name == "motion.jpg":
        path.write_bytes(path.read_bytes() + mp4)
    with pytest.raises(TooShortError, match="this is a single image, but a pulse takes a video"):
        facepulse.measure(path, method="POS")


# --- not supported -------------------------------------------------------------------------------------------------


def test_animated_webp_is_not_supported(tmp_path):
    path = tmp_path / "v.webp"
    path.write_bytes(animated_webp())
    assert refusal(path) == f"animated WebP is not supported; {CONVERT}"


def animated_webp() -> bytes:
    """Animation of a still WebP, repeated (RFC 9649, 2.7)."""
    still = cv2.imencode(".webp", gradient())[1].tobytes()[12:]
    chunk = lambda kind, data: kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)  # noqa: E731
    size = (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    frame = chunk(b"ANMF", bytes(6) + size + (33).to_bytes(3, "little") + b"\0" + still)
    content = chunk(b"VP8X", b"\2\0\0\0" + size) + chunk(b"ANIM", bytes(6)) + 30 * frame
    return b"RIFF" + (len(content) + 4).to_bytes(4, "little") + b"WEBP" + content


@pytest.mark.parametrize("code", [b"xxxx", b"evc1", b"jxsm"])
def test_format_without_decoder_is_named(tmp_path, mp4, code):
    (path := tmp_path / "v.mp4").write_bytes(mp4.replace(b"avc1\0", code + b"\0"))
    assert refusal(path) == f"its video format ({code.decode()}) is not supported; {CONVERT}"


def test_format_without_decoder_in_another_container_is_not_supported(tmp_path):
    path = write(tmp_path / "v.mkv", [gradient()] * 3, np.arange(3) / 30, "ffv1")
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_XXXX"))
    assert refusal(path) == f"its video format is not supported; {CONVERT}"


@pytest.mark.parametrize("code", [b"vvc1", b"aprn", b"av01", b"CFHD"])
def test_headers_that_the_decoder_does_not_understand_may_mean_both(tmp_path, mp4, code):
    (path := tmp_path / "v.mp4").write_bytes(mp4.replace(b"avc1\0", code + b"\0"))
    assert refusal(path).startswith("no frame could be decoded, the file is damaged, or this variant of ")
    assert refusal(path).endswith(f" is not supported; copy it again, or {CONVERT}")


def test_variant_that_the_decoder_refuses_is_not_supported(tmp_path):
    path = write(tmp_path / "v.avi", [gradient()] * 3, np.arange(3) / 30, "magicyuv", pixel_format="gbrp")
    header = b"MAGY\x20\0\0\0"  # followed by the version
    path.write_bytes(path.read_bytes().replace(header + b"\7", header + b"\x70"))
    assert refusal(path) == f"no frame could be decoded, this variant of magicyuv is not supported; {CONVERT}"


def test_encrypted_video_is_named(tmp_path, mp4):
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 32, "encryption_kid": "1" * 32}
    path = write_tracks(tmp_path / "v.mp4", Track([gradient()] * 30), container_options=options)
    assert refusal(path) == "it is encrypted (protected against copying); give a copy without protection"
    path.write_bytes(mp4.replace(b"avc1\0", b"drmi\0"))
    assert refusal(path) == "it is encrypted (protected against copying); give a copy without protection"


# --- incomplete ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".part", ".crdownload"])
def test_unfinished_download_is_named(tmp_path, mp4, suffix):
    (path := tmp_path / f"v.mp4{suffix}").write_bytes(mp4[: len(mp4) // 2])
    assert refusal(path) == "the download is not complete; wait for its end, or download it again"
    path.write_bytes(mp4)
    with open_video(path) as video:
        assert len(list(video)) == 30


def test_boxes_of_impossible_size_end_the_search_for_the_index(tmp_path):
    (path := tmp_path / "v.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\1free" + bytes(40))
    assert refusal(path) == "incomplete, its index (moov) is missing; record or copy it again"


def test_zeros_are_an_incomplete_copy(tmp_path, mp4):
    (path := tmp_path / "v.mp4").write_bytes(bytes(len(mp4)))
    assert refusal(path) == "not a video: it begins with zeros only, as an incomplete copy does; copy it again"


@pytest.mark.parametrize(("name", "size"), [("v.avi", 3000), ("v.mkv", 300), ("v.ts", 400)])
def test_file_cut_in_its_header_is_incomplete(tmp_path, name, size):
    path = write_tracks(tmp_path / name, Track([gradient()] * 30))
    path.write_bytes(path.read_bytes()[:size])
    assert "incomplete" in (reason := refusal(path)) or "cut off" in reason


def test_video_stream_without_frames_is_empty(tmp_path):
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = write_tracks(tmp_path / "v.mp4", Track([gradient()] * 3), container_options=options)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moof") - 4])
    assert refusal(path) == ("no frame could be decoded, its video stream is empty or cut off; record or copy it again")


# --- through the command line --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_refused_files_do_not_stop_the_others(face_video, tmp_path, mp4, capsys):
    (encoded := tmp_path / "x.mp4").write_bytes(mp4.replace(b"avc1\0", b"xxxx\0"))
    (animation := tmp_path / "a.webp").write_bytes(animated_webp())
    (pointer := tmp_path / "lfs.mp4").write_bytes(LFS)
    face = face_video(72.0, 20.0)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["measure", "--method", "POS", *map(str, [encoded, animation, face, pointer])])
    output = capsys.readouterr()
    assert exit_.value.code == 3
    assert output.out.startswith(f"{face}: 7")
    assert "Traceback" not in output.err
    for path in (encoded, animation, pointer):
        assert sum(str(path) in line for line in output.err.splitlines()) == 1
