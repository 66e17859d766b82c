"""What the variables of a result are, said by their attributes and not by their names.

Every variable of a result has ``attrs["role"]``, its part in attention (:class:`derivations.program.role.Role`), if it
has one, and the result's ``attrs["loss"]`` names its loss. Files of version 0.1 say neither; there the names tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from derivations.program.role import Role

if TYPE_CHECKING:
    import xarray as xr

FIRST_NAMES: Mapping[str, Role] = {
    "W": Role.VALUES,
    "A": Role.ATTENTION,
    "P": Role.ATTENTION,
    "s": Role.ATTENTION,
    "v": Role.EMBEDDINGS,
    "beta": Role.KTIW,
}
"""The names that version 0.1 gave, and what they were."""

ERROR, AGREEMENT = "error", "agreement"
"""What an attribute ``kind`` says of variables of a comparison; their attribute ``of`` says of what, or with what."""
_STATISTICS = ("_mean", "_low", "_high", "_predicted")
"""What the names of the band and of the prediction end in; they are like what they belong to."""

FIRST_LOSS = "loss"
"""So was the loss called, and nothing said so."""


def with_role(result: xr.Dataset, role: Role) -> list[str]:
    """The variables that play a part, in their order; none if there is none.

    Examples
    --------
    >>> import xarray as xr
    >>> found = xr.Dataset({"scores": ("input", [0.1, 0.2], {"role": "attention logits"})})
    >>> with_role(found, Role.ATTENTION), with_role(found, Role.KTIW)
    (['scores'], [])
    """
    if _says_nothing(result):
        return [str(name) for name in result.data_vars if FIRST_NAMES.get(str(name)) == role]
    return [str(name) for name, values in result.data_vars.items() if values.attrs.get("role") == role]


def of_kind(compared: xr.Dataset, kind: str) -> dict[str, str]:
    """The variables of a kind in a comparison, each with what it is the error of, or the agreement with.

    Where no variable says its kind, as in files of version 0.1 and where attributes were dropped, names tell.

    Examples
    --------
    >>> import xarray as xr
    >>> said = xr.Dataset({"gap": ("time", [0.1], {"kind": "error", "of": "W"}), "error_W": ("time", [0.3])})
    >>> of_kind(said, ERROR), of_kind(said.drop_attrs(), ERROR)
    ({'gap': 'W'}, {'error_W': 'W'})
    """
    attrs = {str(name): values.attrs for name, values in compared.data_vars.items()}
    if any("kind" in said for said in attrs.values()):
        found = {name: str(said["of"]) for name, said in attrs.items() if said.get("kind") == kind}
    else:
        found = {name: name.removeprefix(f"{kind}_") for name in attrs if name.startswith(f"{kind}_")}
    statistics = {f"{name}{end}" for name in found for end in _STATISTICS}
    return {name: of for name, of in found.items() if name not in statistics}


def loss_of(result: xr.Dataset) -> str | None:
    """The variable that is the loss, if there is one.

    Examples
    --------
    >>> import xarray as xr
    >>> loss_of(xr.Dataset({"misfit": ("time", [1.0, 0.5])}, attrs={"loss": "misfit"}))
    'misfit'
    """
    name = str(result.attrs.get("loss", FIRST_LOSS))
    return name if name in result.data_vars else None


def _says_nothing(result: xr.Dataset) -> bool:
    """Whether a result is of version 0.1, or made by hand."""
    return "loss" not in result.attrs and not any("role" in values.attrs for values in result.data_vars.values())
