"""On CUDA: inside a graph, without host synchronisation, and how much memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from augury.explain.throughput.workloads import addressed


def synchronises(job: str, images: Tensor) -> str:
    """The warning of PyTorch's sync debug mode about a job; empty if nothing waits for the device."""
    _, run = addressed(job, images)
    epoch = torch.zeros((), dtype=torch.int64, device=images.device)
    run(epoch)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(epoch)
        return ""
    except RuntimeError as error:
        return " ".join(str(error).split())[:200]
    finally:
        torch.cuda.set_sync_debug_mode(before)


def captured(job: str, images: Tensor, compiled: bool = False) -> Callable[[], None]:
    """The replay of a graph that draws anew each time: the epoch counts inside it.

    compiled: PyTorch's compiler has fused the small kernels of the draws; it may not break the graph.
    """
    _, run = addressed(job, images)
    run = torch.compile(run, fullgraph=True) if compiled else run
    epoch = torch.zeros((), dtype=torch.int64, device=images.device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(epoch)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        epoch += 1
        kept = run(epoch)

    def replay(kept: object = kept) -> None:
        graph.replay()

    return replay


def peak_memory(call: Callable[[], object], images: Tensor) -> float:
    """Peak extra memory of one call relative to the batch, result included."""
    call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = call()
    torch.cuda.synchronize()
    del kept
    return (torch.cuda.max_memory_allocated() - before) / (images.numel() * images.element_size())
