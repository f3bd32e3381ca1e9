"""Contact sheet of simulated people: twenty-four identities, four lights, eight expressions.

    python benchmarks/contact_sheet.py [OUT.png]

All faces are simulated; no real person is shown. Rows: 24 identities in calm light (three rows of eight),
two people in each of MMPD's four lights, and eight expressions.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facepulse.simulate.light import draw_lighting
from facepulse.simulate.motion import Motion
from facepulse.simulate.recording import SimulatedRecording, make_recording

SIDE = 160
LIGHTS = ("LED-low", "LED-high", "Incandescent", "Nature")
ONE_FRAME = np.zeros(1)


def both(action: str, weight: float) -> dict[str, float]:
    """One action on both sides of the face."""
    return {f"{action}Left": weight, f"{action}Right": weight}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": both("mouthSmile", 0.7) | both("cheekSquint", 0.4) | both("eyeSquint", 0.2),
    "surprise": both("browOuterUp", 0.8) | both("eyeWide", 0.7) | {"browInnerUp": 0.8, "jawOpen": 0.4},
    "frown": both("browDown", 0.8) | both("mouthFrown", 0.6) | both("eyeSquint", 0.3),
    "ah": both("mouthLowerDown", 0.2) | {"jawOpen": 0.35},
    "blink": both("eyeBlink", 1.0),
    "pucker": {"mouthPucker": 0.8, "mouthFunnel": 0.2},
    "sneer": both("noseSneer", 0.7) | both("mouthUpperUp", 0.4) | both("browDown", 0.3),
}


def portrait(recording: SimulatedRecording) -> NDArray[np.uint8]:
    """Render the face in a recording's first frame with a margin: uint8 (SIDE, SIDE, 3), BGR."""
    x, y, side, _ = recording.face_box()
    wide = 1.9 * side
    window = (x + side / 2 - wide / 2, y + side / 2 - wide * 0.53, wide, wide)
    image = next(recording.render(replace(recording.view, window=window, shape=(2 * SIDE, 2 * SIDE))))
    return np.asarray(cv2.cvtColor(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR))


def labelled(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, (4, SIDE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, thickness, cv2.LINE_AA)
    return image


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/simulation-people.jpg")
    sheet = []
    for index in range(24):
        # Half of them are drawn from `calm`, half from `complex`, all in the light of `calm`.
        preset = ("calm", "complex")[index % 2]
        person = make_recording(preset, 2, index, seconds=1.0, times=ONE_FRAME)
        calm = make_recording("calm", 2, index, seconds=1.0, times=ONE_FRAME)
        person = replace(person, lighting=calm.lighting, camera=calm.camera, motion=calm.motion, view=calm.view)
        sheet.append(labelled(portrait(person), f"type {person.identity.fitzpatrick}, {person.identity.years:.0f}"))
    for index in (3, 24):
        person = make_recording("complex", 2, index, seconds=1.0, times=ONE_FRAME)
        still = make_recording("calm", 2, index, seconds=1.0, times=ONE_FRAME)
        for kind in LIGHTS:
            lighting = draw_lighting(kind, np.random.default_rng(5), ONE_FRAME)
            sheet.append(labelled(portrait(replace(person, motion=still.motion, lighting=lighting)), kind))
    person = make_recording("calm", 2, 30, seconds=1.0, times=ONE_FRAME)
    for name, actions in EXPRESSIONS.items():
        zero = np.zeros((1, 3))
        face = Motion(zero, zero, {action: np.full(1, weight) for action, weight in actions.items()}, zero)
        sheet.append(labelled(portrait(replace(person, motion=face)), name))
    rows = [np.hstack(sheet[first : first + 8]) for first in range(0, len(sheet), 8)]
    cv2.imwrite(str(out), np.vstack(rows))
    print(f"wrote {out}: simulated people")


if __name__ == "__main__":
    main()
