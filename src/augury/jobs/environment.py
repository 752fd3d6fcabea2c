"""Versions and hardware, recorded in every file of results."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

ABSENT = "not installed"


def environment(device: torch.device | str = "cpu") -> dict[str, str]:
    """Versions of the libraries that compute, and the name of the device."""
    packages = {name: installed_version(name) or ABSENT for name in ("augury", "torch", "torchvision", "numpy", "pillow")}
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {**packages, "python": platform.python_version(), "device": name, "threads": str(torch.get_num_threads())}


def installed_version(name: str) -> str | None:
    """A distribution's version; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"
