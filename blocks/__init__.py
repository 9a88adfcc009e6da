"""Prefect blocks: typed settings; the only place where flows choose adapters."""

from blocks.platform import LOCAL, LocalPlatform, PlatformBlock, open_platform

__all__ = ["LOCAL", "LocalPlatform", "PlatformBlock", "open_platform"]
