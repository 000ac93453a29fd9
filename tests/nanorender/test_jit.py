from numba.core import config

from nanorender.jit import is_compiled


def test_the_renderer_is_compiled_once_its_cache_holds_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "new"))
    assert not is_compiled()
    (tmp_path / "new" / "march").mkdir(parents=True)
    (tmp_path / "new" / "march" / "hits.nbi").write_bytes(b"index")
    assert is_compiled()
