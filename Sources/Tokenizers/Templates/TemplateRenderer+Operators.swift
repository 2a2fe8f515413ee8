import Foundation
import Support

extension TemplateRenderer {
    func compare(_ symbol: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int) throws -> Bool {
        switch symbol {
        case "==": try areEqual(left, right, line)
        case "!=": try !areEqual(left, right, line)
        case "in": try contains(right, left, line)
        case "not in": try !contains(right, left, line)
        case "<": try precedes(left, right, line)
        case ">": try precedes(right, left, line)
        case "<=": try precedes(left, right, orEqual: true, line)
        default: try precedes(right, left, orEqual: true, line)
        }
    }

    /// Whether two values are equal in Python.
    func areEqual(_ left: TemplateValue, _ right: TemplateValue, _ line: Int) throws -> Bool {
        try budget.charge(64, line)
        if let left = left.text, let right = right.text {
            guard left.utf8.count == right.utf8.count else { return false }
            try budget.charge(left.utf8.count, line)
            return left.hasSameBytes(as: right)
        }
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.integer(let left), .integer(let right)): return left == right
        case (.sequence(let left), .sequence(let right)):
            return try left.kind.name == right.kind.name && areEqual(left.elements, right.elements, line)
        case (.dictionary(let left), .dictionary(let right)):
            guard left.entries.count == right.entries.count else { return false }
            return try left.entries.allSatisfy { entry in
                try lookUp(entry.key, in: right, line).map { try areEqual(entry.value, $0, line) } ?? false
            }
        case (.object(let left), .object(let right)): return left === right
        case (.iterator(let left), .iterator(let right)): return left === right
        default:
            guard let left = left.numeric, let right = right.numeric else { return false }
            return left == right
        }
    }

    func areEqual(_ left: [TemplateValue], _ right: [TemplateValue], _ line: Int) throws -> Bool {
        try left.count == right.count && zip(left, right).allSatisfy { try areEqual($0, $1, line) }
    }

    func precedes(
        _ left: TemplateValue, _ right: TemplateValue, orEqual: Bool = false, _ line: Int
    ) throws -> Bool {
        try budget.charge(64, line)
        if let left = left.text, let right = right.text {
            try budget.charge(min(left.utf8.count, right.utf8.count), line)
            let order = left.comparedBytes(to: right)
            return order < 0 || orEqual && order == 0
        }
        if let left = left.whole, let right = right.whole { return left < right || orEqual && left == right }
        if let left = left.numeric, let right = right.numeric { return left < right || orEqual && left == right }
        if case .sequence(let first) = left, case .sequence(let second) = right, first.kind == second.kind,
            first.kind == .list || first.kind == .tuple
        {
            for (left, right) in zip(first.elements, second.elements) where try !areEqual(left, right, line) {
                return try precedes(left, right, orEqual: orEqual, line)
            }
            let (left, right) = (first.elements.count, second.elements.count)
            return left < right || orEqual && left == right
        }
        throw error(line, "cannot compare \(left.kind) with \(right.kind)")
    }

    func contains(_ container: TemplateValue, _ value: TemplateValue, _ line: Int) throws -> Bool {
        switch container {
        case .string(let text), .markup(let text):
            let part = try string(value, line)
            try budget.charge(TemplateBudget.reading * text.utf8.count + part.utf8.count, line)
            return part.isEmpty || ByteSearch.first(Array(part.utf8), in: Array(text.utf8)) != nil
        case .dictionary(let dictionary): return try lookUp(value, in: dictionary, line) != nil
        case .sequence, .iterator, .undefined:
            return try elements(of: container, line).contains { try areEqual($0, value, line) }
        default: throw error(line, "cannot look inside \(container.kind)")
        }
    }

    func arithmetic(
        _ symbol: String, _ left: TemplateValue, _ right: TemplateValue, _ line: Int
    ) throws -> TemplateValue {
        if symbol == "%", let format = left.text {
            return try made(left.like(try formatted(format, with: right, line)), line)
        }
        switch (symbol, left, right) {
        case ("+", .markup(let left), _) where right.text != nil:
            return try joined(left, TemplateText.escapedForHTML(right), line, isMarkup: true)
        case ("+", _, .markup(let right)) where left.text != nil:
            return try joined(TemplateText.escapedForHTML(left), right, line, isMarkup: true)
        case ("+", .string(let left), .string(let right)): return try joined(left, right, line)
        case ("+", .sequence(let first), .sequence(let second))
        where first.kind == second.kind && (first.kind == .list || first.kind == .tuple):
            return try made(.sequence(TemplateSequence(first.kind, first.elements + second.elements)), line)
        case ("*", _, _) where left.whole == nil && right.whole != nil: return try repeated(left, right, line)
        case ("*", _, _) where left.whole != nil && right.numeric == nil: return try repeated(right, left, line)
        default: break
        }
        if let left = left.whole, let right = right.whole, symbol != "/", symbol != "**" || right >= 0 {
            return .integer(try integer(symbol, left, right, line))
        }
        guard let left = left.numeric, let right = right.numeric else {
            throw error(line, "\(left.kind) \(symbol) \(right.kind) is not possible")
        }
        return .number(try number(symbol, left, right, line))
    }

    private func joined(_ left: String, _ right: String, _ line: Int, isMarkup: Bool = false) throws -> TemplateValue {
        try budget.checkLength(left.utf8.count + right.utf8.count, line)
        return try made(isMarkup ? .markup(left + right) : .string(left + right), line)
    }

    private func repeated(_ value: TemplateValue, _ times: TemplateValue, _ line: Int) throws -> TemplateValue {
        let count = max(times.whole ?? 0, 0)
        if let text = value.text {
            let (length, overflows) = text.utf8.count.multipliedReportingOverflow(by: count)
            try budget.checkLength(overflows ? .max : length, line)
            return try made(value.like(length == 0 ? "" : TemplateText.repeated(text, count)), line)
        }
        guard case .sequence(let sequence) = value, sequence.kind == .list || sequence.kind == .tuple else {
            if let left = value.numeric { return .number(try number("*", left, Double(count), line)) }
            throw error(line, "\(value.kind) * \(count) is not possible")
        }
        let (length, overflows) = sequence.elements.count.multipliedReportingOverflow(by: count)
        try budget.checkLength(overflows ? .max : length, line)
        try budget.charge(length * TemplateBudget.cell, line)
        let elements = (0..<length).map { sequence.elements[$0 % sequence.elements.count] }
        return try made(.sequence(TemplateSequence(sequence.kind, elements)), line)
    }

    /// Whole numbers, with Python's division that rounds down.
    private func integer(_ symbol: String, _ left: Int, _ right: Int, _ line: Int) throws -> Int {
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case "+": result = left.addingReportingOverflow(right)
        case "-": result = left.subtractingReportingOverflow(right)
        case "*": result = left.multipliedReportingOverflow(by: right)
        case "**": result = Self.power(left, right)
        default:
            guard right != 0 else { throw error(line, "division by zero") }
            let (quotient, overflow) = left.dividedReportingOverflow(by: right)
            let (remainder, _) = left.remainderReportingOverflow(dividingBy: right)
            let roundsDown = remainder != 0 && (remainder < 0) != (right < 0)
            if symbol == "%" { return roundsDown ? remainder + right : remainder }
            result = (roundsDown ? quotient - 1 : quotient, overflow)
        }
        guard !result.overflow else { throw error(line, "a number that is too large") }
        return result.partialValue
    }

    private static func power(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        // Only these stay small for every exponent.
        guard base.magnitude > 1 else { return (base == -1 && exponent % 2 == 0 || exponent == 0 ? 1 : base, false) }
        var result = 1
        for _ in 0..<min(exponent, 64) {
            let (next, overflow) = result.multipliedReportingOverflow(by: base)
            guard !overflow else { return (0, true) }
            result = next
        }
        return (result, exponent > 64)
    }

    private func number(_ symbol: String, _ left: Double, _ right: Double, _ line: Int) throws -> Double {
        guard !["/", "//", "%"].contains(symbol) || right != 0, symbol != "**" || left != 0 || right >= 0 else {
            throw error(line, "division by zero")
        }
        var remainder: Double {
            let value = fmod(left, right)
            return value != 0 && (value < 0) != (right < 0) ? value + right : value == 0 ? copysign(0, right) : value
        }
        switch symbol {
        case "+": return left + right
        case "-": return left - right
        case "*": return left * right
        case "/": return left / right
        case "//": return ((left - remainder) / right).rounded()
        case "%": return remainder
        default:
            let power = pow(left, right)
            guard power.isFinite || !left.isFinite || !right.isFinite else {
                throw error(line, "a number that is too large, or is not real")
            }
            return power
        }
    }
}
