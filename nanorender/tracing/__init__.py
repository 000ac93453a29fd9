"""Ray marching: the surface that a parallel camera sees of a scene."""
