extension TemplateRenderer {
    mutating func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        let line = expression.line
        try budget.charge(TemplateBudget.step, line)
        switch expression.kind {
        case .literal(let value): return .json(value)
        case .name(let name): return try find(name, line) ?? .undefined(name)
        case .list(let elements):
            var values: [JSONValue] = []
            for element in elements { values.append(try json(try evaluate(element), line)) }
            return try nested(.array(values), line)
        case .dictionary(let entries):
            var object = JSONObject()
            for (key, value) in entries {
                let key = try string(try evaluate(key), line)
                try budget.lookUp(key, in: object, line)
                object[key] = try json(try evaluate(value), line)
            }
            return try nested(.object(object), line)
        case .attribute(let base, let name): return try attribute(name, of: try evaluate(base), line)
        case .index(let base, let index): return try element(try evaluate(index), of: try evaluate(base), line)
        case .slice(let base, let start, let end, let step):
            return try slice(try evaluate(base), try bound(start), try bound(end), try bound(step) ?? 1, line)
        case .call(let callee, let arguments): return try call(callee, arguments)
        case .filter(let base, let name, let arguments):
            return try counted(filter, name, try evaluate(base), try evaluate(arguments, line), line)
        case .test(let base, let name, let arguments):
            return .bool(try test(name, try evaluate(base), try evaluate(arguments, line), line))
        case .not(let value): return .bool(!(try evaluate(value).isTrue))
        case .negative(let value): return try arithmetic("-", .integer(0), try json(try evaluate(value), line), line)
        case .binary(let symbol, let left, let right): return try binary(symbol, left, right, line)
        case .conditional(let condition, let value, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            return try otherwise.map { try evaluate($0) } ?? .undefined("the value of an if without else")
        }
    }

    func attribute(_ name: String, of value: TemplateValue, _ line: Int) throws -> TemplateValue {
        switch value {
        case .undefined: throw error(line, "\(name) of \(value.kind)")
        case .json(.object(let object)): return try member(name, of: object, line).map { .json($0) } ?? .undefined(name)
        case .json: return .undefined(name)
        case .namespace(let namespace):
            return try member(name, of: namespace.variables, line).map { .json($0) } ?? .undefined(name)
        }
    }

    func member(_ name: String, of object: JSONObject, _ line: Int) throws -> JSONValue? {
        try budget.lookUp(name, in: object, line)
        return object[name]
    }

    private func element(_ index: TemplateValue, of value: TemplateValue, _ line: Int) throws -> TemplateValue
    {
        switch (value, index) {
        case (_, .json(.string(let name))): return try attribute(name, of: value, line)
        case (.json(.array(let elements)), .json(.integer(let index))):
            let position = index < 0 ? index &+ elements.count : index
            return elements.indices.contains(position) ? .json(elements[position]) : .undefined("element \(index)")
        case (.json(.string(let text)), .json(.integer(let index))):
            try budget.read(text, line)
            let count = text.unicodeScalars.count
            let position = index < 0 ? index &+ count : index
            guard 0..<count ~= position else { return .undefined("character \(index)") }
            let scalars = text.unicodeScalars
            return .string(String(Character(scalars[scalars.index(scalars.startIndex, offsetBy: position)])))
        default: throw error(line, "cannot take the element \(index.kind) of \(value.kind)")
        }
    }

    private mutating func bound(_ expression: TemplateExpression?) throws -> Int? {
        guard let expression else { return nil }
        switch try evaluate(expression) {
        case .json(.null): return nil
        case .json(.integer(let value)): return value
        case let value: throw error(expression.line, "expected an integer, found \(value.kind)")
        }
    }

    private mutating func slice(
        _ value: TemplateValue, _ start: Int?, _ end: Int?, _ step: Int, _ line: Int
    ) throws -> TemplateValue {
        guard step != 0, step > -1000, step < 1000 else { throw error(line, "a slice with the step \(step)") }
        func indices(_ count: Int) -> [Int] {
            func place(_ bound: Int, _ range: ClosedRange<Int>) -> Int {
                min(max(bound < 0 ? bound &+ count : bound, range.lowerBound), range.upperBound)
            }
            if step > 0 {
                let first = start.map { place($0, 0...count) } ?? 0
                return Array(stride(from: first, to: end.map { place($0, 0...count) } ?? count, by: step))
            }
            let first = start.map { place($0, -1...(count - 1)) } ?? count - 1
            return Array(stride(from: first, to: end.map { place($0, -1...(count - 1)) } ?? -1, by: step))
        }
        switch value {
        case .json(.array(let elements)):
            return try made(indices(elements.count).map { elements[$0] }, line)
        case .json(.string(let text)):
            try budget.charge(2 * TemplateBudget.reading * text.utf8.count, line)
            let scalars = Array(text.unicodeScalars)
            var result = String.UnicodeScalarView()
            for index in indices(scalars.count) { result.append(scalars[index]) }
            return try made(String(result), line)
        default: throw error(line, "cannot slice \(value.kind)")
        }
    }

