"""What each pixel of the camera sees of a scene."""
