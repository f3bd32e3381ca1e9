"""The page in a real browser, the chromium of Debian, with a simulated face as its camera."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402

import facepulse  # noqa: E402
from bare_browser import BarePage, bare_page  # noqa: E402
from facepulse.simulate.painted_face import PaintedFace, metronome, paint_frames  # noqa: E402
from facepulse.stream import stream  # noqa: E402
from facepulse.web.server import Access, warm_up  # noqa: E402
from prefix_proxy import prefix_proxy  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

BPM, SECONDS, FPS = 75.0, 16, 15  # twenty beats, so that the looped film has no discontinuity
FAKE = ["--no-sandbox", "--use-fake-device-for-media-stream"]
ALLOWED = [*FAKE, "--use-fake-ui-for-media-stream"]
LONG_MS = 25_000

Browse = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated face as uncompressed video, the format of chromium's simulated camera."""
    path = tmp_path_factory.mktemp("camera") / "face.y4m"
    times = np.arange(SECONDS * FPS) / FPS
    face = PaintedFace(metronome(BPM, SECONDS), height=0.6, strength=0.03)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W320 H240 F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for image in paint_frames([face], times, width=320, height=240):
            file.write(b"FRAME\n" + cv2.cvtColor(np.asarray(image, np.uint8), cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def browse() -> Iterator[Browse]:
    """Open a page in a browser with given arguments."""
    with sync_playwright() as playwright:

        @contextmanager
        def opened(*arguments: str, **options: object) -> Iterator[Page]:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(arguments))
            try:
                context = browser.new_context(**options)  # type: ignore[arg-type]
                page = context.new_page()
                page.set_default_timeout(LONG_MS)
                errors: list[str] = []
                page.on("pageerror", lambda error: errors.append(str(error)))
                yield page
                assert errors == []
            finally:
                browser.close()

        yield opened


@pytest.fixture
def camera(film: Path) -> list[str]:
    return [*ALLOWED, f"--use-file-for-fake-video-capture={film}"]


def bpm_on(page: Page) -> float | None:
    text = page.locator("#bpm").inner_text()
    return None if text == "–" else float(text)


def wait_until(page: Page | BarePage, condition: str, seconds: float) -> None:
    """Wait until JavaScript is true; the Content-Security-Policy of the page forbids `page.wait_for_function`."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"{condition}: {page.evaluate('state.textContent')}"
        time.sleep(0.1)


def wait_for_bpm(page: Page, seconds: float) -> float:
    deadline = time.monotonic() + seconds
    while (bpm := bpm_on(page)) is None:
        assert time.monotonic() < deadline, f"no heart rate in {seconds} s: {page.locator('#state').inner_text()}"
        page.wait_for_timeout(100)
    return bpm


@pytest.mark.slow
def test_heart_rate_is_shown_within_fifteen_seconds(serve, browse: Browse, camera, tmp_path: Path) -> None:
    warm_up(stream)
    served = serve()
    with browse(*camera, accept_downloads=True) as page:
        page.goto(served.page)
        assert bpm_on(page) is None
        page.get_by_role("button", name="Start").press("Enter")  # by keyboard
        began = time.monotonic()
        assert wait_for_bpm(page, 15) == pytest.approx(BPM, abs=2)
        page.get_by_role("button", name="Record").click()
        page.wait_for_timeout(max(0.0, 1e3 * (15 - (time.monotonic() - began))))
        assert bpm_on(page) == pytest.approx(BPM, abs=2)
        expect(page.locator("#state")).to_have_text("Measuring.")
        expect(page.locator("#spoken")).to_have_text(re.compile("7[3-7] beats per minute"), timeout=15_000)
        assert "Heart rate between 7" in (page.locator("#trace").get_attribute("aria-label") or "")
        assert page.evaluate("latest.box.length") == 4
        expect(page.get_by_text("The camera is off.")).to_be_hidden()
        wait_until(page, "recording.readings.length >= 4", 15)
        page.get_by_role("button", name="Stop recording").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").click()
        download.value.save_as(tmp_path / "x.csv")
        header, *rows = (tmp_path / "x.csv").read_text().splitlines()
        assert header == "time_s,bpm,quality,state,method,window_s"
        assert len(rows) >= 3
        assert float(rows[-1].split(",")[1]) == pytest.approx(BPM, abs=2)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download JSON").click()
        download.value.save_as(tmp_path / "x.json")
        saved = json.loads((tmp_path / "x.json").read_text())
        assert len(saved["waveform"]) == len(saved["times_s"]) > 200
        assert (np.diff(saved["times_s"]) > 0).all()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#state")).to_contain_text("Stopped.")
        assert bpm_on(page) is None
        # After several starts, each frame is still sent once.
        page.evaluate("() => { window.sent = []; WebSocket.prototype.send = (message) => window.sent.push(message); }")
        for _ in range(3):
            page.get_by_role("button", name="Start").click()
            page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("button", name="Start").click()
        wait_until(page, "window.sent.length > 5", 10)
        page.evaluate("window.sent = []")
        page.wait_for_timeout(2_000)
        assert page.evaluate("window.sent.length") <= 2 * FPS + 5


@pytest.mark.slow
def test_page_works_behind_a_proxy(serve, browse: Browse, camera) -> None:
    """Without a path, then under one without a slash at its end; the host of the page is not that of the server."""
    served = serve()
    with (
        browse(*camera) as page,
        prefix_proxy(served.host, "") as at_root,
        prefix_proxy(served.host, "/a/pulse") as under_path,
    ):
        page.goto(f"http://pulse.{at_root.replace('127.0.0.1', 'localhost')}/")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#state")).to_contain_text("Hold still", timeout=15_000)
        requested: list[str] = []
        page.on("response", lambda response: requested.append(response.url) if response.ok else None)
        page.on("websocket", lambda socket: requested.append(socket.url))
        host = f"pulse.{under_path.replace('127.0.0.1', 'localhost')}"
        page.goto(f"http://{host}/a/pulse?x=1")
        page.get_by_role("button", name="Start").click()
        assert wait_for_bpm(page, 20) == pytest.approx(BPM, abs=3)
        assert set(requested) == {
            f"http://{host}/a/pulse?x=1",
            f"http://{host}/a/pulse/?x=1",
            f"http://{host}/a/pulse/live.css",
            f"http://{host}/a/pulse/live.js",
            f"ws://{host}/a/pulse/stream?x=1",
        }
        expect(page.get_by_text(f"Frames are sent to facepulse at {host}")).to_be_visible()


def test_page_with_https_opens_an_encrypted_socket(serve, browse: Browse) -> None:
    served = serve(access=Access((), "secret"))
    with browse(*FAKE) as page:
        public = "https://pulse.example/a/pulse/"
        page.route(
            f"{public}**",
            lambda route: route.fulfill(response=route.fetch(url=route.request.url.replace(public, served.page))),
        )
        page.goto(f"{public}?token=secret")
        page.evaluate("connect()")
        assert page.evaluate("socket.url") == "wss://pulse.example/a/pulse/stream?token=secret"


@pytest.mark.slow
def test_denied_camera_is_reported(serve, browse: Browse) -> None:
    with browse(*FAKE, "--deny-permission-prompts") as page:
        page.goto(serve().page)
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#state")).to_contain_text("Access to the camera was denied. Allow it for this page")
        expect(page.get_by_role("button", name="Start")).to_be_enabled()


@pytest.mark.slow
def test_missing_face_is_reported_with_advice(serve, browse: Browse) -> None:
    with browse(*ALLOWED) as page:  # the default test pattern of chromium
        page.goto(serve().page)
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#advice")).to_contain_text("no face in view: look at the camera")
        expect(page.locator("#state")).to_have_text("No face in view.")
        assert bpm_on(page) is None


@pytest.mark.slow
def test_hidden_page_pauses_and_continues(serve, camera, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    with bare_page(CHROMIUM, camera, tmp_path) as page:
        page.open(serve().page)
        wait_until(page, "typeof begin === 'function' && document.readyState === 'complete'", 10)
        page.evaluate("start.click()")
        wait_until(page, "latest && latest.bpm !== null", 20)
        page.minimise(True)
        wait_until(page, "document.hidden && state.textContent === 'Paused while this page is hidden.'", 5)
        time.sleep(4)
        paused_s = page.evaluate("latest.time_s")
        time.sleep(2)
        assert page.evaluate("latest.time_s") == paused_s, "a hidden page sends no frames"
        page.minimise(False)
        wait_until(page, f"!document.hidden && latest.time_s > {paused_s} && latest.window_s < 3", 5)
        wait_until(page, "latest.bpm !== null", 15)
        assert page.evaluate("latest.bpm") == pytest.approx(BPM, abs=3)


@pytest.mark.slow
def test_page_reconnects_to_a_restarted_server(serve, browse: Browse, camera) -> None:
    served = serve()
    with browse(*camera) as page:
        page.goto(served.page)
        page.get_by_role("button", name="Start").click()
        wait_for_bpm(page, 20)
        served.stop()
        expect(page.locator("#state")).to_contain_text("facepulse does not answer")
        assert bpm_on(page) is None
        page.wait_for_timeout(1_500)
        serve(port=served.port)
        assert wait_for_bpm(page, 20) == pytest.approx(BPM, abs=3)


@pytest.mark.slow
def test_recording_of_a_browser_can_be_measured(serve, browse: Browse, camera, tmp_path: Path) -> None:
    """WebM of a live source has a variable frame rate and no duration in its header."""
    with browse(*camera) as page:
        page.goto(serve().page)
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#state")).to_contain_text("Hold still")
        recorded = page.evaluate(
            """async () => {
              const recorder = new MediaRecorder(stream, { mimeType: "video/webm", videoBitsPerSecond: 8e6 });
              const parts = [];
              recorder.ondataavailable = (event) => parts.push(event.data);
              recorder.start();
              await new Promise((done) => setTimeout(done, 12000));
              await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
              const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
              return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
            }"""
        )
    path = tmp_path / "capture.webm"
    path.write_bytes(base64.b64decode(recorded))
    assert facepulse.measure(path).bpm == pytest.approx(BPM, abs=2)


def test_page_fits_the_screen_of_a_phone_in_dark_mode(serve, browse: Browse, camera) -> None:
    with browse(*camera, viewport={"width": 360, "height": 740}, color_scheme="dark") as page:
        page.goto(serve().page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
