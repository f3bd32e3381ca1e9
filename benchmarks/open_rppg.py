"""Waveforms of a network of open-rppg 0.1.1, for `external_methods.py`; runs in an environment of its own.

python open_rppg.py NETWORK VIDEO...    prints one line of JSON per video: its hr and SQI, fps, waveform, times
"""

import json
import logging
import sys

import rppg

logging.getLogger("open-rppg").setLevel(logging.ERROR)  # it warns of every video with frames other than key frames
model = rppg.Model(sys.argv[1])
initial_state = model.state  # restored for each video, as a recurrent network keeps the state of the last
for path in sys.argv[2:]:
    model.state = initial_state
    model.process_video(path)
    rates = model.hr(return_hrv=False) or {}  # with variability, its failure would also lose the heart rate
    result = {key: None if rates.get(key) is None else float(rates[key]) for key in ("hr", "SQI")}
    waveform, times = model.bvp(raw=True)
    result |= {"fps": model.fps, "waveform": [float(value) for value in waveform], "times": [float(t) for t in times]}
    print(json.dumps(result))
