"""Processor time of one image with its labels, compared with Blender Cycles, Mitsuba 3 and VTK.

    python -m venv peers && peers/bin/pip install bpy mitsuba vtk
    python benchmarks/peers.py --python peers/bin/python

The peers need a separate environment because bpy requires an older NumPy; without bpy,
`pip install -e ".[peers]"` is enough and no option is needed. All renderers get the same particles
at 507 x 507 pixels, once spheres (sample 1 of the preset sio2) and once agglomerated grains (of
tio2); the peers get triangle meshes of the shapes that nanorender evaluates by formula. The time is
from the particles to an image and a label map, after a warm-up scene. A peer that is not installed
is skipped with a message. The times are written to docs/results/peers.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import write_results
from scipy.spatial import ConvexHull

from nanorender.distributions import Constant
from nanorender.jit import kernel
from nanorender.recipe import Recipe, read_recipe
from nanorender.rendering import render
from nanorender.scenes.primitives import empty_rays, signed_distance
from nanorender.scenes.scene import Scene, sample_scene
from nanorender.tracing.instances import build_instances

EDGE_PX = 507
POINTS = 642  # of the mesh of a particle: 1280 triangles
SCENES = {"spheres": ("sio2", 1700.0), "agglomerates": ("tio2", 1900.0)}
"""Preset and number of particles on its field of which 180 to 450 are in view."""
OURS = (
    "edge effect, dirt, point spread and noise; occlusion and shadow of the height field, no "
    "light between surfaces"
)
PEERS = {
    "Cycles, 16 samples": ("bpy", "global illumination, grainy"),
    "Cycles, 64 samples": ("bpy", "global illumination, less grainy"),
    "Mitsuba 3, 16 samples": ("mitsuba", "global illumination, three bounces, grainy"),
    "VTK, shadow map": ("vtk", "one lamp with a hard shadow"),
}


def recipe_of(name: str) -> Recipe:
    """Return a preset at the resolution of the comparison, one ray a pixel."""
    preset, count = SCENES[name]
    recipe = read_recipe(preset)
    zoom_nm = recipe.camera.pixel_size_nm.typical() * recipe.camera.image_px / EDGE_PX
    camera = {"pixel_size_nm": Constant(value=zoom_nm), "image_px": EDGE_PX, "render_px": EDGE_PX}
    return recipe.model_copy(
        update={
            "camera": recipe.camera.model_copy(update=camera),
            "particle_count": Constant(value=count),
        }
    )


@kernel
def distances(placed, k, rays, count):
    """Write the signed distances of primitive k."""
    signed_distance(placed, k, rays, count)


def meshes_of(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, p, 3) of the convex particles in view, and triangles that all share.

    Along each direction from its center, a particle ends where the distance is 0.
    """
    items, placed = build_instances(scene, scene.view)
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(POINTS)
    z = 1 - 2 * (np.arange(POINTS) + 0.5) / POINTS
    flat = np.sqrt(1 - z**2)
    directions = np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])
    triangles = ConvexHull(directions).simplices
    a, b, c = np.moveaxis(directions[triangles], 1, 0)
    inwards = np.einsum("ti,ti->t", np.cross(b - a, c - a), a) < 0
    triangles[inwards] = triangles[inwards][:, ::-1]
    points = np.empty((len(items.particle), POINTS, 3))
    rays = empty_rays(POINTS)
    for t, origin in enumerate(items.origin):
        low, high = np.zeros(POINTS), np.full(POINTS, 4.0 * float(items.reach[t].max()))
        for _ in range(24):
            middle = (low + high) / 2
            rays.x[:], rays.y[:], rays.z[:] = (directions * middle[:, None]).T
            distances(placed, int(items.first[t]), rays, POINTS)
            inside = rays.distance < 0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        points[t] = origin + directions * low[:, None]
    return points, triangles


def write_scenes(name: str, path: Path) -> None:
    """Write the meshes of two samples for the peers."""
    stored = {"edge_px": EDGE_PX}
    for index in range(2):
        scene = sample_scene(recipe_of(name), np.random.default_rng([0, index]).spawn(4)[0])
        stored[f"points_{index}"], stored["triangles"] = meshes_of(scene)
        stored[f"edge_nm_{index}"] = EDGE_PX * scene.view.pixel_size_nm
    np.savez(path, **stored)


def measure_ours(name: str, picture: Path) -> dict[str, float]:
    """Measure the processor time from recipe to sample; return it with the number of labels."""
    recipe = recipe_of(name)
    render(recipe, 0, 0)
    began = time.process_time()
    for _ in range(10):
        sample = render(recipe, 0, 1)
    taken = (time.process_time() - began) / 10
    np.save(picture, sample.image)
    return {"cpu_s": taken, "labels": int(sample.labels.max())}


def measure_peer(python: str, peer: str, scenes: Path, picture: Path) -> dict[str, float] | str:
    """Measure a peer likewise; return an error message if it does not run."""
    module = PEERS[peer][0]
    find = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    if subprocess.run([python, "-c", find], check=False).returncode:
        return f"{module} is not installed"
    child = Path(__file__).with_name("peer_renderers.py")
    command = [python, str(child), peer, str(scenes), str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all installed renderers, print a table and write the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures, as .npy")
    options = parser.parse_args()
    seconds: dict[str, dict[str, float]] = {"nanorender": {}}
    labels = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.pictures or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for scene in SCENES:
            scenes = Path(temporary) / f"{scene}.npz"
            write_scenes(scene, scenes)
            found = measure_ours(scene, folder / f"nanorender-{scene}.npy")
            print(f"nanorender, {scene}: {found}", file=sys.stderr)
            seconds["nanorender"][scene] = found["cpu_s"]
            labels[scene] = found["labels"]
            for peer in PEERS:
                picture = folder / f"{peer.replace(', ', '-').replace(' ', '-')}-{scene}.npy"
                found = measure_peer(options.python, peer, scenes, picture)
                print(f"{peer}, {scene}: {found}", file=sys.stderr)
                if not isinstance(found, str):
                    seconds.setdefault(peer, {})[scene] = found["cpu_s"]
    rows = []
    for name, taken in seconds.items():
        picture = PEERS[name][1] if name in PEERS else OURS
        rows.append({"renderer": name, "cpu_s": taken, "picture": picture})
        times = ", ".join(f"{scene} {each:.3g} s" for scene, each in taken.items())
        print(f"{name}: {times} ({picture})")
    results = {
        "edge_px": EDGE_PX,
        "particles": labels,
        "peers": _installed(options.python),
        "renderers": rows,
    }
    print(write_results("peers", results))


def _installed(python: str) -> dict[str, str]:
    """Return the versions of the peers."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "installed = {d.metadata['Name']: d.version for d in m.distributions()}\n"
        "print(json.dumps({n: installed[n] for n in sys.argv[1:] if n in installed}))"
    )
    names = sorted({module for module, _ in PEERS.values()})
    done = subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
