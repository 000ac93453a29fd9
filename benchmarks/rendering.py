"""Time to render an image with its labels, by preset and stage, as `nanorender bench` measures it.

    python benchmarks/rendering.py -n 12

The result is written to docs/results/rendering.json.
"""

import argparse

from results import write_results

from nanorender.bench import as_text, bench
from nanorender.recipes import preset_names


def main() -> None:
    """Measure all presets, print the table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", "--count", type=int, default=12, help="samples of each preset")
    asked = parser.parse_args()
    measured = bench(preset_names(), asked.count)
    print(as_text(measured))
    results = {"samples": asked.count, "presets": measured["recipes"]}
    print(write_results("rendering", results))


if __name__ == "__main__":
    main()
