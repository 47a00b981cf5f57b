"""Weights in the layouts that products read, made once, by one function, for all functions of a library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_OPAQUE = 8  # TVM's number for what is not fused


@dataclass
class Packs:
    """The packed weights that functions of a library ask for; the same layout of the same weight is one.

    Parameters
    ----------
    rows
        Rows of the products that the layouts are the best for.

    Attributes
    ----------
    made
        For each packed weight, by name: the function of tensor expressions, and the parameter that is the weight.
    """

    rows: int
    made: dict[str, tuple[Callable[[Any], Any], Any]] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)

    def variable(self, function: Callable[[Any], Any], weight: Any, form: str) -> Any:
        """The Relax variable for a weight, itself a parameter, in the form that the function gives it."""
        from tvm import relax, te

        name = f"{weight.name}, {form}"
        self.made.setdefault(name, (function, weight))
        if name not in self._used:
            result = function(te.placeholder([int(size) for size in weight.ty.shape], weight.ty.dtype))
            self._used[name] = relax.Var(name, relax.TensorType(result.shape, result.dtype))
        return self._used[name]

    def as_parameters(self, function: Any) -> Any:
        """The function with the packed weights that it has asked for as its last parameters, and no unused weight.

        What is asked for from then on is for the next function.
        """
        from tvm import relax

        n_input = int(function.attrs["num_input"])
        function = relax.analysis.remove_all_unused(function)
        used = set(relax.analysis.free_vars(function.body))
        left = [variable for i, variable in enumerate(function.params) if i < n_input or variable in used]
        packed = [variable for variable in self._used.values() if variable in used]
        self._used = {}
        return relax.Function([*left, *packed], function.body, function.ret_ty, function.is_pure, function.attrs)

    def add_function(self, module: Any, name: str) -> tuple[Any, list[str]]:
        """The module with a function that makes all of them, in order, and the names of its arguments."""
        from tvm import relax

        weights: dict[str, Any] = {}
        for _, weight in self.made.values():
            weights.setdefault(weight.name, relax.Var(weight.name, weight.ty))
        builder = relax.BlockBuilder(module)
        with builder.function(name, list(weights.values())):
            attributes = {"op_pattern": _OPAQUE}
            packed = [
                builder.emit(
                    builder.call_te(
                        function, weights[weight.name], primfunc_name_hint="pack", primfunc_attrs=attributes
                    )
                )
                for function, weight in self.made.values()
            ]
            builder.emit_func_output(builder.emit(relax.Tuple(packed)))
        return builder.get(), list(weights)
