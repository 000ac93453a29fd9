"""The truth table: one row of true properties for each particle of a label map."""

import numpy as np
from jaxtyping import Float, Int32, Int64

from nanorender.labeling.outlines import Outlines
from nanorender.scenes.scene import Scene, View


def truth_table(
    scene: Scene,
    view: View,
    outlines: Outlines,
    labels: Int32[np.ndarray, "h w"],
    counts: Int64[np.ndarray, "n"],
    min_visible_px: int,
) -> dict[str, np.ndarray]:
    """Build the truth table of the particles with enough visible pixels in a label map.

    Parameters
    ----------
    scene, view
        What the label map shows.
    outlines
        Of all such particles; others are ignored.
    labels
        Label map; a label is the particle's row in the scene plus one.
    counts
        Number of pixels of each label.
    min_visible_px
        Least number of visible pixels of a particle with a row.

    Returns
    -------
    dict of columns
        label : as in `labels`
        center_x_nm, center_y_nm : projected center of the particle, from the view's upper left
        rotation_x_deg, rotation_y_deg, rotation_z_deg : rotations about the scene's fixed axes, in
        this order, from the template to the particle
        diameter_nm : diameter of the disc of the amodal area
        min_feret_nm, max_feret_nm, amodal_area_nm2 : of the whole outline on the grid of pixels,
        as if the particle were alone on the substrate and the frame unbounded
        visible_area_nm2 : area of the particle's mask in `labels`
        visible_fraction : visible over amodal area
        touches_frame : whether the mask has pixels in the outermost rows or columns
        template, agglomerate, population : as in the scene
    """
    visible = counts[outlines.row + 1]
    enough = visible >= max(min_visible_px, 1)
    outlines, visible = Outlines(*(column[enough] for column in outlines)), visible[enough]
    rows, pixel_area = outlines.row, view.pixel_size_nm**2
    frame = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    particles = scene.particles
    rotation_deg = _euler_angles_deg(particles.rotation[rows])
    return {
        "label": (rows + 1).astype(np.int32),
        "template": particles.template[rows],
        "center_x_nm": outlines.center_nm[:, 0],
        "center_y_nm": outlines.center_nm[:, 1],
        "rotation_x_deg": rotation_deg[:, 0],
        "rotation_y_deg": rotation_deg[:, 1],
        "rotation_z_deg": rotation_deg[:, 2],
        "diameter_nm": np.sqrt(4 / np.pi * outlines.area_px * pixel_area),
        "min_feret_nm": outlines.min_feret_px * view.pixel_size_nm,
        "max_feret_nm": outlines.max_feret_px * view.pixel_size_nm,
        "visible_area_nm2": visible * pixel_area,
        "amodal_area_nm2": outlines.area_px * pixel_area,
        "visible_fraction": visible / outlines.area_px,
        "touches_frame": np.isin(rows + 1, frame),
        "agglomerate": particles.agglomerate[rows],
        "population": particles.population[rows],
    }


def _euler_angles_deg(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """Return the rotations about the fixed x, y and z axis, in this order, as angles.

    At 90 degrees about y, rotations about x and z coincide: x is then 0.
    """
    sine = np.clip(-rotation[:, 2, 0], -1.0, 1.0)
    upright = np.abs(sine) > 1 - 1e-6
    x = np.where(upright, 0.0, np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2]))
    z = np.where(
        upright,
        np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1]),
        np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]),
    )
    return np.degrees(np.stack([x, np.arcsin(sine), z], axis=1))