    private mutating func binary(
        _ symbol: String, _ leftSide: TemplateExpression, _ rightSide: TemplateExpression, _ line: Int
    ) throws -> TemplateValue {
        let left = try evaluate(leftSide)
        if symbol == "and" { return left.isTrue ? try evaluate(rightSide) : left }
        if symbol == "or" { return left.isTrue ? left : try evaluate(rightSide) }
        let right = try evaluate(rightSide)
        switch symbol {
        case "==": return .bool(try areEqual(left, right, line))
        case "!=": return .bool(try !areEqual(left, right, line))
        case "~": return try joined(try text(of: left, line), try text(of: right, line), line)
        case "in": return .bool(try contains(right, left, line))
        case "not in": return .bool(!(try contains(right, left, line)))
        case "<": return .bool(try precedes(left, right, line))
        case ">": return .bool(try precedes(right, left, line))
        case "<=": return .bool(try !precedes(right, left, line))
        case ">=": return .bool(try !precedes(left, right, line))
        default: return try arithmetic(symbol, try json(left, line), try json(right, line), line)
        }
    }

    func areEqual(_ left: TemplateValue, _ right: TemplateValue, _ line: Int) throws -> Bool {
        switch (left, right) {
        case (.undefined, .undefined): true
        case (.json(let left), .json(let right)): try areEqual(left, right, line)
        case (.namespace(let left), .namespace(let right)): left === right
        default: false
        }
    }

    /// Whether two values are equal in Python.
    private func areEqual(_ left: JSONValue, _ right: JSONValue, _ line: Int) throws -> Bool {
        try budget.charge(64, line)
        switch (left, right) {
        case (.null, .null): return true
        case (.integer(let left), .integer(let right)): return left == right
        case (.string(let left), .string(let right)):
            guard left.utf8.count == right.utf8.count else { return false }
            try budget.charge(left.utf8.count, line)
            return left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)):
            guard left.count == right.count else { return false }
            return try zip(left, right).allSatisfy { try areEqual($0, $1, line) }
        case (.object(let left), .object(let right)):
            guard left.entries.count == right.entries.count else { return false }
            return try left.entries.allSatisfy { entry in
                try member(entry.key, of: right, line).map { try areEqual(entry.value, $0, line) } ?? false
            }
        default:
            guard let left = left.numeric, let right = right.numeric else { return false }
            return left == right
        }
    }

    private func precedes(_ left: TemplateValue, _ right: TemplateValue, _ line: Int) throws -> Bool {
        switch (left, right) {
        case (.json(.string(let left)), .json(.string(let right))):
            try budget.charge(min(left.utf8.count, right.utf8.count), line)
            return left.comparedBytes(to: right) < 0
        case (.json(.integer(let left)), .json(.integer(let right))): return left < right
        case (.json(let left), .json(let right)):
            if let left = left.numeric, let right = right.numeric { return left < right }
        default: break
        }
        throw error(line, "cannot compare \(left.kind) with \(right.kind)")
    }

    func contains(_ container: TemplateValue, _ value: TemplateValue, _ line: Int) throws -> Bool {
        switch container {
        case .json(.string(let text)):
            let part = try string(value, line)
            try budget.charge(TemplateBudget.reading * text.utf8.count + part.utf8.count, line)
            return part.isEmpty || ByteSearch.first(Array(part.utf8), in: Array(text.utf8)) != nil
        case .json(.array(let elements)):
            guard case .json(let value) = value else { return false }
            return try elements.contains { try areEqual($0, value, line) }
        case .json(.object(let object)):
            guard case .json(.string(let key)) = value else { return false }
            return try member(key, of: object, line) != nil
        case .undefined: return false
        default: throw error(line, "cannot look inside \(container.kind)")
        }
    }

    private func arithmetic(
        _ symbol: String, _ left: JSONValue, _ right: JSONValue, _ line: Int
    ) throws -> TemplateValue {
        switch (symbol, left, right) {
        case ("+", .string(let left), .string(let right)): return try joined(left, right, line)
        case ("+", .array(let left), .array(let right)): return try made(left + right, line)
        case ("*", .string(let text), .integer(let count)), ("*", .integer(let count), .string(let text)):
            let (length, overflows) = text.utf8.count.multipliedReportingOverflow(by: max(count, 0))
            try budget.checkLength(overflows ? .max : length, line)
            return try made(length == 0 ? "" : String(repeating: text, count: count), line)
        case (_, .integer(let left), .integer(let right)) where symbol != "/":
            return .integer(try integer(symbol, left, right, line))
        default:
            guard let left = left.numeric, let right = right.numeric, symbol != "%", symbol != "//" else {
                throw error(line, "\(left.kind) \(symbol) \(right.kind) is not supported")
            }
            guard symbol != "/" || right != 0 else { throw error(line, "division by zero") }
            let result =
                symbol == "+"
                ? left + right : symbol == "-" ? left - right : symbol == "*" ? left * right : left / right
            guard result.isFinite else { throw error(line, "a number that is too large") }
            return .json(.number(result))
        }
    }

    private func joined(_ left: String, _ right: String, _ line: Int) throws -> TemplateValue {
        try budget.checkLength(left.utf8.count + right.utf8.count, line)
        return try made(left + right, line)
    }

    /// Whole numbers, with Python's division that rounds down.
    private func integer(_ symbol: String, _ left: Int, _ right: Int, _ line: Int) throws -> Int {
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case "+": result = left.addingReportingOverflow(right)
        case "-": result = left.subtractingReportingOverflow(right)
        case "*": result = left.multipliedReportingOverflow(by: right)
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
}
