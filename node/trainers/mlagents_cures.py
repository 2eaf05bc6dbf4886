"""Makes ML-Agents 1.1.0 run on versions of its dependencies that came after it; does nothing where those are its own.

Runs in the trainer's Python, before ML-Agents is imported. Also used by environments that speak its protocol in Python.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import pickle
import re
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

OLD_MESSAGES = re.compile(r"mlagents_envs\.communicator_objects\.\w+_pb2")


def cure_numpy() -> None:
    """ML-Agents says np.float, which numpy 1.24 removed."""
    numpy: Any = importlib.import_module("numpy")
    if not hasattr(numpy, "float"):
        numpy.float = float


def cure_torch(threads: int) -> None:
    """One self-contained .onnx file, no code out of checkpoints, and a fixed number of threads."""
    torch: Any = importlib.import_module("torch")
    torch.onnx.export = _with(torch.onnx.export, dynamo=False)
    torch.load = weights_only(torch.load)
    importlib.import_module("mlagents.torch_utils")  # sets a thread count of its own at import
    torch.set_num_threads(threads)


def _with(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The function with those keywords fixed, or as it is in a version that does not know them."""
    if not set(fixed) <= set(inspect.signature(function).parameters):
        return function
    return functools.wraps(function)(functools.partial(function, **fixed))


def weights_only(load: Callable[..., Any]) -> Callable[..., Any]:
    """torch.load that never runs code, whatever its caller says. Raises TypeError where torch is too old for it."""

    @functools.wraps(load)
    def loaded(*args: Any, **kwargs: Any) -> Any:
        kept = {name: value for name, value in kwargs.items() if name not in ("pickle_module", "weights_only")}
        try:
            return load(*args[:2], **kept, weights_only=True)  # file and map_location; the third is the pickle module
        except EOFError as error:
            raise pickle.UnpicklingError("The file ends too early.") from error

    return loaded


def cure_messages() -> None:
    """From protobuf 4 on, classes written out by an older protoc refuse to load: load their descriptors instead."""
    if int(importlib.import_module("google.protobuf").__version__.split(".")[0]) >= 4:
        sys.meta_path.insert(0, _OldMessages())


class _OldMessages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not OLD_MESSAGES.fullmatch(fullname):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=_OldMessages())

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Builds the module's classes from the serialized descriptor that its source text contains."""
        pool = importlib.import_module("google.protobuf.descriptor_pool").Default()
        builder = importlib.import_module("google.protobuf.internal.builder")
        descriptor_pb2 = importlib.import_module("google.protobuf.descriptor_pb2")
        serialized = serialized_descriptor(inspect.getsource(module))
        for dependency in descriptor_pb2.FileDescriptorProto.FromString(serialized).dependency:
            importlib.import_module(dependency.removesuffix(".proto").replace("/", ".") + "_pb2")
        descriptor = pool.AddSerializedFile(serialized)
        builder.BuildMessageAndEnumDescriptors(descriptor, module.__dict__)
        builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, module.__dict__)


def serialized_descriptor(source: str) -> bytes:
    """The bytes of `serialized_pb=_b('...')` in a generated module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb" and isinstance(node.value, ast.Call):
            return bytes(ast.literal_eval(node.value.args[0]).encode("latin1"))
    raise ImportError("This generated module contains no serialized descriptor.")
