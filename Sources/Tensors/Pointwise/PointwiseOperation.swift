/// What a step of a ``PointwiseProgram`` computes of its operands a and b and its constant c.
enum PointwiseOperation: Sendable, CaseIterable {
    case add, subtract, multiply, divide
    /// a + c, c · a, c - a and c / a.
    case shift, scale, from, over
    /// The larger, and the smaller, of a and c.
    case atLeast, atMost
    case square, squareRoot, reciprocalSquareRoot, exp, log
    case sigmoid, logSigmoid, softplus, tanh, silu, gelu, geluTanh
    /// sigmoid(-a).
    case complement
    /// Derivatives of sigmoid, silu and the two forms of gelu.
    case sigmoidSlope, siluSlope, geluSlope, geluTanhSlope
    /// a where b is above, or below, c; elsewhere 0, and NaN where b is.
    case whereAbove, whereBelow

    /// Operands, one or two.
    var operands: Int {
        switch self {
        case .add, .subtract, .multiply, .divide, .whereAbove, .whereBelow: 2
        default: 1
        }
    }

    /// Whether the constant counts.
    var hasConstant: Bool {
        switch self {
        case .shift, .scale, .from, .over, .atLeast, .atMost, .whereAbove, .whereBelow: true
        default: false
        }
    }
}

extension PointwiseProgram {
    /// The gradients of the operands of `step` from the gradient `g` of its value `y`, nil where there is none.
    mutating func gradients(of step: Step, result y: Int, _ g: Int) -> (first: Int?, second: Int?) {
        let (a, b, c) = (step.first, step.second, step.constant)
        switch step.operation {
        case .add: return (g, g)
        case .subtract: return (g, add(.scale, g, constant: -1))
        case .multiply: return (add(.multiply, g, b), add(.multiply, g, a))
        case .divide:
            let share = add(.divide, g, b)
            return (share, add(.scale, add(.multiply, share, y), constant: -1))
        case .shift: return (g, nil)
        case .scale: return (add(.scale, g, constant: c), nil)
        case .from: return (add(.scale, g, constant: -1), nil)
        case .over:
            return (add(.scale, add(.multiply, g, add(.divide, y, a)), constant: -1), nil)
        case .atLeast: return (add(.whereAbove, g, a, constant: c), nil)
        case .atMost: return (add(.whereBelow, g, a, constant: c), nil)
        case .square: return (add(.multiply, g, add(.scale, a, constant: 2)), nil)
        case .squareRoot: return (add(.scale, add(.divide, g, y), constant: 0.5), nil)
        case .reciprocalSquareRoot:
            return (add(.scale, add(.multiply, g, add(.divide, y, a)), constant: -0.5), nil)
        case .exp: return (add(.multiply, g, y), nil)
        case .log: return (add(.divide, g, a), nil)
        case .sigmoid: return (add(.multiply, g, add(.sigmoidSlope, a)), nil)
        case .logSigmoid:
            return (add(.multiply, g, add(.complement, a)), nil)
        case .softplus: return (add(.multiply, g, add(.sigmoid, a)), nil)
        case .tanh:
            // Of sigmoid(2a), which keeps what 1 - tanh² would lose far from 0.
            let slope = add(.sigmoidSlope, add(.scale, a, constant: 2))
            return (add(.multiply, g, add(.scale, slope, constant: 4)), nil)
        case .silu: return (add(.multiply, g, add(.siluSlope, a)), nil)
        case .gelu: return (add(.multiply, g, add(.geluSlope, a)), nil)
        case .geluTanh: return (add(.multiply, g, add(.geluTanhSlope, a)), nil)
        case .complement, .sigmoidSlope, .siluSlope, .geluSlope, .geluTanhSlope, .whereAbove, .whereBelow:
            // Of gradients alone, of which no gradients are taken.
            return (nil, nil)
        }
    }
}
