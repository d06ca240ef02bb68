"""A network of PyTorch that continues a fit which was killed: copy it into `include/use_cases`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback

if TYPE_CHECKING:
    import pandas as pd


class Network(torch.nn.Module):
    """Two layers; the number of inputs is that of the first rows."""

    def __init__(self, units: int = 32) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.LazyLinear(units), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(units, 2)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the logits of both classes."""
        return self.layers(rows)


class SaveEpoch(Callback):
    """Save weights, optimizer and history after each epoch, in a folder that is complete or absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_begin(self, net: ResumingNet, **_: Any) -> None:
        """Seed the epoch, so that a resumed fit equals one that was not interrupted."""
        torch.manual_seed(net.random_state + len(net.history))

    def on_epoch_end(self, net: ResumingNet, **_: Any) -> None:
        """Write the checkpoint under another name first."""
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        net.save_params(**checkpoint_files(unfinished))
        unfinished.rename(self.folder / f"epoch_{len(net.history):05}")


class ResumingNet(NeuralNetClassifier):
    """A network that continues where an earlier fit on the same rows and parameters was killed."""

    def __init__(
        self,
        *args: Any,
        checkpoints: str = "checkpoints",
        random_state: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.checkpoints = checkpoints
        self.random_state = random_state
        super().__init__(*args, **kwargs)

    def fit(self, rows: np.ndarray, target: pd.Series) -> ResumingNet:
        """Fit the epochs that are left."""
        labels = np.asarray(target, dtype=np.int64)
        folder = Path(self.checkpoints) / self._key(rows, labels)
        torch.manual_seed(self.random_state)
        self.initialize()
        self.module_(torch.as_tensor(rows[:1], device=self.device))
        epochs = sorted(folder.glob("epoch_*"))
        if epochs:
            self.load_params(**checkpoint_files(epochs[-1]))
        self.callbacks_.append(("save_epoch", SaveEpoch(folder)))
        self.partial_fit(rows, labels, epochs=self.max_epochs - len(self.history))
        self.callbacks_.pop()
        shutil.rmtree(folder, ignore_errors=True)
        return self

    def _key(self, rows: np.ndarray, labels: np.ndarray) -> str:
        settings = (self.max_epochs, self.lr, self.batch_size, self.random_state, self.module__units)
        digest = hashlib.sha256(repr(settings).encode())
        digest.update(np.ascontiguousarray(rows).tobytes())
        digest.update(labels.tobytes())
        return digest.hexdigest()


def checkpoint_files(folder: Path) -> dict[str, str]:
    """Return the files of a checkpoint, as skorch names them."""
    names = {"f_params": "params.pt", "f_optimizer": "optimizer.pt", "f_history": "history.json"}
    return {argument: str(folder / name) for argument, name in names.items()}
