"""Write EfficientNet-Lite0 as a user would serve it without this project: 224 px, fp16 weights.

    training/.venv/bin/python -m loadtest.lite0 FILE

The network has ImageNet's weights and an untrained last layer: for the time of a prediction, only
its shape matters. `make bench` calls this once.
"""

import sys
from pathlib import Path

from training import export, network
from training.recipe import Recipe


def main() -> None:
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(architecture="efficientnet_lite0")
    file.write_bytes(export.classifier(network.build(recipe, shape=network.LITE0)))


if __name__ == "__main__":
    main()
