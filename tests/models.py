"""Files that are no models, each as a stranger might send it."""

import io
import json
import os
import pickle
import struct
import zipfile

import torch

MARK = "SKCGCNN_TEST_MARK"


class Malicious:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ[MARK],)


def rezip(source, target, edit=lambda name, data: data, compression=zipfile.ZIP_STORED):
    """Copy a zip file entry by entry."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for item in old.infolist():
            new.writestr(item.filename, edit(item.filename, old.read(item)))


def pickled(value, protocol=2):
    buffer = io.BytesIO()
    pickle.dump(value, buffer, protocol)
    return buffer.getvalue()


def safetensors_header(data, edit):
    """Return a safetensors file with another header."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.dumps(edit(json.loads(data[8 : 8 + length]))).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def expanded(shape):
    """Return a tensor of any shape that takes four bytes in a file."""
    return torch.zeros(1).expand(shape)
