"""Compiled training step: its state, the learning rate, and the step itself."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from unet.augment import PatchSources, draw_batch
from unet.devices import divided
from unet.losses import border_weights, cross_entropy
from unet.model import Weights, abstract_model, get_weights, initial_weights, set_weights
from unet.presets import TrainSettings


class TrainState(NamedTuple):
    """Everything that a training step changes; checkpoints store it.

    Attributes
    ----------
    step : number of steps completed
    parameters : weights of the network
    statistics : running statistics of batch normalization
    averages : moving averages of parameters and statistics, which become the model
    optimizer : state of the optimizer
    losses : (t,) sum of the losses of the steps of this epoch, by target
    """

    step: Int[Array, ""]
    parameters: PyTree
    statistics: PyTree
    averages: PyTree
    optimizer: optax.OptState
    losses: Float[Array, "t"]


TrainStep = Callable[[TrainState, Array, Array], TrainState]


def initial_state(settings: TrainSettings, weights: Weights | None = None) -> TrainState:
    """Initialize the state before the first step.

    Parameters
    ----------
    settings : training settings
    weights : weights to start from; drawn at random from the seed if None

    Returns
    -------
    state : state before the first step
    """
    if weights is None:
        weights = initial_weights(settings.architecture, np.random.default_rng(settings.seed))
    network = set_weights(abstract_model(settings.architecture), weights)
    parameters = nnx.state(network, nnx.Param)
    statistics = nnx.state(network, nnx.BatchStat)
    return TrainState(
        step=jnp.int32(0),
        parameters=parameters,
        statistics=statistics,
        averages=jax.tree.map(jnp.copy, (parameters, statistics)),
        optimizer=optax.adam(make_schedule(settings)).init(parameters),
        losses=jnp.zeros(len(settings.targets)),
    )


def make_schedule(settings: TrainSettings) -> optax.Schedule:
    """Return the learning rate as a function of the step.

    Parameters
    ----------
    settings : training settings

    Returns
    -------
    schedule : constant, or one cosine rise and fall

    Examples
    --------
    >>> from unet.presets import preset
    >>> round(float(make_schedule(preset("cpu"))(0)), 6)
    0.001
    """
    match settings.schedule:
        case "constant":
            return optax.constant_schedule(settings.learning_rate)
        case "one_cycle":
            # With a rise of no steps, Optax before 0.2.7 computes 0 / 0.
            rise = max(0.1, 1 / settings.steps)
            return optax.cosine_onecycle_schedule(
                settings.steps, settings.learning_rate, pct_start=rise, div_factor=10.0
            )


def activation_type(settings: TrainSettings, mesh: Mesh) -> jnp.dtype:
    """Return the type of the activations of a training.

    Weights, statistics, loss and optimizer are float32 in any case. The tensor cores of GPUs
    multiply numbers of 16 bits twice as fast, and these need half of the memory.

    Parameters
    ----------
    settings : training settings
    mesh : devices of the training

    Returns
    -------
    dtype : float32 or bfloat16
    """
    if settings.precision != "auto":
        return jnp.dtype(settings.precision)
    return jnp.dtype("bfloat16" if mesh.devices.flat[0].platform == "gpu" else "float32")


@lru_cache
def make_step(settings: TrainSettings, mesh: Mesh, annotated: int) -> TrainStep:
    """Compile the training step.

    Random numbers depend on the seed and the number of the step only, not on the devices.

    Parameters
    ----------
    settings : training settings
    mesh : devices that share the batch
    annotated : number of annotated micrographs, which come last among the samples

    Returns
    -------
    step : function of state, pixels and sizes of `unet.data.Samples` that returns the next state
    """
    sources = PatchSources(annotated, settings.annotated_share)
    graph = nnx.graphdef(abstract_model(settings.architecture))
    optimizer = optax.adam(make_schedule(settings))
    dtype = activation_type(settings, mesh)
    key = jax.random.key(settings.seed)

    @partial(jax.jit, donate_argnums=0)
    def train_step(state: TrainState, pixels: Array, sizes: Array) -> TrainState:
        # Draw the patches of this step
        step_key = jax.random.fold_in(key, state.step)
        count, edge = settings.batch, settings.patch_px
        batch = draw_batch(step_key, pixels, sizes, count, edge, settings.augmentation, sources)
        batch = jax.lax.with_sharding_constraint(batch, divided(mesh))
        weights = border_weights(batch.targets, settings.targets, settings.border_weight)

        # Compute the gradient and update the parameters
        def loss(parameters: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
            network = nnx.merge(graph, parameters, state.statistics, copy=True)
            network.train()
            logits = network(batch.images.astype(dtype))
            losses = cross_entropy(logits, batch.targets, weights)
            return losses.mean(), (losses, nnx.state(network, nnx.BatchStat))

        gradients, (losses, statistics) = jax.grad(loss, has_aux=True)(state.parameters)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)

        # Average the weights, with less memory at first, when they change fastest
        decay = jnp.minimum(settings.averaging, (1 + state.step) / (10 + state.step))
        averages = optax.incremental_update((parameters, statistics), state.averages, 1 - decay)
        return TrainState(
            state.step + 1,
            parameters,
            statistics,
            averages,
            optimizer_state,
            state.losses + losses,
        )

    return train_step


def model_weights(state: TrainState) -> Weights:
    """Extract the weights of the model: the averaged parameters and statistics.

    Parameters
    ----------
    state : state of the training

    Returns
    -------
    weights : arrays by name
    """
    return {name: array for part in state.averages for name, array in get_weights(part).items()}
