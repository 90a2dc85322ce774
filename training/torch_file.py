"""Reads the tensors of a file that `torch.save` wrote before PyTorch 1.6, without PyTorch.

Such a file has five pickles: a magic number, the version of the format, facts about the machine, the object, and the
keys of its storages. The raw values of the storages follow, in the order of the keys, each after its length
(`torch/serialization.py`, `_legacy_load`).
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class TorchFileError(Exception):
    """The file is not what this module reads; the message says why."""


class _Storage:
    """The values of a storage. They come after the tensors that refer to them."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.values: npt.NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """A tensor: a storage, and which of its values belong to the tensor."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self._storage = storage
        self._offset = offset
        self._shape = shape
        self._strides = strides

    def to_numpy(self) -> npt.NDArray[Any]:
        strides = tuple(stride * self._storage.dtype.itemsize for stride in self._strides)
        values = self._storage.values[self._offset :]
        if sum((length - 1) * stride for length, stride in zip(self._shape, self._strides, strict=True)) >= len(values):
            raise ValueError("a storage is too short.")
        return np.lib.stride_tricks.as_strided(values, self._shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    """Knows only what a dictionary of tensors needs, so that a file cannot run code."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it contains a {module}.{name}.")

    def persistent_load(self, pid: tuple[Any, ...]) -> _Storage:
        _, dtype, key, *_ = pid
        return self._storages.setdefault(key, _Storage(dtype))


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a dictionary by name. Raise `TorchFileError` or `OSError`."""
    storages: dict[str, _Storage] = {}
    try:
        with path.open("rb") as file:
            magic_number, _, _, tensors, keys = (_Unpickler(file, storages).load() for _ in range(5))
            for key in keys if magic_number == _MAGIC_NUMBER else ():
                _read_storage(file, storages[key])
            arrays = {name: tensor.to_numpy() for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TorchFileError(f"{path} is not a file of PyTorch tensors: {error}") from error
    if not arrays:
        raise TorchFileError(f"{path} is not a file of PyTorch tensors.")
    return arrays


def _read_storage(file: BinaryIO, storage: _Storage) -> None:
    (length,) = np.frombuffer(file.read(8), "<i8")
    storage.values = np.frombuffer(file.read(length * storage.dtype.itemsize), storage.dtype)
