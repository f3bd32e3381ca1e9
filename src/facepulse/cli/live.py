"""The command live."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

import facepulse
from facepulse.errors import UsageError, require_extra
from facepulse.inference.registry import DEFAULT
from facepulse.measurement import QUALITY_THRESHOLD
from facepulse.video.address import is_address


def live(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8737,
    host: str = "127.0.0.1",
    method: str = DEFAULT,
    fallback: Literal["POS", "none"] = "POS",
    min_quality: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = QUALITY_THRESHOLD,
    camera: str | None = None,
    browser: bool = True,
) -> int:
    """Show your pulse live, on a page in the browser or, with --camera, on the terminal.

    Frames stay on this computer and are discarded after processing.

    Example: facepulse live

    Args:
        port: Port of the page; 0 selects a free one.
        host: Address to listen on. If other computers can reach it, the page requires a token.
        method: Method, as in `measure`.
        fallback: Method that may replace an unreliable network, as in `measure`.
        min_quality: Withhold heart rates with a quality (0 to 1) below this.
        camera: Number of a camera, from 0, or address of a network camera (rtsp://, http://, https://): print one line
            per second to the terminal instead of serving a page.
        browser: Open the page in the browser.
    """
    chosen = None if fallback == "none" else fallback
    read = partial(facepulse.stream, method=method, fallback=chosen, min_quality=min_quality)
    with suppress(KeyboardInterrupt):  # the usual way to stop it
        if camera is not None:
            for reading in read(_number_or_address(camera)):
                print(reading, flush=True)
            return 0
        require_extra("web", ["fastapi", "uvicorn", "websockets"], "the live page")
        from facepulse.web.server import serve

        serve(read, host=host, port=port, open_browser=browser)
    return 0


def _number_or_address(camera: str) -> int | str:
    if camera.isdecimal():
        return int(camera)
    if is_address(camera):
        return camera
    raise UsageError(
        f"{camera}: a camera is a number from 0, or an address that begins with rtsp://, http:// or https://"
    )
