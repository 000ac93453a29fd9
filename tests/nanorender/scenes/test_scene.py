import numpy as np
import pytest
from pydantic import ValidationError

from nanorender.errors import InputError
from nanorender.scenes.scene import SceneSettings, View, sample_scene


def settings(**changes) -> SceneSettings:
    kind = {"templates": ["sphere"], "diameter_nm": 100, "material": "oxide"}
    values = {
        "camera": {"pixel_size_nm": 5, "image_px": 200, "render_px": 50},
        "field_nm": 5000,
        "particle_count": 200,
        "particles": [kind],
    }
    return SceneSettings.model_validate(values | changes)


def draw(seed=0, **changes):
    return sample_scene(settings(**changes), np.random.default_rng(seed))


def kind(**changes):
    return {"templates": ["sphere"], "diameter_nm": 100, "material": "oxide"} | changes


def test_the_same_stream_gives_the_same_scene():
    one, other = draw().particles, draw().particles
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b)


def test_rotations_are_rotations_and_look_everywhere():
    rotation = draw(particle_count=4000).particles.rotation.astype(float)
    identity = np.einsum("nij,nkj->nik", rotation, rotation)
    assert np.abs(identity - np.eye(3)).max() < 1e-6
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)
    # The mean of a uniformly random unit vector is 0, of its squared components 1/3.
    assert np.abs(rotation.mean(axis=0)).max() < 5 / np.sqrt(3 * 4000)
    assert rotation.var(axis=0) == pytest.approx(1 / 3, abs=0.03)


def test_a_lying_particle_has_its_long_axis_level():
    particles = draw(particles=[kind(aspect=2, orientation="lying")]).particles
    assert np.abs(particles.rotation[:, 2, 0]).max() < 1e-6
    assert np.ptp(particles.rotation[:, 2, 2]) > 1


def test_a_flat_particle_stands_upright():
    particles = draw(particles=[kind(flatness=0.2, orientation="flat")]).particles
    assert particles.rotation[:, 2, 2] == pytest.approx(1)


def test_the_aspect_keeps_the_area_of_the_outline():
    size = draw(particles=[kind(aspect=4)]).particles.size_nm
    assert size[:, 0] / size[:, 1] == pytest.approx(4)
    assert size[:, 0] * size[:, 1] == pytest.approx(100**2)


def test_wire_has_its_length_and_thickness():
    size = draw(particles=[kind(diameter_nm=45, length_nm=3000)]).particles.size_nm
    assert size == pytest.approx(np.tile([3000, 45, 45], (len(size), 1)))


def test_populations_have_their_shares():
    kinds = [kind(share=1), kind(share=3, diameter_nm=50)]
    particles = draw(particle_count=4000, particles=kinds).particles
    share = (particles.population == 1).mean()
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.1875 / 4000))
    assert particles.size_nm[particles.population == 1] == pytest.approx(50)


def test_the_view_lies_on_the_field_and_moves_from_scene_to_scene():
    views = [draw(seed).view for seed in range(20)]
    assert all(0 <= view.left_nm <= 4000 and 0 <= view.top_nm <= 4000 for view in views)
    assert len({view.left_nm for view in views}) == 20


def test_a_resampled_view_shows_the_same_field():
    coarse = View(10.0, 20.0, 2.0, 400, 400, 0.0).resampled(100, 100)
    assert coarse == View(10.0, 20.0, 8.0, 100, 100, 0.0)


def test_a_zoom_drawn_so_that_the_view_is_larger_than_the_field_is_refused():
    zoom = {"kind": "uniform", "low": 0.1, "high": 8.9}
    camera = {"pixel_size_nm": zoom, "image_px": 200, "render_px": 50}
    with pytest.raises(InputError, match="larger than the field"):
        _ = [draw(seed=seed, field_nm=900, camera=camera) for seed in range(20)]


def test_placements_that_search_more_neighbors_are_refused_earlier():
    crowd = {"particle_count": 1e6, "field_nm": 2000}
    settings(**crowd, placement={"kind": "scattered"})
    for placement in ({"kind": "scattered", "apart": 1.0}, {"kind": "agglomerates"}):
        with pytest.raises(ValidationError, match="hours"):
            settings(**crowd, placement=placement)


def test_too_many_particles_are_refused_with_the_cost():
    count = {"kind": "normal", "mean": 10, "sd": 1e12, "minimum": 1}
    with pytest.raises(InputError, match="GiB of memory"):
        _ = [draw(seed=seed, particle_count=count) for seed in range(20)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"particles": [kind(templates=["sphear"])]}, "no template 'sphear'"),
        ({"particle_count": 1e9}, r"about 559 GiB of memory and 3\.4e\+05 hours"),
        ({"particle_count": 3e6, "field_nm": 2000}, r"GiB of memory and 19 hours .* 0\.5 hours"),
        ({"field_nm": 900}, "view of 200 pixels, 1000 nm, is larger than the field"),
        ({"particles": [kind(diameter_nm=6000)]}, "particles of 6000 nm are larger than the"),
        ({"particles": []}, "particles"),
        ({"field_nm": -1}, "field_nm"),
        ({"particles": [kind(diameter_nm=-5)]}, "positive"),
    ],
)
def test_invalid_settings_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        settings(**changes)
