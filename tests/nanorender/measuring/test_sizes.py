from nanorender.measuring.measure import MEASUREMENTS
from nanorender.measuring.sizes import SIZE_QUANTITIES


def test_every_size_is_a_length_that_is_measured():
    lengths = {measurement.name for measurement in MEASUREMENTS if measurement.power == 1}
    assert SIZE_QUANTITIES.keys() <= lengths
