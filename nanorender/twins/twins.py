"""Twins of a study: recipes fitted to its micrographs, rendered, segmented and matched.

Everything is written when it is done, so that an interrupted run is resumed where it stopped.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Integer

from nanorender import __version__
from nanorender.calibration.bases import rank_bases
from nanorender.calibration.calibrate import Calibration, CalibrationSettings
from nanorender.calibration.views import GrayImage, Tone
from nanorender.correction.record import (
    OUTPUTS,
    RECORD,
    TwinnedImage,
    TwinsRecord,
    assigned_micrograph,
    read_twins_record,
    twin_tables,
    write_record,
    write_twin_tables,
)
from nanorender.correction.response import match_twin
from nanorender.errors import InputError
from nanorender.files.atomic import write_text
from nanorender.files.imagefile import gray_values, read_pixels
from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.measuring.measure import measure
from nanorender.recipe import Recipe, read_recipe, recipe_text
from nanorender.settings import Settings
from nanorender.twins.look import (
    TwinRecipe,
    calibrated_micrographs,
    fit_look,
    render_twin,
)
from nanorender.twins.sizes import FoundInTwins, SeriesSizes, match_sizes
from nanorender.twins.study import Study

FOLDERS = ("images", "truth", "labels", "particles", "recipes")
_FEWEST_PARTICLES = 20  # of a study: fewer say nothing of sizes
_FEWEST_TWINS_A_ROUND, _MOST_TWINS_A_ROUND = 8, 24
_SEEDS = 100_000  # for each seed of the user
_ROUNDS_SEED, _TWINS_SEED, _FURTHER_SEED = 1000, 7, 2000

FindParticles = Callable[[GrayImage], Integer[np.ndarray, "h w"]]
"""Function that segments an image: gray values to label map."""


class TwinSettings(Settings):
    """Settings of twins.

    Attributes
    ----------
    count : number of twins whose response is evaluated
    rounds : number of times that sizes and numbers are matched
    corrections : number of corrections of the look
    checked_views : views that the look is compared on
    seed : seed of all random numbers
    dark_particles : whether particles are darker than the substrate
    base_chosen : whether the first recipe is one that `choose_base` returned

    Examples
    --------
    >>> TwinSettings(count=40).rounds
    2
    """

    count: int = 32
    rounds: int = 2
    corrections: int = 4
    checked_views: int = 26
    seed: int = 0
    dark_particles: bool = False
    base_chosen: bool = False


def choose_base(
    study: Study,
    settings: TwinSettings,
    folder: Path,
    on_progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> str:
    """Choose the built-in recipe that fits the micrographs of a study best.

    Parameters
    ----------
    study : micrographs with label maps
    settings : seed, polarity
    folder : folder of twins; the recipe of twins of this study in it is kept
    on_progress : called with the number of recipes compared, their total and the next one's name

    Returns
    -------
    Name of the recipe.

    Raises
    ------
    InputError
        If there are too few particles, or the micrographs cannot be calibrated.
    """
    _check_particles(study)
    _check_folder(folder)
    with suppress(InputError):  # no twins yet, or a damaged record
        record = read_twins_record(folder)
        if record.base_chosen and _is_of_same(record, study, settings):
            return record.base
    some = calibrated_micrographs(study.micrographs)
    quick = _calibration_settings(settings)
    return rank_bases(some, quick, None, on_progress, study.has_dark_particles)[0].name


def make_twins(
    study: Study,
    base: str,
    settings: TwinSettings,
    find: FindParticles,
    folder: Path,
    on_progress: Callable[[int, int, str], None] = lambda done, total, step: None,
) -> TwinsRecord:
    """Fit recipes to the micrographs of a study, and write their segmented twins into a folder.

    Parameters
    ----------
    study : micrographs with label maps
    base : preset or file of the recipe that the fit begins with
    settings : number of twins, seed, polarity
    find : segments an image as the micrographs were
    folder : folder to write; twins of the same study and settings in it are kept
    on_progress : called with the number of steps done, their total and the name of the step

    Returns
    -------
    Record of the twins.

    Raises
    ------
    InputError
        If too few particles were found, the recipe cannot be fitted, or the folder holds other
        files.
    """
    _check_particles(study)
    _check_folder(folder)
    recipe = read_recipe(base)
    fitting, rounds = 100, settings.rounds * _twins_a_round(study)
    total = fitting + rounds + settings.count

    # Fit the recipes, unless that was done before.
    earlier = _earlier(folder, study, base, settings)
    if earlier is None:
        _clear(folder)
        calibration, recipes = fit_look(
            study.micrographs,
            recipe,
            _calibration_settings(settings),
            lambda done, of: on_progress(fitting * done // of, total, "fitting the look"),
        )
        real = _series(study.tables, [one.image.size for one in study.micrographs])
        done: list[FoundInTwins] = []
        for turn in range(settings.rounds):
            first_seed = _SEEDS * settings.seed + _ROUNDS_SEED + turn
            first = fitting + turn * _twins_a_round(study)
            found_in_twins = _find_in_twins(
                recipes,
                _twins_a_round(study),
                first_seed,
                find,
                lambda twin, first=first: on_progress(first + twin, total, "matching sizes"),
            )
            done.append(found_in_twins)
            recipes = match_sizes(done, real)
        record = _record(study, base, settings, calibration, recipes)
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, record)  # first, since only a folder with a record is cleared
        _write_recipes(folder, record, recipes)
    else:
        record, recipes = earlier

    # Render and segment the twins that are missing.
    for index in range(settings.count):
        on_progress(fitting + rounds + index, total, "segmenting twins")
        if not all(path.is_file() for path in twin_tables(folder, record.twin_name(index))):
            _write_twin(folder, record, recipes, index, find)
    on_progress(total, total, "segmenting twins")
    return record


def render_further_twins(folder: Path, count: int) -> Iterator[LabeledImage]:
    """Render twins other than those in a folder, of its micrographs in turn.

    Parameters
    ----------
    folder : written by `make_twins`
    count : number of twins

    Yields
    ------
    Images with their truth, which are not written.

    Raises
    ------
    InputError
        If the folder holds no twins.
    """
    record = read_twins_record(folder)
    recipes = _read_recipes(folder, record)
    for index in range(count):
        micrograph = assigned_micrograph(index, count, len(recipes))
        twin = render_twin(recipes[micrograph], _SEEDS * record.seed + _FURTHER_SEED, index)
        edge_nm = record.images[micrograph].pixel_size_nm
        yield LabeledImage(twin.image, twin.labels, edge_nm, folder)


def written_twins(folder: Path) -> Iterator[LabeledImage]:
    """Read the images of twins with their truth, one at a time.

    Parameters
    ----------
    folder : written by `make_twins`

    Yields
    ------
    Images with their truth.

    Raises
    ------
    InputError
        If the folder holds no twins, or a file is missing.
    """
    record = read_twins_record(folder)
    for index in range(record.count):
        file = f"{record.twin_name(index)}.tif"
        image, _ = gray_values(
            folder / "images" / file, read_pixels(folder / "images" / file).array
        )
        labels, edge_nm = read_labels(folder / "truth" / file)
        yield LabeledImage(image, labels, edge_nm, folder / "images" / file)


def _check_particles(study: Study) -> None:
    """Raise InputError if too few particles were found."""
    found = sum(map(len, study.tables))
    if found < _FEWEST_PARTICLES:
        raise InputError(
            f"twins need at least {_FEWEST_PARTICLES} particles to be fitted to, and {found} were "
            "found; add micrographs"
        )


def _twins_a_round(study: Study) -> int:
    return min(max(_FEWEST_TWINS_A_ROUND, len(study.micrographs)), _MOST_TWINS_A_ROUND)


def _calibration_settings(settings: TwinSettings) -> CalibrationSettings:
    """Return settings without a search: estimates alone decide, in half a minute."""
    return CalibrationSettings(
        evaluations=0,
        corrections=settings.corrections,
        checked_views=settings.checked_views,
        seed=settings.seed,
        dark_particles=settings.dark_particles,
    )


def _find_in_twins(
    recipes: Sequence[TwinRecipe],
    count: int,
    seed: int,
    find: FindParticles,
    on_twin: Callable[[int], None],
) -> FoundInTwins:
    """Render and segment twins of which only the sizes are kept."""
    micrograph_of = [assigned_micrograph(index, count, len(recipes)) for index in range(count)]
    tables, areas = [], []
    for index, micrograph in enumerate(micrograph_of):
        on_twin(index)
        twin = render_twin(recipes[micrograph], seed, index)
        tables.append(measure(find(twin.image), None))
        areas.append(twin.image.size)
    return FoundInTwins(recipes, micrograph_of, _series(tables, areas))


def _series(tables: Sequence[pd.DataFrame], areas_px: Sequence[int]) -> SeriesSizes:
    """Collect what was found in a series of images."""
    sizes = (np.sort(table["equivalent_diameter_px"].to_numpy(float)) for table in tables)
    return SeriesSizes(tuple(map(np.log, sizes)), tuple(areas_px))


def _write_twin(
    folder: Path,
    record: TwinsRecord,
    recipes: Sequence[TwinRecipe],
    index: int,
    find: FindParticles,
) -> None:
    """Render, segment and match a twin; its tables, which complete it, are written last."""
    micrograph, name = record.micrograph_of(index), record.twin_name(index)
    twin = render_twin(recipes[micrograph], _SEEDS * record.seed + _TWINS_SEED, index)
    found = find(twin.image)
    file, edge_nm = f"{name}.tif", record.images[micrograph].pixel_size_nm
    write_image(folder / "images" / file, twin.image, edge_nm)
    write_labels(folder / "truth" / file, twin.labels, edge_nm)
    write_labels(folder / "labels" / file, found, edge_nm)
    matched = match_twin(micrograph, twin.labels, twin.visible_fraction, found)
    write_twin_tables(folder, name, matched)


def _record(
    study: Study,
    base: str,
    settings: TwinSettings,
    calibration: Calibration,
    recipes: Sequence[TwinRecipe],
) -> TwinsRecord:
    """Build the record of the twins."""
    columns = (study.names, study.labels_sha256, study.micrographs, recipes)
    return TwinsRecord(
        base=base,
        base_toml=recipe_text(base),
        base_chosen=settings.base_chosen,
        seed=settings.seed,
        count=settings.count,
        rounds=settings.rounds,
        dark_particles=settings.dark_particles,
        model_sha256=study.record.model_sha256,
        separation=study.record.separation,
        min_confidence=study.record.min_confidence,
        images=tuple(
            TwinnedImage(
                name=name,
                labels_sha256=sha256,
                pixel_size_nm=micrograph.pixel_size_nm,
                micrograph_px=micrograph.image.size,
                height_px=recipe.height_px,
                width_px=recipe.width_px,
                black_level=recipe.tone.black / 255,
                gain=recipe.tone.gain,
            )
            for name, sha256, micrograph, recipe in zip(*columns, strict=True)
        ),
        loss=calibration.after.loss(),
        noise_floor=calibration.noise_floor,
        relative_loss=calibration.recipe.relative_loss,
        notes=calibration.notes,
        version=__version__,
    )


def _recipe_paths(folder: Path, record: TwinsRecord) -> Iterator[Path]:
    yield from (folder / "recipes" / f"{image.name}.toml" for image in record.images)


def _write_recipes(folder: Path, record: TwinsRecord, recipes: Sequence[TwinRecipe]) -> None:
    """Write the recipe of each micrograph's twins."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path, recipe in zip(_recipe_paths(folder, record), recipes, strict=True):
        write_text(path, recipe.recipe.to_toml())


