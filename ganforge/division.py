"""Whether a global batch divides over ranks and micro-batches, said in one way wherever it is asked."""


def undivided(batch_size: int, ranks: int = 1, micro_batches: int = 1) -> str:
    """What is wrong with a batch size, with the nearest ones that would do; empty if it divides.

    Args:
        batch_size: samples in a turn over all ranks together.
        ranks: processes.
        micro_batches: in which each of them computes its turn.
    """
    pieces = ranks * micro_batches
    if batch_size >= 1 and batch_size % pieces == 0:
        return ""
    below = batch_size // pieces * pieces
    sizes = f"{below} or {below + pieces}" if below > 0 else f"{pieces}"
    factors = [f"{ranks} ranks"] * (ranks > 1) + [f"{micro_batches} micro-batches"] * (micro_batches > 1)
    return f"{batch_size} does not divide by {' x '.join(factors) or '1'}; use {sizes}"
