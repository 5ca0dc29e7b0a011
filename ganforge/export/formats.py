"""One file in another format: safetensors, ONNX, or a `torch.export` program."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.errors import GanforgeError
from ganforge.export.program import Inputs, Traceable, not_exported
from ganforge.export.published import published_config
from ganforge.files import sync, usual_mode
from ganforge.sampling.draw import config_of
from ganforge.saved.generator_file import flat_state, load_generator, save_generator

CONFIG_KEY = "ganforge"
"""Where an ONNX file's metadata holds the generator's config; a program has it in its extra file ganforge.json."""


def export_safetensors(run: str | Path, out: Path) -> str:
    """Write a run's generator as a file that needs nothing else to be loaded. Returns what was written."""
    network = _on_cpu(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_generator(out, flat_state(network), published_config(config_of(network)))
    return f"{out}: `ganforge.load_generator('{out}')`"


def export_torch(run: str | Path, out: Path) -> str:
    """Write a `.pt2` program, which torch loads without ganforge.

    Raises:
        GanforgeError: the generator cannot be traced, or the program makes other samples.
    """
    traceable = Traceable(_on_cpu(run))
    program = traceable.program()
    extra = {f"{CONFIG_KEY}.json": published_config(traceable.config).to_json()}
    content = io.BytesIO()  # torch ends the process when its own file finds the disk full
    torch.export.save(program, content, extra_files=extra)
    with _whole(out) as temporary:
        temporary.write_bytes(content.getbuffer())
        loaded = torch.export.load(temporary).module()
        largest = traceable.check(lambda inputs: loaded(*inputs.values()), str(out))
    return f"{out}: checked, samples differ by at most {largest:.1g}; `torch.export.load('{out}').module()`"


def export_onnx(run: str | Path, out: Path) -> str:
    """Write an ONNX model with a batch of any size, and check its samples with onnxruntime.

    Its inputs are `latent (batch, latent_dim)` float32 and, if the generator is conditional, `labels (batch,)` int64;
    its output is `samples (batch, *shape)`, pictures in [-1, 1].

    Raises:
        GanforgeError: the generator cannot be exported, or the model makes other samples; or a package is missing.
    """
    runner = _onnxruntime()
    traceable = Traceable(_on_cpu(run))
    inputs = traceable.inputs(2)
    try:
        # Exporters' warnings are dropped: a real fault fails the check below.
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            model = torch.onnx.export(
                traceable.module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=["samples"],
                dynamic_shapes=traceable.dynamic_shapes,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # torch and onnxscript raise classes of many modules here
        raise not_exported(traceable.config.generator["name"], error) from error
    assert model is not None
    _forget_origin(model)
    model.model.metadata_props[CONFIG_KEY] = published_config(traceable.config).to_json()
    with _whole(out) as temporary:
        model.save(str(temporary), external_data=False)
        largest = traceable.check(runner(temporary), str(out))
    return f"{out}: checked with onnxruntime, samples differ by at most {largest:.1g}"


def _forget_origin(model: torch.onnx.ONNXProgram) -> None:
    """Drop the exporter's notes on the origin of each node: their stack traces name this machine's folders."""
    functions = model.model.functions.values()
    for graph in (*model.model.graphs(), *functions, *(inner for outer in functions for inner in outer.subgraphs())):
        graph.metadata_props.clear()
        for node in graph:
            node.doc_string = None
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()


def _on_cpu(run: str | Path) -> nn.Module:
    return load_generator(run, "cpu")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A temporary path with the same ending, which torch and ONNX look at; it takes `out`'s place if all goes well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    try:
        with usual_mode(temporary):
            yield temporary
        sync(temporary)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def _onnxruntime() -> Callable[[Path], Callable[[Inputs], Tensor]]:
    """A function of inputs that runs an ONNX file.

    Raises:
        GanforgeError: a package of the extra `export` is missing.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so less plainly
    except ImportError as error:
        raise GanforgeError(f"ONNX needs {error.name}: pip install 'ganforge[export]'") from error

    def load(path: Path) -> Callable[[Inputs], Tensor]:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

        def run(inputs: Inputs) -> Tensor:
            (samples,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
            return torch.from_numpy(samples)

        return run

    return load
