"""A Flower app whose clients measure themselves: two lines more, marked with <-, and their import.

The two apps are those that `flwr run` takes. Run by itself the file plays three clients here, one
after the other: python docs/examples/flower_app.py [METER]
"""

import sys

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from harness.adapters.flower import EnergyMod, measured_strategy

client_app = ClientApp(mods=[EnergyMod()])  # <-


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Take gradient steps of a linear regression on this client's samples."""
    rng = np.random.default_rng(context.node_id)
    inputs = rng.normal(size=(256, 8))
    targets = inputs @ np.arange(8.0)
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    for _ in range(2000):
        weights = weights - 0.01 * inputs.T @ (inputs @ weights - targets) / len(inputs)
    loss = float(np.mean((inputs @ weights - targets) ** 2))
    reply = RecordDict(
        {
            "arrays": ArrayRecord([weights]),
            "metrics": MetricRecord({"loss": loss, "num-examples": len(inputs)}),
        }
    )
    return Message(reply, reply_to=message)


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Average for three rounds."""
    strategy = FedAvg(fraction_evaluate=0.0)
    strategy = measured_strategy(strategy, out="results")  # <-
    result = strategy.start(grid, ArrayRecord([np.zeros(8)]), num_rounds=3)
    for number, metrics in result.train_metrics_clientapp.items():
        print(f"round {number}: loss {metrics['loss']:.2g}, {metrics['energy_j']:.3g} J a client")


if __name__ == "__main__":
    from here_grid import HereGrid

    config = {"meter": sys.argv[1]} if sys.argv[1:] else {}  # as --node-config gives it
    main(HereGrid(client_app, 3, config), Context(1, 0, {}, RecordDict(), {}))
