"""Records of how an output folder was made, and reproduction from them."""
