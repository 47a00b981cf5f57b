"""Chooses how each operator of a Relax module is computed: products, softmax and norms by our own expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from lts.backends.stored import Stored
from lts.backends.tvm import approximate, products, rows
from lts.backends.tvm.packs import Packs
from lts.backends.tvm.stored_products import StoredProducts
from lts.backends.tvm.tiles import Tiles
from lts.errors import MeasurementError

# TVM's numbers for kinds of operators, which say what may be fused with what.
_FUSES_ELEMENTS = 4
_OPAQUE = 8
# Up to this many rows, a product is dot products; with more, the right side is packed, and vectors run along columns.
_MOST_DOT_ROWS = 4
_UNARY: dict[str, Callable[[Any], Any]] = {
    "relax.exp": approximate.exp,
    "relax.tanh": approximate.tanh,
    "relax.erf": approximate.erf,
    "relax.sigmoid": approximate.sigmoid,
    "relax.sin": approximate.sin,
    "relax.cos": approximate.cos,
}


@dataclass
class Special:
    """What one function has besides operators of the standard, by the names of its parameters.

    Attributes
    ----------
    stored
        Parameters that stand for matrices stored in another form. They are gone from the result.
    placed
        Parameters that stand for the right side of a product that is something else: what makes it, from a builder,
        the parameters by name, and the left side. They are gone, too.
    packs
        Where packed weights become parameters; None where they are packed in the function.
    """

    stored: Mapping[str, Stored] = field(default_factory=dict)
    placed: Mapping[str, Callable[[Any, Mapping[str, Any], Any], Any]] = field(default_factory=dict)
    packs: Packs | None = None


def rewrite(module: Any, tiles: Tiles, special: Mapping[str, Special] | None = None) -> Any:
    """Replace products, softmax, norms and transcendental functions of ``main`` by calls of TensorIR functions.

    Parameters
    ----------
    module
        A `tvm.IRModule` as the importer makes it; the attribute ``num_input`` of a function says how many parameters
        are inputs. The others are weights, which may be packed beforehand.
    tiles
        Register tiles of the target.
    special
        The functions to rewrite, by name, with what is special about them; by default ``main``, with nothing.

    Raises
    ------
    MeasurementError
        When such a matrix is used by something else than a product.
    """
    from tvm import relax

    special = special or {"main": Special()}
    module = _with_rms_norm(relax, module, special)
    mutator = _mutator(relax)(module, tiles)
    for name, own in special.items():
        main = module[name]
        mutator.begin(main, own)
        function = mutator.visit_expr(main)
        if own.packs is not None:
            function = own.packs.as_parameters(function)
        if own.stored or own.placed:
            function = _without(relax, function, {*own.stored, *own.placed})
        mutator.builder_.update_func(module.get_global_var(name), function)
    return relax.transform.DeadCodeElimination(list(special))(mutator.builder_.get())


def _without(relax: Any, function: Any, names: Set[str]) -> Any:
    """The function without parameters that it does not use."""
    function = relax.analysis.remove_all_unused(function)
    used = {variable.name for variable in relax.analysis.free_vars(function.body)}
    if names & used:
        raise MeasurementError(f"the model uses the stored matrix '{min(names & used)}' in more than products")
    left = [variable for variable in function.params if variable.name not in names]
    return relax.Function(left, function.body, function.ret_ty, function.is_pure, function.attrs)


def _with_rms_norm(relax: Any, module: Any, names: Iterable[str]) -> Any:
    """Recognize ``x / sqrt(mean(x ** 2) + epsilon) * scale``."""
    from tvm.relax.dpl import is_const, is_op, rewrite_call, wildcard

    x, scale, epsilon, two = wildcard(), wildcard(), is_const(), is_const()
    mean = is_op("relax.mean")(is_op("relax.power")(x, two))
    root = is_op("relax.sqrt")(is_op("relax.add")(mean, epsilon))
    pattern = is_op("relax.multiply")(is_op("relax.divide")(x, root), scale)

    def replace(match: Any, found: Any) -> Any:
        call = found[mean]
        last = len(found[x].ty.shape) - 1
        fits = (
            float(found[two].value.numpy()) == 2.0
            and [int(axis) for axis in call.attrs.axis] in ([-1], [last])
            and len(found[scale].ty.shape) == 1
            and found[epsilon].value.numpy().size == 1
        )
        if not fits:
            return match
        return relax.op.nn.rms_norm(found[x], found[scale], [-1], float(found[epsilon].value.numpy()))

    module = module.clone()
    for name in names:
        module[name] = rewrite_call(pattern, replace, module[name])
    return module


def _mutator(relax: Any) -> Any:
    """The class that rewrites; defined here because its base class is TVM's, which is imported late."""
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any, tiles: Tiles) -> None:
            super().__init__(module)
            self.tiles = tiles

        def begin(self, function: Any, special: Special) -> None:
            """What comes is a function."""
            self.special = special
            self.parameters = {variable.name: variable for variable in function.params}
            self.weights = {variable.name for variable in function.params[int(function.attrs["num_input"]) :]}
            self.rows = special.packs.rows if special.packs is not None else None
            self.with_stored = StoredProducts(self._pack, self._product, self.tiles, self.rows)

        def visit_call_(self, call: Any) -> Any:
            call = self.visit_expr_post_order(call)
            name = getattr(call.op, "name", "")
            if name in _UNARY and call.ty.dtype == "float32":
                # An expression as long as a sine is not fused: it would be computed again wherever it is used.
                pattern = _OPAQUE if name in ("relax.sin", "relax.cos") else None
                return self._te(_elementwise(_UNARY[name]), call.args[0], hint=name.split(".")[-1], pattern=pattern)
            method = getattr(self, name.replace("relax.", "").replace(".", "_"), None) if name else None
            return call if method is None else method(call)

        def _te(self, function: Any, *args: Any, hint: str, pattern: int | None = None) -> Any:
            attributes = {} if pattern is None else {"op_pattern": pattern}
            return self.builder_.call_te(function, *args, primfunc_name_hint=hint, primfunc_attrs=attributes)

        def _product(self, function: Any, *args: Any, hint: str = "matmul") -> Any:
            return self._te(function, *args, hint=hint, pattern=_FUSES_ELEMENTS)

        def _pack(self, function: Any, weight: Any, form: str) -> Any:
            if self.special.packs is not None:
                return self.special.packs.variable(function, weight, form)
            return self.builder_.emit(self._te(function, weight, hint="pack", pattern=_OPAQUE))

        def _transposed(self, expr: Any) -> Any:
            """The expression whose last two dimensions `expr` exchanges; None if it is not such a transpose."""
            value = self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
            if isinstance(value, relax.Call) and getattr(value.op, "name", "") == "relax.permute_dims":
                rank = len(value.args[0].ty.shape)
                axes = (
                    range(rank)[::-1] if value.attrs.axes is None else [int(axis) % rank for axis in value.attrs.axes]
                )
                if list(axes) == [*range(rank - 2), rank - 1, rank - 2]:
                    return value.args[0]
            return None

        def matmul(self, call: Any) -> Any:
            x, y = call.args
            if isinstance(y, relax.Var) and y.name in self.special.placed:
                return self.special.placed[y.name](self.builder_, self.parameters, x)
            sizes = [_sizes(x), _sizes(y)]
            if min(map(len, sizes)) < 2 or call.ty.dtype != "float32" or len(sizes[0]) < len(sizes[1]):
                return call
            base = self._transposed(y)
            weight = y if base is None else base
            if isinstance(weight, relax.Var) and weight.name in self.weights and len(sizes[1]) == 2:
                return self._weighted(x, weight, base is not None)
            if any(a != b and b != 1 for a, b in zip(sizes[0][:-2][::-1], sizes[1][:-2][::-1], strict=False)):
                return call
            if base is not None and sizes[0][-2] <= _MOST_DOT_ROWS:
                return self._product(lambda a, b: products.dot_product(a, b, self.tiles), x, base, hint="dot")
            return self._product(lambda a, b: products.batched_product(a, b, base is not None, self.tiles), x, weight)

        def _weighted(self, x: Any, weight: Any, transposed: bool) -> Any:
            *lead, k = _sizes(x)
            n = _sizes(weight)[0 if transposed else 1]
            m = 1
            for size in lead:
                m *= size
            flat = x if len(lead) == 1 else self.builder_.emit(relax.op.reshape(x, (m, k)))
            stored = self.special.stored.get(weight.name)
            if stored is not None:
                values = self.parameters[stored.values]
                scales = None if stored.scales is None else self.parameters[stored.scales]
                y = self.with_stored(flat, stored, values, scales, transposed)
            elif transposed and m == 1:
                y = self._product(lambda a, b: products.dot_product(a, b, self.tiles), flat, weight, hint="dot")
            else:
                columns = self.tiles.of_product(self.rows or m, n)[1]
                form = f"{columns} columns{' transposed' * transposed}"
                packed = self._pack(lambda w: products.pack(w, columns, transposed), weight, form)
                y = self._product(lambda a, p: products.packed_product(a, p, n, self.tiles), flat, packed)
            return y if len(lead) == 1 else relax.op.reshape(self.builder_.emit(y), (*lead, n))

        def nn_softmax(self, call: Any) -> Any:
            return self._softmax(call, False)

        def nn_log_softmax(self, call: Any) -> Any:
            return self._softmax(call, True)

        def _softmax(self, call: Any, logarithm: bool) -> Any:
            if int(call.attrs.axis) not in (-1, len(call.ty.shape) - 1) or call.ty.dtype != "float32":
                return call
            return self._te(
                lambda x: rows.softmax(x, self.tiles.lanes, logarithm), call.args[0], hint="softmax", pattern=_OPAQUE
            )

        def take(self, call: Any) -> Any:
            table, indices = call.args
            if str(call.attrs.mode) != "fast" or int(call.attrs.axis or 0) != 0:
                return call
            return self._te(_gather, table, indices, hint="gather")

        def cumsum(self, call: Any) -> Any:
            # TVM's own version starts threads, however short the sums are.
            last = len(call.ty.shape) - 1
            if int(call.attrs.axis) not in (-1, last) or call.attrs.exclusive or call.ty.dtype != call.args[0].ty.dtype:
                return call
            return self._te(rows.running_sum, call.args[0], hint="cumsum")

        def nn_layer_norm(self, call: Any) -> Any:
            last = len(call.ty.shape) - 1
            if [int(axis) for axis in call.attrs.axes] not in ([-1], [last]) or call.ty.dtype != "float32":
                return call
            epsilon = float(call.attrs.epsilon)
            return self._te(
                lambda x, scale, bias: rows.layer_norm(x, scale, bias, epsilon, self.tiles.lanes),
                *call.args,
                hint="layer_norm",
                pattern=_OPAQUE,
            )

        def nn_rms_norm(self, call: Any) -> Any:
            last = len(call.ty.shape) - 1
            if [int(axis) for axis in call.attrs.axes] not in ([-1], [last]) or call.ty.dtype != "float32":
                return call
            epsilon = float(call.attrs.epsilon)
            return self._te(
                lambda x, scale: rows.rms_norm(x, scale, epsilon, self.tiles.lanes),
                *call.args,
                hint="rms_norm",
                pattern=_OPAQUE,
            )

    return Rewriter


def _elementwise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from tvm import te

    return lambda x: te.compute(x.shape, lambda *index: function(x[index]), name="element")


def _gather(table: Any, indices: Any) -> Any:
    """Rows of a table, or what else its first dimension has."""
    from tvm import te

    rank = len(indices.shape)
    shape = (*indices.shape, *table.shape[1:])
    return te.compute(shape, lambda *i: table[(indices[i[:rank]], *i[rank:])], name="gather")


def _sizes(expr: Any) -> list[int]:
    return [int(size) for size in expr.ty.shape]
