from numba.core import config

from nanorender.jit import is_compiled, kernel, subroutine


def test_the_renderer_is_compiled_once_its_cache_holds_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "new"))
    assert not is_compiled()
    (tmp_path / "new" / "march").mkdir(parents=True)
    (tmp_path / "new" / "march" / "hits.nbi").write_bytes(b"index")
    assert is_compiled()


@subroutine
def halved(x):
    return x / 2


@kernel
def halves(x, times):
    for _ in range(times):
        x = halved(x)
    return x


def test_a_subroutine_gives_the_same_from_a_kernel_and_from_python():
    assert halves(3.0, 2) == halved(halved(3.0)) == 0.75


def test_dividing_by_zero_in_a_subroutine_gives_infinity():
    @subroutine
    def inverse(x):
        return 1.0 / x

    assert kernel(lambda x: inverse(x))(0.0) == float("inf")
