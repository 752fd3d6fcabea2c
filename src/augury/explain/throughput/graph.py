"""CUDA graphs, host synchronisation and peak memory of augmentation on a GPU."""

from collections.abc import Callable

import torch
from torch import Tensor

from augury.explain.throughput.workloads import addressed


def synchronises(job: str, images: Tensor) -> str:
    """The message of PyTorch's sync debug mode for a job; "" if nothing waits for the device."""
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
    """Replays a CUDA graph that draws anew each time, since it increments the epoch itself.

    compiled: use torch.compile, which fuses the small kernels of the draws, with fullgraph=True.
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
    """Peak extra memory of one call, including the result, relative to the batch."""
    call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = call()
    torch.cuda.synchronize()
    del kept
    return (torch.cuda.max_memory_allocated() - before) / (images.numel() * images.element_size())
