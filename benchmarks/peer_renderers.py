"""One renderer of `peers.py`, run in a separate process that needs only NumPy and the renderer.

    python peer_renderers.py NAME SCENE.npz PICTURE.npy

renders the two sets of meshes in the file and prints, as JSON, the processor seconds of the second,
from its meshes to image and label map, and how many labels it has.
"""

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SUN = np.array([-0.5, -0.35, 0.8])
AMBIENT, DIRECTED, ALBEDO = 0.5, 0.8, 0.6


class Mesh(NamedTuple):
    """A particle as a triangle mesh, in nm from the center of the view; z towards the camera."""

    points: np.ndarray
    triangles: np.ndarray


class Scene(NamedTuple):
    """Meshes of particles over z = 0, seen from above by a square camera."""

    meshes: list[Mesh]
    edge_px: int
    edge_nm: float


Draw = Callable[[Scene], tuple[np.ndarray, int]]


def cycles(samples: int) -> Draw:
    import bpy

    def draw(given: Scene) -> tuple[np.ndarray, int]:
        edge_px = given.edge_px
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        material = bpy.data.materials.new("particle")
        material.diffuse_color = (ALBEDO, ALBEDO, ALBEDO, 1)
        reach = given.edge_nm
        floor = Mesh(np.array([[-reach, -reach, 0], [reach, -reach, 0], [reach, reach, 0],
                     [-reach, reach, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))  # fmt: skip
        for number, mesh in enumerate([floor, *given.meshes]):
            data = bpy.data.meshes.new("particle")
            # Blender's y points up.
            data.from_pydata((mesh.points * [1, -1, 1]).tolist(), [], mesh.triangles.tolist())
            data.polygons.foreach_set("use_smooth", np.ones(len(mesh.triangles), bool))
            data.materials.append(material)
            thing = bpy.data.objects.new("particle", data)
            thing.pass_index = number
            scene.collection.objects.link(thing)
        eye = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
        eye.data.type, eye.data.ortho_scale = "ORTHO", reach
        eye.data.clip_end = 1e6
        eye.location = (0, 0, 1e4)
        sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
        sun.data.energy = DIRECTED * np.pi
        sun.rotation_euler = (np.arctan2(-SUN[1], SUN[2]), np.arctan2(SUN[0], SUN[2]), 0)
        for thing in (eye, sun):
            scene.collection.objects.link(thing)
        scene.world = bpy.data.worlds.new("world")
        scene.world.color = (AMBIENT, AMBIENT, AMBIENT)
        scene.camera = eye
        scene.render.engine = "CYCLES"
        scene.render.resolution_x = scene.render.resolution_y = edge_px
        scene.render.threads_mode, scene.render.threads = "FIXED", 1
        scene.cycles.device, scene.cycles.samples = "CPU", samples
        scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
        scene.view_layers[0].use_pass_object_index = True
        settings = scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "MULTI_LAYER_IMAGE"
        settings.file_format = "OPEN_EXR_MULTILAYER"
        if hasattr(settings, "use_exr_interleave"):
            settings.use_exr_interleave = True  # all channels in one part, for the reader
        path = Path(folder.name) / "picture.exr"
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        return read_exr(path, edge_px)

    folder = tempfile.TemporaryDirectory()
    return draw


def read_exr(path: Path, edge_px: int) -> tuple[np.ndarray, int]:
    """Return gray image and number of labels of a file that Blender wrote."""
    if importlib.util.find_spec("mitsuba") is None:
        return np.zeros((edge_px, edge_px), np.uint8), -1
    import mitsuba

    mitsuba.set_variant("scalar_rgb")
    bitmap = mitsuba.Bitmap(str(path))
    channels = {field.name: i for i, field in enumerate(bitmap.struct_())}
    values = np.array(bitmap)
    (red,) = (i for name, i in channels.items() if name.endswith("Combined.R"))
    (label,) = (i for name, i in channels.items() if "Index" in name)
    return as_bytes(values[..., red]), len(np.unique(np.rint(values[..., label]))) - 1


def mitsuba_paths(samples: int) -> Draw:
    import mitsuba

    mitsuba.set_variant("scalar_rgb")

    def draw(given: Scene) -> tuple[np.ndarray, int]:
        edge_px = given.edge_px
        reach = given.edge_nm / 2
        transform = mitsuba.ScalarTransform4f
        gray = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": ALBEDO}}
        scene: dict[str, Any] = {
            "type": "scene",
            "sky": {"type": "constant", "radiance": AMBIENT},
            "sun": {"type": "directional", "direction": list(-SUN), "irradiance": DIRECTED * np.pi},
            "gray": gray,
            "floor": {
                "type": "rectangle",
                "to_world": transform().scale([2 * reach, 2 * reach, 1]),
                "bsdf": {"type": "ref", "id": "gray"},
            },
        }
        for number, mesh in enumerate(given.meshes):
            shape = mitsuba.Mesh("mesh", len(mesh.points), len(mesh.triangles))
            parameters = mitsuba.traverse(shape)
            parameters["vertex_positions"] = mesh.points.astype(np.float32).ravel()
            parameters["faces"] = mesh.triangles.astype(np.uint32).ravel()
            parameters.update()
            scene[f"particle{number:05d}"] = shape
        sensor = {
            "type": "orthographic",
            "to_world": transform().look_at([0, 0, 1e4], [0, 0, 0], [0, -1, 0])
            @ transform().scale([-reach, reach, 1]),
            "film": {"type": "hdrfilm", "width": edge_px, "height": edge_px,
                     "rfilter": {"type": "box"}, "pixel_format": "luminance"},
        }  # fmt: skip
        whole = mitsuba.load_dict(scene)
        eye = mitsuba.load_dict(sensor)
        path = mitsuba.load_dict({"type": "path", "max_depth": 4})
        image = np.array(mitsuba.render(whole, sensor=eye, integrator=path, spp=samples))
        shapes = mitsuba.load_dict({"type": "aov", "aovs": "label:shape_index"})
        labels = np.array(mitsuba.render(whole, sensor=eye, integrator=shapes, spp=1))
        return as_bytes(image.reshape(edge_px, edge_px)), len(np.unique(labels[..., -1])) - 1

    return draw


def vtk_shadows() -> Draw:
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

    def actor(mesh: Mesh, number: int) -> Any:
        data, points, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
        points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.points * [1, -1, 1]), deep=True))
        threes = np.column_stack([np.full(len(mesh.triangles), 3), mesh.triangles])
        cells.SetCells(len(threes), numpy_to_vtkIdTypeArray(threes.astype(np.int64).ravel(), True))
        data.SetPoints(points)
        data.SetPolys(cells)
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputData(data)
        normals.SplittingOff()
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputConnection(normals.GetOutputPort())
        made = vtk.vtkActor()
        made.SetMapper(mapper)
        made.GetProperty().SetColor(ALBEDO, ALBEDO, ALBEDO)
        made.GetProperty().SetAmbient(AMBIENT / 2)
        return made

    def picture(renderer: Any, edge_px: int) -> np.ndarray:
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        window.SetSize(edge_px, edge_px)
        window.AddRenderer(renderer)
        window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        window.Finalize()
        return pixels.reshape(edge_px, edge_px, -1)[::-1]

    def draw(given: Scene) -> tuple[np.ndarray, int]:
        edge_px = given.edge_px
        reach = given.edge_nm / 2
        corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 2 * reach
        floor = Mesh(corners.astype(float), np.array([[0, 2, 1], [0, 3, 2]]))
        renderer = vtk.vtkRenderer()
        actors = [actor(mesh, number) for number, mesh in enumerate([floor, *given.meshes])]
        for one in actors:
            renderer.AddActor(one)
        light = vtk.vtkLight()
        light.SetPosition(*(SUN * [1, -1, 1] * 4 * reach))
        light.SetPositional(True)
        light.SetConeAngle(80)
        renderer.AddLight(light)
        eye = renderer.GetActiveCamera()
        eye.SetParallelProjection(True)
        eye.SetParallelScale(reach)
        eye.SetPosition(0, 0, 1e4)
        eye.SetFocalPoint(0, 0, 0)
        eye.SetViewUp(0, 1, 0)
        renderer.ResetCameraClippingRange()
        passes, shadows = vtk.vtkSequencePass(), vtk.vtkShadowMapPass()
        steps = vtk.vtkRenderPassCollection()
        for one in (shadows.GetShadowMapBakerPass(), shadows):
            steps.AddItem(one)
        passes.SetPasses(steps)
        camera_pass = vtk.vtkCameraPass()
        camera_pass.SetDelegatePass(passes)
        renderer.SetPass(camera_pass)
        image = picture(renderer, edge_px)[..., 0]
        renderer.SetPass(None)
        for number, one in enumerate(actors):
            shade = one.GetProperty()
            shade.LightingOff()
            shade.SetColor((number & 255) / 255, (number >> 8 & 255) / 255, 0)
        colors = picture(renderer, edge_px).astype(int)
        return image, len(np.unique(colors[..., 0] + 256 * colors[..., 1])) - 1

    return draw


def as_bytes(radiance: np.ndarray) -> np.ndarray:
    return np.clip(255 * radiance, 0, 255).astype(np.uint8)


PEERS: dict[str, Callable[[], Draw]] = {
    "Cycles, 16 samples": lambda: cycles(16),
    "Cycles, 64 samples": lambda: cycles(64),
    "Mitsuba 3, 16 samples": lambda: mitsuba_paths(16),
    "VTK, shadow map": vtk_shadows,
}


def main(name: str, scenes: str, picture: str) -> None:
    stored = np.load(scenes)
    first, second = (
        Scene(
            [Mesh(points, stored["triangles"]) for points in stored[f"points_{index}"]],
            int(stored["edge_px"]),
            float(stored[f"edge_nm_{index}"]),
        )
        for index in range(2)
    )
    draw = PEERS[name]()
    draw(first)
    began = time.process_time()
    image, labels = draw(second)
    print(json.dumps({"cpu_s": time.process_time() - began, "labels": labels}))
    np.save(picture, image)


if __name__ == "__main__":
    main(*sys.argv[1:])
