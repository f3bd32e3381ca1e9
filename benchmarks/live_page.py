"""Take screenshots of the live page with a video as the camera, to be inspected by eye.

    python benchmarks/live_page.py VIDEO FOLDER

VIDEO shows a face for fifteen seconds or more, ideally at 30 frames per second and 640x480. Needs chromium and the
package playwright. Writes FOLDER/live.png (desktop, light), live-dark.png (desktop, dark) and live-phone.png.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from playwright.sync_api import sync_playwright

from facepulse.stream import stream
from facepulse.video.reader import open_video
from facepulse.web.server import create_app, warm_up

SECONDS = 18
VIEWS: dict[str, dict[str, Any]] = {
    "live": {"viewport": {"width": 1100, "height": 720}},
    "live-dark": {"viewport": {"width": 1100, "height": 720}, "color_scheme": "dark"},
    "live-phone": {"viewport": {"width": 390, "height": 1300}},
}


def write_film(video: Path, film: Path) -> None:
    """Write a video without compression, the format of chromium's simulated camera."""
    with open_video(video) as frames, film.open("wb") as file:
        file.write(f"YUV4MPEG2 W{frames.width} H{frames.height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)).tobytes())


def take(video: Path, folder: Path) -> None:
    """Run the page in each view for `SECONDS` and take a screenshot."""
    warm_up(stream)
    config = uvicorn.Config(create_app(stream), host="127.0.0.1", port=0, log_level="critical")
    listening = config.bind_socket()
    threading.Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listening]}, daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        film = Path(temporary) / "film.y4m"
        write_film(video, film)
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
        for name, view in VIEWS.items():
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=[*camera, f"--use-file-for-fake-video-capture={film}"]
            )
            page = browser.new_context(**view).new_page()
            page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
            page.get_by_role("button", name="Start").click()
            page.wait_for_timeout(1e3 * SECONDS)
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            print(f"{name}: {page.locator('#bpm').inner_text()} bpm, {page.locator('#delay').inner_text()}")
            browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, metavar="VIDEO")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    take(arguments.video, arguments.folder)
