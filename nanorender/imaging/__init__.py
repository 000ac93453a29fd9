"""How what is seen becomes a gray image: light, materials, dirt, and the detector."""
