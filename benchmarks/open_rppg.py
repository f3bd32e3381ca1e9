"""Waveforms of a network of open-rppg 0.1.1, for `external_methods.py`; runs in an environment of its own.

python open_rppg.py NETWORK VIDEO...    prints a line of JSON a video: hr and SQI (its own), fps, waveform, times
"""

import json
import logging
import sys

import rppg

logging.getLogger("open-rppg").setLevel(logging.ERROR)  # it warns of every video that is not all key frames
model = rppg.Model(sys.argv[1])
fresh = model.state  # a recurrent network would begin with the video before
for path in sys.argv[2:]:
    model.state = fresh
    model.process_video(path)
    own = model.hr(return_hrv=False) or {}  # a failure in the variability would hide the heart rate
    result = {key: None if own.get(key) is None else float(own[key]) for key in ("hr", "SQI")}
    waveform, times = model.bvp(raw=True)
    result |= {"fps": model.fps, "waveform": [float(value) for value in waveform], "times": [float(t) for t in times]}
    print(json.dumps(result))