def _read_recipes(folder: Path, record: TwinsRecord) -> list[TwinRecipe]:
    """Read the recipe of each micrograph's twins."""
    return [
        TwinRecipe(
            Recipe.read(path),
            Tone(255 * image.black_level, image.gain),
            image.height_px,
            image.width_px,
        )
        for path, image in zip(_recipe_paths(folder, record), record.images, strict=True)
    ]


def _earlier(
    folder: Path, study: Study, base: str, settings: TwinSettings
) -> tuple[TwinsRecord, list[TwinRecipe]] | None:
    """Read record and recipes of an earlier run with the same study and settings, if any."""
    try:
        record = read_twins_record(folder)
        recipes = _read_recipes(folder, record)
    except InputError:  # none, or damaged
        return None
    fewer = min(settings.count, record.count)
    same = (
        record.base_toml == recipe_text(base)
        and _is_of_same(record, study, settings)
        and record.model_sha256 == study.record.model_sha256
        and record.separation == study.record.separation
        and record.min_confidence == study.record.min_confidence
        and record.version == __version__
        and tuple(image.name for image in record.images) == study.names
        # Which micrographs have twins depends on the number of twins in large studies only.
        and (settings.count == record.count or len(record.images) <= fewer)
    )
    if not same:
        return None
    record = record.model_copy(update={"count": settings.count})
    write_record(folder, record)
    return record, recipes


def _is_of_same(record: TwinsRecord, study: Study, settings: TwinSettings) -> bool:
    """Return whether twins are those of the label maps of a study, by the same seed."""
    made = [(image.labels_sha256, image.pixel_size_nm) for image in record.images]
    edges_nm = (micrograph.pixel_size_nm for micrograph in study.micrographs)
    return (
        (record.seed, record.dark_particles, record.rounds)
        == (settings.seed, settings.dark_particles, settings.rounds)
    ) and made == list(zip(study.labels_sha256, edges_nm, strict=True))


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is not one of twins, so that no other file is lost."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = names if RECORD not in names else names - {*FOLDERS, *OUTPUTS}
    if others:
        raise InputError(
            f"{folder} contains {min(others)}, which is not part of twins; choose a new folder or "
            "one with earlier twins"
        )


def _clear(folder: Path) -> None:
    """Remove earlier twins, their record, which marks the folder, last."""
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    (folder / RECORD).unlink(missing_ok=True)
