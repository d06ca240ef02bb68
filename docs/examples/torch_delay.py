"""Probability that a flight arrives late, by a neural network: copy it into `include/use_cases`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import Label, Overfitting, Resources, Split, Threshold, UseCase

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = ("hour", "weekday", "distance")

USE_CASE = UseCase(
    name="torch_delay",
    owner="passenger-care",
    description="Probability that a flight arrives more than 15 minutes late, by a neural network.",
    tags=("flights",),
    task="binary",
    feature_view="flight_features",
    features=CATEGORIES + NUMBERS,
    label=Label(dataset="arrivals", column="arr_delay", above=15),
    metric="log_loss",
    gates=(Threshold(metric="roc_auc", minimum=0.55), Overfitting(metric="roc_auc", maximum_gap=0.15)),
    prediction_range=(0, 1),
    split=Split(validation_days=7, test_days=14),
    requirements=("torch>=2.4", "skorch>=1.1"),
    code=("include.use_cases._torch_network",),
    # With a device: gpu=1, and device="cuda" below.
    resources=Resources(cpu=2, memory_mb=4_000),
)


def build_model(*, epochs: int = 20, rate: float = 0.003, units: int = 32, device: str = "cpu") -> Pipeline:
    """Return an untrained network over scaled numbers and one column per category."""
    import numpy as np
    import torch
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    from include.use_cases._torch_network import Network, ResumingNet

    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    network = ResumingNet(
        Network,
        module__units=units,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=rate,
        max_epochs=epochs,
        batch_size=256,
        iterator_train__shuffle=True,
        train_split=None,
        device=device,
        verbose=0,
    )
    return make_pipeline(
        make_column_transformer((categories, list(CATEGORIES)), (numbers, list(NUMBERS))),
        FunctionTransformer(np.float32),
        network,
    )
