"""How fast a run would be on more GPUs: a model of the one cost that grows, the all-reduce of gradients.

A ring all-reduce of S bytes over p ranks takes `2 (p - 1) a + 2 (p - 1) / p S / b` seconds, with latency a a hop and
bandwidth b a rank (the alpha-beta model, Hockney 1994; rings, Patarasu and Yuan 2009). Two binary trees, each for half
of the data and with the other's leaves inside, take `2 log2(p) a + 2 S / b` (Sanders, Speck and Traeff 2009): hardly
more bytes, and far fewer hops in a row. Over several nodes it is done in levels, as libraries do: within each node, a
ring reduces and at the end gathers, and between nodes the g GPUs of a node drive g rings or trees at once, each with
its share of the gradient; the faster of the two is taken. Each GPU keeps its batch, so images grow with GPUs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Links:
    """What connects the GPUs.

    Args:
        gpus_per_node: GPUs that share the fast links.
        node_gb: gigabytes a second that each GPU sends within its node.
        network_gb: gigabytes a second that each GPU sends to other nodes: its share of the node's adapters.
        node_us: microseconds a hop within a node.
        network_us: microseconds a hop between nodes.
    """

    gpus_per_node: int = 8
    node_gb: float = 300.0
    network_gb: float = 40.0
    node_us: float = 3.0
    network_us: float = 10.0


def all_reduce_seconds(size: float, gpus: int, links: Links, between: Literal["ring", "tree"] = "ring") -> float:
    """Predicted time of one all-reduce.

    Args:
        size: bytes a rank holds.
        gpus: ranks; one takes no time.
        links: what connects them.
        between: how nodes exchange.
    """
    in_node = min(gpus, links.gpus_per_node)
    nodes = -(-gpus // links.gpus_per_node)
    within = _ring(size, in_node, links.node_us * 1e-6, links.node_gb * 1e9)
    exchange = _ring if between == "ring" else _tree
    return within + exchange(size / in_node, nodes, links.network_us * 1e-6, links.network_gb * 1e9)


def _ring(size: float, ranks: int, latency: float, bandwidth: float) -> float:
    return 2 * (ranks - 1) * latency + 2 * (ranks - 1) / ranks * size / bandwidth


def _tree(size: float, ranks: int, latency: float, bandwidth: float) -> float:
    return 0.0 if ranks == 1 else 2 * math.ceil(math.log2(ranks)) * latency + 2 * size / bandwidth


@dataclass(frozen=True)
class Prediction:
    """One row of the table.

    Args:
        gpus: number of GPUs.
        ring: seconds of all-reduce a step, with rings between nodes.
        tree: the same with trees.
        communication: the same with whichever is faster.
        images_per_second: speed if no communication overlaps with the backward pass.
        efficiency: share of the linear speed, without overlap.
        best_efficiency: the same with the most possible overlap: two thirds of a turn are backward.
    """

    gpus: int
    ring: float
    tree: float
    communication: float
    images_per_second: float
    efficiency: float
    best_efficiency: float


BACKWARD_SHARE = 2 / 3


def predict(
    turns: Sequence[tuple[float, float]], rest: float, images: int, links: Links, counts: Sequence[int]
) -> list[Prediction]:
    """Predicted time of a step on each number of GPUs.

    Args:
        turns: seconds on one GPU and bytes all-reduced, of each all-reduce in a step.
        rest: seconds of a step outside of turns.
        images: pictures of a step on one GPU.
        links: what connects the GPUs.
        counts: numbers of GPUs.
    """
    alone = rest + sum(seconds for seconds, _ in turns)
    rows = []
    for gpus in counts:
        ring, tree = ([all_reduce_seconds(size, gpus, links, way) for _, size in turns] for way in ("ring", "tree"))
        times = [(seconds, min(ways)) for (seconds, _), *ways in zip(turns, ring, tree, strict=True)]
        open_time = alone + sum(reduce for _, reduce in times)
        hidden = alone + sum(max(0.0, reduce - BACKWARD_SHARE * seconds) for seconds, reduce in times)
        rows.append(
            Prediction(
                gpus,
                ring=sum(ring),
                tree=sum(tree),
                communication=sum(reduce for _, reduce in times),
                images_per_second=gpus * images / open_time,
                efficiency=alone / open_time,
                best_efficiency=alone / hidden,
            )
        )
    return rows
