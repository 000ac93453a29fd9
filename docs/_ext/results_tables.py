"""Tables and plots of benchmark results, drawn from docs/results when the pages are built.

In Markdown:

    ```{results} real_tio2
    ```

draws what the function registered for the benchmark returns, followed by version, machine, date and
command. A benchmark without a file is shown as not measured.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from nanorender.calibration.calibrate import LARGEST_NOISE_FLOOR
from nanorender.scoring.plausibility import LARGEST_RELATIVE_LOSS

Results = dict[str, Any]
Row = Sequence[str]
Part = list[Row] | Figure | str
"""Rows of a table, the titles first; a plot; or a sentence."""

MEASURES = {
    "pixel_f1": "pixel F1",
    "object_f1": "object F1 at IoU 0.5",
    "found_over_true": "found / true",
    "median_size_error": "error of the median size",
}
TWIN_STATISTICS = {
    "number_density": "number",
    "d10": "D10",
    "d50": "D50",
    "d90": "D90",
    "mean": "mean",
    "share": "share below the 40 % quantile",
}
GRAY, BLUE, ORANGE = "#808080", "#3b8ccb", "#d9722e"  # readable on white and on black


def validation(results: Results) -> Iterator[Part]:
    """Bias and spread of the measurements of shapes."""
    columns = results["columns"]
    rows: list[Row] = [["shape, px", *columns.values()]]
    for shape, errors in results["errors"].items():
        cells = [
            "{bias_percent:+.1f} ± {spread_percent:.1f}".format(**errors[column])
            if column in errors
            else ""
            for column in columns
        ]
        rows.append([shape, *cells])
    yield rows


def real_tio2(results: Results) -> Iterator[Part]:
    """Accuracy on the TiO2 micrographs."""
    rows: list[Row] = [["", *MEASURES.values()]]
    rows.append(["Li threshold, distance watershed", *_scores(results["classical_baseline"])])
    for seed in results["seeds"]:
        rows.append([f"nanorender, seed {seed['seed']}", *_scores(seed["scores"])])
    if "mean" in results:
        spread = results["standard_deviation"]
        values = zip(_scores(results["mean"]), spread.values(), strict=True)
        cells = [f"{mean} ± {_spread(deviation, mean)}" for mean, deviation in values]
        rows.append([f"mean of {len(results['seeds'])} seeds ± standard deviation", *cells])
    yield (
        f"{results['images']} images, {results['particles']} particles of "
        f"{results['min_area_px']} px and more; recipe {results['recipe']}, training preset "
        f"{results['preset']}, {results['training_images']} synthetic images."
    )
    yield rows
    minutes = ", ".join(f"{sum(seed['cpu_s'].values()) / 60:.0f}" for seed in results["seeds"])
    yield f"Minutes of processor time for training, choice and segmentation, by seed: {minutes}."


def _scores(scores: Results) -> list[str]:
    return [
        f"{scores[key]:+.1%}" if key == "median_size_error" else f"{scores[key]:.3f}"
        for key in MEASURES
    ]


def _spread(deviation: float, beside: str) -> str:
    return f"{deviation:.1%}" if beside.endswith("%") else f"{deviation:.3f}"


def _real_error(one: Results, true: float) -> str:
    raw, after = (100 * (one[name] / true - 1) for name in ("raw", "corrected"))
    inside = "within" if one["low"] <= true <= one["high"] else "outside"
    return f"{raw:+.1f} to {after:+.1f} %, truth {inside} the interval"


def _refused(studies: Sequence[Results]) -> int:
    """Count the studies that the command would not correct, see `Recipe.relative_loss`."""
    floors = (min(row["noise_floor"], LARGEST_NOISE_FLOOR) for row in studies)
    return sum(
        row["loss"] > LARGEST_RELATIVE_LOSS * floor
        for row, floor in zip(studies, floors, strict=True)
    )


def twins(results: Results) -> Iterator[Part]:
    """Errors before and after the correction by twins, and coverage of its intervals."""
    studies = results["studies"]
    kinds = {"SEM": results["all"], "held out": results["held_out"], **results["by_kind"]}
    counts = {kind: sum(row["kind"] == kind for row in studies) for kind in kinds}
    counts["SEM"] = len(studies) - results["transmission_studies"]
    counts["held out"] = counts["SEM"] - results["chosen_on"]
    if results["transmission"]:
        kinds["TEM"], counts["TEM"] = results["transmission"], results["transmission_studies"]
    yield (
        f"{len(studies)} synthetic studies of 3 to 10 images, with settings hidden from the fit. "
        "Errors are medians of absolute errors against the particles shown; coverage is the share "
        "of 95 % intervals that contain the truth of the sample, that of raw intervals (sampling "
        "only) in parentheses. "
        f"The method was chosen on the first {results['chosen_on']} of SEM images; the others are "
        "held out. "
        f"Twins of {_refused(studies)} of the studies differ from their images by more "
        "than three noise floors, so that the command would refuse to correct them; they are "
        "included."
    )
    rows: list[Row] = [["studies", *(TWIN_STATISTICS.values())]]
    for kind, found in kinds.items():
        rows.append(
            [
                f"{kind}, {counts[kind]}",
                *(
                    f"{100 * found[name]['raw_error']:.1f} to "
                    f"{100 * found[name]['corrected_error']:.1f} %, covered "
                    f"{100 * found[name]['coverage']:.0f} % "
                    f"({100 * found[name]['raw_coverage']:.0f} %)"
                    for name in TWIN_STATISTICS
                ),
            ]
        )
    yield rows
    if not results["real"]:
        return
    yield "Annotated micrographs: error against the outlines, raw and corrected."
    rows = [["set", *(TWIN_STATISTICS.values()), "loss of the twins, in noise floors"]]
    for name, row in results["real"].items():
        rows.append(
            [
                f"{name}, {row['images']} images",
                *(
                    _real_error(row["statistics"][key], row["shown"][key])
                    for key in TWIN_STATISTICS
                ),
                f"{row['loss'] / row['noise_floor']:.1f}" if row["noise_floor"] else "",
            ]
        )
    yield rows


def synthetic_recall(results: Results) -> Iterator[Part]:
    """Recall on synthetic images that were held out, by diameter and visible fraction."""
    titles = {"diameter_px": "diameter, px", "visible_fraction": "visible fraction"}
    figure = _figure(8, 2.8)
    axes = figure.subplots(1, 2, sharey=True)
    for plot, (key, title) in zip(axes, titles.items(), strict=True):
        classes = results["seeds"][0]["synthetic_recall"][key]
        rows: list[Row] = [[title, "particles, by seed", "recall, by seed"]]
        names = [_range(each) for each in classes]
        for number, name in enumerate(names):
            found = [seed["synthetic_recall"][key][number] for seed in results["seeds"]]
            counts = ", ".join(str(each["particles"]) for each in found)
            rows.append([name, counts, ", ".join(f"{each['recall']:.2f}" for each in found)])
        for seed in results["seeds"]:
            recalls = [each["recall"] for each in seed["synthetic_recall"][key]]
            plot.plot(names, recalls, "o-", markersize=4, label=f"seed {seed['seed']}")
        plot.set(xlabel=title, ylim=(0, 1.05))
        yield rows
    axes[0].set_ylabel("recall")
    axes[0].legend(frameon=False, labelcolor=GRAY)
    yield figure


def _range(each: dict[str, float]) -> str:
    return (
        f"{each['from']:g} to {min(each['to'], 1):g}"
        if each["to"] < 2
        else (
            f"{each['from']:g} to {each['to']:g}" if each["to"] < 1000 else f"from {each['from']:g}"
        )
    )


def epoch_choice(results: Results) -> Iterator[Part]:
    """Choice of the epoch without truth, beside the best and the last epoch."""
    rows: list[Row] = [["seed", "Spearman correlation", "F1 of the chosen epoch", "last", "best"]]
    for seed in results["seeds"]:
        epochs = seed["epochs"]
        rho = epochs["spearman_rho"]
        keys = ("object_f1_chosen_without_truth", "object_f1_last", "object_f1_best")
        row = [str(seed["seed"]), "" if rho is None else f"{rho:.2f}"]
        rows.append([*row, *(f"{epochs[key]:.3f}" for key in keys)])
    yield rows


def calibrated(results: Results) -> Iterator[Part]:
    """Loss of calibrations on real micrographs."""
    rows: list[Row] = [
        ["preset", "images", "loss before", "loss after", "noise floor", "processor time"]
    ]
    for preset, found in results.items():
        floor = found["noise_floor"]
        rows.append(
            [
                f"`{preset}`",
                str(found["images"]),
                f"{found['loss_before']:.3f}",
                f"{found['loss_after']:.3f}",
                "" if floor is None else f"{floor:.3f}",
                f"{found['cpu_s']:.0f} s",
            ]
        )
    yield rows


def recovery(results: Results) -> Iterator[Part]:
    """Errors of calibrations on images of hidden recipes."""
    limits = results["limits"]
    titles = [f"{key}, limit {_limit(key, limit)}" for key, limit in limits.items()]
    rows: list[Row] = [["preset", "diameter, nm", "coverage", *titles]]
    for found in results["recipes"]:
        errors = [_limit(key, found["errors"][key], "+") for key in limits]
        facts = [f"`{found['preset']}`", f"{found['diameter_nm']:.0f}", f"{found['coverage']:.3f}"]
        rows.append([*facts, *errors])
    yield rows
    seconds = [found["cpu_s"] for found in results["recipes"]]
    yield f"Processor time of a calibration: {min(seconds):.0f} to {max(seconds):.0f} s."


def _limit(key: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.1f} levels" if key == "gray" else f"{value:{sign}.1%}"


def rendering(results: Results) -> Iterator[Part]:
    """Time of an image with its labels, by stage."""
    presets = results["presets"]
    rows: list[Row] = [["", *(f"`{name}`" for name in presets)]]
    stages = sorted((one["stages"] for one in presets.values()), key=len, reverse=True)
    for stage in dict.fromkeys(name for one in stages for name in one):
        found = [one["stages"].get(stage) for one in presets.values()]
        times = ["" if time is None else f"{1e3 * time:.1f} ms" for time in found]
        rows.append([stage, *times])
    for title, key in (("processor time", "cpu_s_per_pair"), ("wall time", "wall_s_per_pair")):
        rows.append([title, *(f"{1e3 * one[key]:.1f} ms" for one in presets.values())])
    rows.append(["rays", *(f"{one['rays_per_s'] / 1e6:.0f} million/s" for one in presets.values())])
    yield f"Medians over {results['samples']} samples, images and label maps written to disk."
    yield rows


def bench_limits(results: Results) -> Iterator[Part]:
    """Limits on whole processes."""
    rows: list[Row] = [["quantity", "measured"]]
    for name, found in results.items():
        preset = name.rpartition("_")[2]
        if name == "particles_out_of_view":
            ratio = found["many_s"] / found["few_s"]
            text = f"{found['many']} particles instead of {found['few']}, the same ones in view"
            rows.append([text, f"{ratio:.2f} times the processor time"])
        elif name == "hidden_particles":
            ratio = found["many_s"] / found["few_s"]
            rows.append(["750 particles hidden beneath 250", f"{ratio:.2f} times the time"])
        elif name.startswith("pairs_"):
            speed = 2 * found["one_cpu_s"] / found["two_cpu_s"]
            rows.append([f"180 pairs of `{preset}`, two processes", f"{found['two_wall_s']:.1f} s"])
            rows.append([f"throughput of two processes, `{preset}`", f"{speed:.2f} times one"])
        elif name.startswith("memory_"):
            rows.append([f"memory of a process, `{preset}`", f"{found['mb']:.0f} MB"])
        elif name == "first_image":
            rows.append(["start to first image", f"{found['wall_s']:.1f} s"])
        elif name == "compiling":
            rows.append(["compilation of all kernels, once", f"{found['cpu_s']:.0f} s"])
    yield rows


def bench_analysis(results: Results) -> Iterator[Part]:
    """Time of separation and measurement."""
    rows: list[Row] = [["benchmark", "median time"]]
    rows += [
        [name.replace("_", " "), f"{found['median_s']:.2f} s"] for name, found in results.items()
    ]
    yield rows


def many_samples(results: Results) -> Iterator[Part]:
    """Time and memory of each of many images."""
    stages = results["stages"]
    figure = _figure(9, 4.2)
    upper, lower = figure.subplots(2, len(stages), sharex=True, squeeze=False)
    rows: list[Row] = [["stage", "time from the 10th image on", "at the end", "memory at the end"]]
    for (name, stage), times, memory in zip(stages.items(), upper, lower, strict=True):
        numbers = range(1, len(stage["cpu_ms"]) + 1)
        times.plot(numbers, stage["cpu_ms"], ".", markersize=2, color=GRAY, alpha=0.5)
        times.plot(stage["windows"], stage["lower_quartile_ms"], "o-", markersize=3, color=BLUE)
        middle = sorted(stage["cpu_ms"])[len(stage["cpu_ms"]) // 2]
        times.set_title(name, color=GRAY)
        times.set_ylim(0, 3 * middle)
        memory.plot(numbers, stage["memory_mib"], color=ORANGE)
        memory.set(xlabel="image", ylim=(0, 1.2 * max(stage["memory_mib"])))
        levels = stage["lower_quartile_ms"]
        rows.append(
            [
                name,
                f"{levels[0]:.1f} ms",
                f"{levels[-1]:.1f} ms",
                f"{stage['memory_mib'][-1]:.0f} MiB",
            ]
        )
    upper[0].set_ylabel("processor time, ms")
    lower[0].set_ylabel("memory, MiB")
    yield f"{results['images']} images of {results['edge_px']} px; lower quartiles of a hundred."
    yield rows
    yield figure


def large_study(results: Results) -> Iterator[Part]:
    """Time and memory of the commands on two sizes of study."""
    small, large = results["studies"]
    counts = [f"{each['images']} images" for each in (small, large)]
    rows: list[Row] = [
        ["command", *(f"wall time per image, {count}" for count in counts),
         *(f"peak memory, {count}" for count in counts)]
    ]  # fmt: skip
    for name in large["stages"]:
        stages = [each["stages"][name] for each in (small, large)]
        times = [f"{1e3 * stage['wall_s_per_image']:.0f} ms" for stage in stages]
        rows.append([f"`{name}`", *times, *(f"{stage['peak_mib']:.0f} MiB" for stage in stages)])
    yield (
        f"Images of {results['edge_px']} px. The particle tables have {small['particles']} and "
        f"{large['particles']} rows of {small['table_mib']:.0f} and {large['table_mib']:.0f} MiB; "
        f"the pages have {small['page_mib']:.0f} and {large['page_mib']:.0f} MiB."
    )
    yield rows


def large_image(results: Results) -> Iterator[Part]:
    """Memory and time of segmenting large micrographs."""
    rows: list[Row] = [["edge, px", "particles", "peak memory", "wall time", "processor time"]]
    for found in results.values():
        rows.append(
            [
                str(found["edge_px"]),
                str(found["particles"]),
                f"{found['peak_memory_gb']:.2f} GB",
                f"{found['wall_s']:.0f} s",
                f"{found['cpu_s']:.0f} s",
            ]
        )
    yield rows


def torch_step(results: Results) -> Iterator[Part]:
    """Time of a step beside PyTorch."""
    rows: list[Row] = [["channels", "work", "nanorender (JAX)", "PyTorch", "ratio"]]
    for found in results["times"]:
        ours, theirs = found["jax_s"], found["torch_s"]
        times = [f"{ours:.3f} s", f"{theirs:.3f} s", f"{ours / theirs:.2f}"]
        rows.append([str(found["channels"]), found["work"], *times])
    yield (
        f"PyTorch {results['torch']}; {results['batch']} images of {results['edge_px']} px, "
        f"{results['levels']} levels, wall time on {results['cores_used']} core(s)."
    )
    yield rows


def peers(results: Results) -> Iterator[Part]:
    """Time of an image beside other renderers."""
    scenes = list(results["particles"])
    rows: list[Row] = [["renderer", *scenes, "picture"]]
    ours = results["renderers"][0]["cpu_s"]
    for found in results["renderers"]:
        times = [
            f"{found['cpu_s'][scene]:.3g} s ({found['cpu_s'][scene] / ours[scene]:.0f} times)"
            if scene in found["cpu_s"]
            else ""
            for scene in scenes
        ]
        rows.append([found["renderer"], *times, found["picture"]])
    versions = ", ".join(f"{name} {number}" for name, number in results["peers"].items())
    yield f"One image and label map of {results['edge_px']} x {results['edge_px']} px. {versions}."
    yield rows


def general_model(results: Results) -> Iterator[Part]:
    """Training of the general model, and its scores on each set."""
    names = ["synthetic images", "steps", "patches a step", "foreground loss", "device", "minutes"]
    trainings: list[Row] = [["preset", *names]]
    for each in results["trainings"]:
        patches = f"{each['batch']} of {each['patch_px']} px"
        time, loss = f"{each['minutes']:.0f}", f"{each['loss']:.3f}"
        counts = [str(each["images"]), str(each["steps"])]
        trainings.append([each["preset"], *counts, patches, loss, each["device"], time])
    yield trainings
    yield (
        f"{results['weights'] / 1e6:.1f} million weights, {results['file_mib']:.1f} MiB. Particles "
        f"of a confidence below {results['min_confidence']:g} are discarded."
    )
    titles = ["images", "particles", "object F1, mean over images", "precision", "recall"]
    rows: list[Row] = [["set", *titles, "processor time per million pixels"]]
    sets = [*results["sets"], {"title": "synthetic, held out", **results["held_out"]}]
    for found in sets:
        values = [f"{found[key]:.3f}" for key in ("object_f1", "precision", "recall")]
        seconds = found.get("cpu_s_per_megapixel")
        time = "" if seconds is None else f"{seconds:.1f} s"
        counts = [str(found["images"]), str(found["particles"])]
        rows.append([found["title"], *counts, *values, time])
    yield rows


def scale_bars(results: Results) -> Iterator[Part]:
    """Scale bars read, and the errors of their pixel sizes."""
    titles = ("images", "bars", "read", "wrong", "median error", "largest error", "CPU s per image")
    rows: list[Row] = [["", *titles]]
    for each in results["sets"]:
        errors = [f"{100 * each[key]:.1f} %" for key in ("median_error", "largest_error")]
        counts = [str(each[key]) for key in ("images", "bars", "read", "wrong")]
        rows.append([each["title"], *counts, *errors, f"{each['cpu_s']:.1f}"])
    yield rows
    if "text" in results:
        yield (
            "On {images} images of EMPS, the general model finds {found} particles, of which "
            "{discarded} lie within text or scale bars and are discarded; {real} of these match an "
            "annotated particle.".format(**results["text"])
        )


def repeatability(results: Results) -> Iterator[Part]:
    """F1 of the particles by class of repeatability."""
    rows: list[Row] = [["images", "repeatability", "number", "object F1: median (quartiles)"]]
    for each in results["classes"]:
        found = each["quartiles"]
        rows.append(
            [
                f"{each['kind']} (rank correlation {each['spearman']:.2f})",
                f"{each['low']:.2f} to {each['high']:.2f}",
                f"{each['images']}",
                f"{found[1]:.2f} ({found[0]:.2f} to {found[2]:.2f})" if found else "",
            ]
        )
    yield rows
    yield f"The second look takes {results['cpu_s']:.2f} s of a processor a micrograph (median)."


def adaptation(results: Results) -> Iterator[Part]:
    """Object F1 on annotated micrographs before and after the adaptation of the general model."""
    rows: list[Row] = [
        [
            "micrographs",
            "recipe",
            "object F1 before",
            "adapted, by seed",
            "F1 of twins before, adapted",
            "repeatability before, adapted",
        ]
    ]
    by_set: dict[str, list[Results]] = {}
    for each in results["rows"]:
        by_set.setdefault(each["title"], []).append(each)
    for title, runs in by_set.items():
        done = [each for each in runs if "refusal" not in each]
        after = [
            "refused" if "refusal" in each
            else f"{each['f1_after']:.3f}" + ("" if each["kept"] else " (not kept)")
            for each in runs
        ]  # fmt: skip
        rows.append(
            [
                f"{title} ({runs[0]['images']} images)",
                runs[0]["recipe"],
                f"{runs[0]['f1_before']:.3f}",
                ", ".join(after),
                _before_and_after(done, "twins"),
                _before_and_after(done, "repeatability"),
            ]
        )
    yield rows
    costs = [each["cpu_s"] / 60 for each in results["rows"] if "refusal" not in each]
    if costs:
        yield (
            f"An adaptation takes {min(costs):.0f} to {max(costs):.0f} minutes of processor time. "
            "Scores of twins and repeatability are means over the seeds."
        )


def adaptation_ways(results: Results) -> Iterator[Part]:
    """Object F1 on annotated micrographs after each way of adapting the general model."""
    ways = ("statistics", "twins", "itself", "all three")
    rows: list[Row] = [
        [
            "micrographs",
            "before",
            f"{100 * results['share']:.0f} % of their own statistics",
            "trained on twins",
            "trained on particles found",
            "all three",
        ]
    ]
    by_set: dict[str, list[Results]] = {}
    for each in results["rows"]:
        by_set.setdefault(each["title"], []).append(each)
    for title, runs in by_set.items():
        first = runs[0]
        row = [f"{title} ({first['images']} images)", f"{first['before']:.3f}"]
        for way in ways:
            scores = dict.fromkeys(f"{each[way]:.3f}" for each in runs)  # equal ones once
            row.append(", ".join(scores))
        rows.append(row)
    yield rows


def _before_and_after(runs: list[Results], name: str) -> str:
    """Means of a score before and after; empty where it is unknown."""
    pairs = [(each[f"{name}_before"], each[f"{name}_after"]) for each in runs]
    known = [pair for pair in pairs if None not in pair]
    if not known:
        return ""
    return ", ".join(f"{fmean(column):.3f}" for column in zip(*known, strict=True))


def hidden_parts(results: Results) -> Iterator[Part]:
    """Errors of visible shares and amodal diameters on rendered images."""
    yield (
        f"{results['images']} rendered images of each preset, on which the method was not "
        "developed; particles cut by the frame do not count. Hidden particles are those of which "
        "less than 90 % is visible; a flag is right if less than 95 % is. Errors are without and "
        "with the estimate: the mean error of the visible share in percentage points, the median "
        "error of the diameters of hidden particles, and the errors of D10 and D50 of all."
    )
    rows: list[Row] = [
        [
            "preset, label map",
            "particles, hidden",
            "hidden ones flagged",
            "flags that are right",
            "visible share",
            "diameter of hidden ones",
            "D10",
            "D50",
        ]
    ]
    for row in results["rows"]:
        rows.append(
            [
                f"{row['recipe']}, {row['labels']}",
                f"{row['particles']}, {row['hidden']}",
                f"{100 * row['flagged_of_hidden']:.0f} %",
                f"{100 * row['right_flags']:.0f} %",
                f"{100 * row['raw_share_error']:.1f} to {100 * row['share_error']:.1f}",
                *(
                    f"{100 * row[f'raw_{name}']:.1f} to {100 * row[f'amodal_{name}']:.1f} %"
                    for name in ("error_of_hidden", "d10", "d50")
                ),
            ]
        )
    yield rows


def recall_by_diameter(results: Results) -> Iterator[Part]:
    """Recall of held-out synthetic particles by diameter."""
    rows: list[Row] = [["diameter, px", "particles", "recall"]]
    for each in results["held_out"]["recall_by_diameter"]:
        last = each["to_px"] >= 1000
        title = "from {from_px:g}" if last else "{from_px:g} to {to_px:g}"
        rows.append([title.format(**each), str(each["particles"]), f"{each['recall']:.2f}"])
    yield rows


def confidence(results: Results) -> Iterator[Part]:
    """Reliability of the confidence on each set."""
    figure = _figure(6, 3.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1)
    for found in results["sets"]:
        kept = [each for each in found["reliability"] if each[2] >= 10]
        axes.plot([each[0] for each in kept], [each[1] for each in kept], "o-", markersize=4,
                  label=found["title"])  # fmt: skip
    axes.set(xlabel="confidence", ylabel="share of real particles", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, labelcolor=GRAY, fontsize="small")
    yield figure


RENDERERS: dict[str, tuple[str, Callable[[Results], Iterator[Part]]]] = {
    "validation": ("validation", validation),
    "real_tio2": ("real_tio2", real_tio2),
    "synthetic_recall": ("real_tio2", synthetic_recall),
    "epoch_choice": ("real_tio2", epoch_choice),
    "calibrated": ("calibrated", calibrated),
    "recovery": ("recovery", recovery),
    "rendering": ("rendering", rendering),
    "bench_limits": ("bench_limits", bench_limits),
    "bench_analysis": ("bench_analysis", bench_analysis),
    "many_samples": ("many_samples", many_samples),
    "large_study": ("large_study", large_study),
    "large_image": ("large_image", large_image),
    "torch_step": ("torch_step", torch_step),
    "peers": ("peers", peers),
    "general_model": ("general_model", general_model),
    "scale_bars": ("scale_bars", scale_bars),
    "twins": ("twins", twins),
    "repeatability": ("repeatability", repeatability),
    "adaptation": ("adaptation", adaptation),
    "adaptation_ways": ("adaptation_ways", adaptation_ways),
    "hidden_parts": ("hidden_parts", hidden_parts),
    "recall_by_diameter": ("general_model", recall_by_diameter),
    "confidence": ("general_model", confidence),
}
"""By the argument of the directive: the file of results, and the function that renders it."""


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg(figure: Figure) -> str:
    """Return a plot as SVG with gray axes on no background, for light and dark pages."""
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.tick_params(colors=GRAY)
        axes.xaxis.label.set_color(GRAY)
        axes.yaxis.label.set_color(GRAY)
        for spine in axes.spines.values():
            spine.set_color(GRAY)
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def table(rows: list[Row], *classes: str) -> nodes.Node:
    """Return a table, the titles first; parts of cells between backticks are code."""
    group = nodes.tgroup(cols=len(rows[0]))
    group += [nodes.colspec(colwidth=1) for _ in rows[0]]
    head, body = nodes.thead(), nodes.tbody()
    for number, row in enumerate(rows):
        line = nodes.row()
        line += [nodes.entry("", nodes.paragraph("", "", *_inline(cell))) for cell in row]
        (body if number else head).append(line)
    group += [head, body]
    return nodes.table("", group, classes=list(classes))


class ResultsDirective(SphinxDirective):
    """Tables and plots of a benchmark."""

    required_arguments = 1
    option_spec = {"caption": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the benchmark."""
        name, render = RENDERERS[self.arguments[0]]
        path = Path(self.env.srcdir) / "results" / f"{name}.json"
        self.env.note_dependency(str(path))
        if not path.exists():
            text = f"Not measured for this version ({name})."
            return [nodes.paragraph("", "", nodes.emphasis("", text))]
        record = json.loads(path.read_text())
        found = [self._node(part) for part in render(record["results"])]
        return [*found, self._source(record)]

    def _node(self, part: Part) -> nodes.Node:
        match part:
            case str():
                return nodes.paragraph("", part)
            case Figure():
                return nodes.raw("", _svg(part), format="html")
            case _:
                return table(part, "results")

    def _source(self, record: dict[str, Any]) -> nodes.Node:
        """Return version, machine, date and command of a benchmark."""
        machine = record["machine"]
        text = (
            f"nanorender {record['nanorender']}, {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB, "
            + ", ".join(f"{name} {number}" for name, number in record["versions"].items())
            + f", {record['date']}: "
        )
        source = nodes.paragraph("", text, nodes.literal("", record["command"]))
        source["classes"] += ["result-source"]
        return source


def _inline(cell: str) -> list[nodes.Node]:
    """Return a cell's text, its parts between backticks as code."""
    parts = re.sub(r"(?<=\d) (?=[±a-zA-Z])|(?<=±) ", "\u00a0", cell).split("`")
    return [
        nodes.literal("", part) if number % 2 else nodes.Text(part)
        for number, part in enumerate(parts)
        if part
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results", ResultsDirective)
    return {"parallel_read_safe": True}
