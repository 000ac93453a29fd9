"""Types of the names that nanorender loads when they are first used."""

from nanorender.errors import InputError as InputError
from nanorender.files.micrograph import read_micrograph as read_micrograph
from nanorender.files.segmentation import find_label_maps as find_label_maps
from nanorender.files.segmentation import read_segmented as read_segmented
from nanorender.files.tiff import read_labels as read_labels
from nanorender.files.tiff import write_image as write_image
from nanorender.files.tiff import write_labels as write_labels
from nanorender.generation import generate as generate
from nanorender.measuring.measure import measure as measure
from nanorender.randomization import read_recipe_source as read_recipe_source
from nanorender.recipe import Recipe as Recipe
from nanorender.recipe import read_recipe as read_recipe
from nanorender.recipes import preset_names as preset_names
from nanorender.rendering import render as render
from nanorender.separation.separate import Separation as Separation
from unet.predict import load_model as load_model
from unet.segment import segment_image as segment_image
from unet.segment import segment_micrograph as segment_micrograph

__version__: str
