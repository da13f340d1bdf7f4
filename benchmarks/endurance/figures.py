"""Figures of what was outlasted, in the form of the other benchmarks."""

from benchmarks.figures import Figure


def at_most(name: str, value: float, limit: float, unit: str = "", seen: str = "") -> Figure:
    """Good where the value is no higher; `seen` is more to know of it."""
    return Figure(name, f"{value:.4g}{unit}", seen, f"≤ {limit:.4g}{unit}", value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "", seen: str = "") -> Figure:
    """Good where the value is no lower."""
    return Figure(name, f"{value:.4g}{unit}", seen, f"≥ {limit:.4g}{unit}", value >= limit)


def shown(name: str, value: str) -> Figure:
    """Not judged."""
    return Figure(name, value, "", "", None)
