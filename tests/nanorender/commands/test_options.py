import pytest

from nanorender.commands.options import parse_reading
from nanorender.errors import InputError


def test_a_crop_is_four_whole_numbers():
    assert parse_reading(crop="0,712,0,1024").crop == (0, 712, 0, 1024)
    assert parse_reading().crop is None
    for text in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(InputError, match="TOP,BOTTOM,LEFT,RIGHT"):
            parse_reading(crop=text)
