"""Add trained weights to the package, with a complete card.

    python benchmarks/ship_weights.py RUN.safetensors --name physfsunet.sim36
                                      --quality-model '{"intercept": ..., "coherence": ..., ...}'
                                      --scores '{"mae_bpm_complex": ..., ...}' --protocol TEXT --training-data TEXT

Writes NAME.safetensors and NAME.onnx into `facepulse/inference/data`; NAME is `architecture.tag`. Scores come from
`held_out.py`, coefficients of the quality from `network_quality.py --fit`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from facepulse.inference.weights import SHIPPED, SUFFIX, exported, load_with_card, save_model
from facepulse.models.export import export

LARGEST = 5_000_000  # bytes of each file: wheels stay small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--quality-model", type=json.loads, required=True)
    parser.add_argument("--scores", type=json.loads, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--training-data", required=True)
    options = parser.parse_args()
    network, card = load_with_card(options.run)
    card = replace(
        card,
        name=options.name,
        quality_model=options.quality_model,
        scores=options.scores,
        protocol=options.protocol,
        training_data=options.training_data,
        licence="Apache-2.0",
    )
    target = SHIPPED / f"{options.name}{SUFFIX}"
    save_model(network, card, target)
    difference = export(target, exported(options.name))
    for path in (target, exported(options.name)):
        size = path.stat().st_size
        print(f"{path.name}: {size:,} bytes")
        assert size < LARGEST, f"expected at most {LARGEST:,} bytes"
    print(f"OpenVINO and torch differ by {difference:.1e} of the waveform's deviation")


if __name__ == "__main__":
    main()
