"""A small writer of ONNX graphs: nodes are added by operator, constants once each, names are made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.errors import ExportError, MissingExtraError

if TYPE_CHECKING:
    import onnx

# Opset 13 is the first with integer Clip, LessOrEqual and axes as inputs all at once; 23 the last that was tried.
LOWEST_OPSET, DEFAULT_OPSET, HIGHEST_OPSET = 13, 17, 23
# An ONNX file is one protobuf message, and those end at 2 GiB.
MOST_BYTES = (1 << 31) - (1 << 20)

Shape = Sequence[int | str]


def onnx_package() -> Any:
    """The onnx package. Raises MissingExtraError where it is not installed."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise MissingExtraError("the format 'onnx'", "onnx", "onnx") from None
    return onnx


class GraphWriter:
    """Collects nodes, constants, inputs and outputs, and makes a checked model of them.

        writer = GraphWriter("twice")
        x = writer.input("x", np.int32, ("batch",))
        writer.output(writer.add("Mul", x, writer.constant(np.int32(2))), "y", np.int32, ("batch",))
        model = writer.model({"about": "an example"})

    opset   of the operators; raises ExportError outside LOWEST_OPSET..HIGHEST_OPSET
    """

    def __init__(self, name: str, opset: int = DEFAULT_OPSET) -> None:
        if not LOWEST_OPSET <= opset <= HIGHEST_OPSET:
            raise ExportError(f"onnx: opset {opset} is outside {LOWEST_OPSET}..{HIGHEST_OPSET}; leave it out")
        self._onnx = onnx_package()
        self.name, self.opset = name, opset
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[Any] = []
        self._bytes = 0
        self._count = 0
        self._root: GraphWriter = self

    def input(self, name: str, dtype: type, shape: Shape) -> str:
        self._inputs.append(self._value(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: type, shape: Shape) -> None:
        """Give a value to the outside under a name of its own."""
        self._nodes.append(
            self._onnx.helper.make_node("Identity", [value], [name], name=self._root._new_name("identity"))
        )
        self._outputs.append(self._value(name, dtype, shape))

    def constant(self, array: np.ndarray | np.generic) -> str:
        """The name of a constant; equal ones share it. Raises ExportError beyond what one ONNX file holds."""
        root = self._root
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in root._constants:
            root._bytes += array.nbytes
            if root._bytes > MOST_BYTES:
                raise ExportError(
                    f"onnx: {self.name}'s weights take more than the 2 GiB that one ONNX file holds, because every "
                    "delay is a whole matrix there; run the network file itself (delaytool verify NET)"
                )
            name = root._new_name("constant")
            root._constants[key] = name
            root._tensors.append(self._onnx.numpy_helper.from_array(array, name))
        return root._constants[key]

    def integers(self, *values: int) -> str:
        """A constant vector of int64: shapes, axes, positions."""
        return self.constant(np.array(values, np.int64))

    def add(self, operator: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return its output's name (of several outputs the first; see `add_many`)."""
        return self.add_many(operator, *inputs, n_outputs=n_outputs, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, n_outputs: int, **attributes: Any) -> list[str]:
        outputs = [self._root._new_name(operator.lower()) for _ in range(n_outputs)]
        self._nodes.append(self._onnx.helper.make_node(operator, list(inputs), outputs, name=outputs[0], **attributes))
        return outputs

    def cast(self, value: str, dtype: type) -> str:
        return self.add("Cast", value, to=self._element(dtype))

    def sum(self, values: Sequence[str]) -> str:
        """The sum of at least one value."""
        total = values[0]
        for value in values[1:]:
            total = self.add("Add", total, value)
        return total

    def body(self, name: str) -> GraphWriter:
        """A writer for a loop's body: it may use this one's values, and its constants go to the outermost graph."""
        inner = GraphWriter(name, self.opset)
        inner._root = self._root
        return inner

    def new_input(self, dtype: type, shape: Shape) -> str:
        """An input of a body, with a name made up."""
        return self.input(self._root._new_name("in"), dtype, shape)

    def new_output(self, value: str, dtype: type, shape: Shape) -> None:
        self.output(value, self._root._new_name("out"), dtype, shape)

    def graph(self) -> onnx.GraphProto:
        return self._onnx.helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._tensors)

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """The model, checked by onnx.checker with shape inference."""
        helper = self._onnx.helper
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(
            self.graph(),
            opset_imports=[opset],
            ir_version=helper.find_min_ir_version_for([opset]),
            producer_name="delaytool",
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _new_name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def _element(self, dtype: type) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _value(self, name: str, dtype: type, shape: Shape) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._element(dtype), list(shape))
