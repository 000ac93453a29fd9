import numpy as np
import pytest
from labeled_scenes import alone, make_scene

from nanorender.labeling.masks import whole_masks
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace


@pytest.mark.parametrize("names", [["sphere"], ["grain_3", "satellite_2", "rod"]])
def test_masks_are_those_of_particles_rendered_alone(names):
    scene = make_scene(names, count=25, image_px=200)
    seen = trace(scene, scene.view).particle
    rows = np.unique(seen[seen > 0]) - 1
    masks = whole_masks(build_instances(scene, scene.view), scene.view, seen, rows)
    assert len(masks.first) == len(rows) + 1
    for k, row in enumerate(rows):
        drawn = np.zeros((600, 600), bool)
        for i in range(masks.first[k], masks.first[k + 1]):
            run = masks.member[masks.start[i] : masks.start[i + 1]]
            drawn[masks.row[i] + 200, masks.left[i] + 200 + np.flatnonzero(run)] = True
        # One pixel may fall either way, since the wider frame rounds positions differently.
        assert np.count_nonzero(drawn != alone(scene, row)) <= 2
