"""Which variables of a trajectory play a role: by what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["with_role"]


def with_role(trajectory: xr.Dataset, role: str) -> list[str]:
    """The names of the variables that have a role (:class:`derivations.program.Role`).

    Examples
    --------
    >>> import xarray as xr
    >>> with_role(xr.Dataset({"W": ("input", [0.0], {"role": "values"})}), "values")
    ['W']
    """
    return [str(name) for name, value in trajectory.data_vars.items() if value.attrs.get("role") == str(role)]
