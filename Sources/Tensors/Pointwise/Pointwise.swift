/// A number that is computed from one element of each input of ``Tensor/pointwise(_:as:_:)-(Tensor,_,_)``, by
/// operators, constants and the functions below. What is written twice is computed once.
///
///     let mixed = try Tensor.pointwise(x, y, gate) { x, y, gate in x + (y - x) * .sigmoid(gate) }
///
/// On a GPU the expression becomes the text of one kernel, on the processor steps over blocks that stay in the first
/// cache. NaN passes through all functions.
public struct Pointwise: Sendable {
    let node: Node

    /// An input, or an operation on other nodes.
    final class Node: Sendable {
        enum Kind: Sendable {
            case input
            case operation(PointwiseOperation, Node, Node?, constant: Float)
        }

        let kind: Kind
        /// Which input.
        let input: Int

        init(_ kind: Kind, input: Int = -1) { (self.kind, self.input) = (kind, input) }
    }

    /// The element of input `index`.
    init(input index: Int) { node = Node(.input, input: index) }

    private init(_ operation: PointwiseOperation, _ x: Pointwise, _ y: Pointwise? = nil, constant: Float = 0) {
        node = Node(.operation(operation, x.node, y?.node, constant: constant))
    }

    // MARK: Arithmetic

    /// x + y.
    public static func + (x: Pointwise, y: Pointwise) -> Pointwise { Pointwise(.add, x, y) }
    /// x - y.
    public static func - (x: Pointwise, y: Pointwise) -> Pointwise { Pointwise(.subtract, x, y) }
    /// x · y.
    public static func * (x: Pointwise, y: Pointwise) -> Pointwise { Pointwise(.multiply, x, y) }
    /// x / y.
    public static func / (x: Pointwise, y: Pointwise) -> Pointwise { Pointwise(.divide, x, y) }
    /// -x.
    public static prefix func - (x: Pointwise) -> Pointwise { -1 * x }

    /// x + c.
    public static func + (x: Pointwise, c: Float) -> Pointwise { Pointwise(.shift, x, constant: c) }
    /// c + x.
    public static func + (c: Float, x: Pointwise) -> Pointwise { x + c }
    /// x - c.
    public static func - (x: Pointwise, c: Float) -> Pointwise { x + -c }
    /// c - x.
    public static func - (c: Float, x: Pointwise) -> Pointwise { Pointwise(.from, x, constant: c) }
    /// x · c.
    public static func * (x: Pointwise, c: Float) -> Pointwise { Pointwise(.scale, x, constant: c) }
    /// c · x.
    public static func * (c: Float, x: Pointwise) -> Pointwise { x * c }
    /// x / c, which is x · (1 / c).
    public static func / (x: Pointwise, c: Float) -> Pointwise { x * (1 / c) }
    /// c / x.
    public static func / (c: Float, x: Pointwise) -> Pointwise { Pointwise(.over, x, constant: c) }

    // MARK: Functions

    /// The larger of x and c. The gradient is 0 where x is c, or less.
    public static func max(_ x: Pointwise, _ c: Float) -> Pointwise { Pointwise(.atLeast, x, constant: c) }
    /// The smaller of x and c. The gradient is 0 where x is c, or more.
    public static func min(_ x: Pointwise, _ c: Float) -> Pointwise { Pointwise(.atMost, x, constant: c) }
    /// The larger of x and 0.
    public static func relu(_ x: Pointwise) -> Pointwise { max(x, 0) }
    /// x².
    public static func squared(_ x: Pointwise) -> Pointwise { Pointwise(.square, x) }
    /// √x.
    public static func sqrt(_ x: Pointwise) -> Pointwise { Pointwise(.squareRoot, x) }
    /// 1 / √x.
    public static func rsqrt(_ x: Pointwise) -> Pointwise { Pointwise(.reciprocalSquareRoot, x) }
    /// eˣ.
    public static func exp(_ x: Pointwise) -> Pointwise { Pointwise(.exp, x) }
    /// The natural logarithm of x.
    public static func log(_ x: Pointwise) -> Pointwise { Pointwise(.log, x) }
    /// 1 / (1 + e⁻ˣ).
    public static func sigmoid(_ x: Pointwise) -> Pointwise { Pointwise(.sigmoid, x) }
    /// log(sigmoid(x)), finite for every finite x.
    public static func logSigmoid(_ x: Pointwise) -> Pointwise { Pointwise(.logSigmoid, x) }
    /// log(1 + eˣ), finite for every finite x.
    public static func softplus(_ x: Pointwise) -> Pointwise { Pointwise(.softplus, x) }
    /// The hyperbolic tangent of x.
    public static func tanh(_ x: Pointwise) -> Pointwise { Pointwise(.tanh, x) }
    /// x · sigmoid(x).
    public static func silu(_ x: Pointwise) -> Pointwise { Pointwise(.silu, x) }
    /// ``Activation/gelu``.
    public static func gelu(_ x: Pointwise) -> Pointwise { Pointwise(.gelu, x) }
    /// ``Activation/geluTanh``.
    public static func geluTanh(_ x: Pointwise) -> Pointwise { Pointwise(.geluTanh, x) }
    /// An activation of x.
    public static func activated(_ x: Pointwise, _ activation: Activation) -> Pointwise {
        switch activation {
        case .silu: silu(x)
        case .gelu: gelu(x)
        case .geluTanh: geluTanh(x)
        }
    }
}
