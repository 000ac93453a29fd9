import re

import pytest

from nanorender import doctor
from nanorender.errors import InputError


def test_the_machine_is_described(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.config, "CACHE_DIR", str(tmp_path / "cache"))
    told = dict(doctor.describe_machine())
    assert "numba" in told["versions"]
    assert told["cache"] == f"{tmp_path / 'cache'}, 0 MiB"


def test_a_cache_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor.config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"cache folder .* cannot be written .*XDG_CACHE_HOME"):
        dict(doctor.describe_machine())


def test_the_self_test_gives_its_figures(monkeypatch):
    monkeypatch.setattr(doctor, "TEST_S", 0.2)
    monkeypatch.setattr(doctor, "TEST_PX", 64)
    said = re.match(r"(\d+) images of 64 x 64 px .* in 0\.2 s on one core", doctor.self_test())
    assert said
    assert int(said[1]) > 0


def test_irreproducible_rendering_is_detected(monkeypatch):
    render = doctor.render
    number = iter(range(9))
    monkeypatch.setattr(doctor, "TEST_PX", 64)
    monkeypatch.setattr(
        doctor, "render", lambda recipe, seed, _: render(recipe, seed, next(number))
    )
    with pytest.raises(InputError, match="rendered twice differs"):
        doctor.self_test()
