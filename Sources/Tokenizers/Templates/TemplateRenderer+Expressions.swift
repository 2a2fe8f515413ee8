extension TemplateRenderer {
    func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        try budget.charge(TemplateBudget.step, expression.line)
        return try deeper(expression.line) { try value(of: expression) }
    }

    private func value(of expression: TemplateExpression) throws -> TemplateValue {
        let line = expression.line
        switch expression.kind {
        case .literal(let value): return TemplateValue(value)
        case .name(let name): return try find(name, line) ?? .undefined(name)
        case .list(let elements):
            return try list(try elements.map { try data(try evaluate($0), line) }, line)
        case .tuple(let elements):
            return try made(.tuple(try elements.map { try data(try evaluate($0), line) }), line)
        case .dictionary(let entries):
            var dictionary = TemplateDictionary()
            for (key, value) in entries { try set(try evaluate(key), try evaluate(value), in: &dictionary, line) }
            return try made(.dictionary(dictionary), line)
        case .attribute(let base, let name): return try attribute(name, of: try evaluate(base), line)
        case .index(let base, let index):
            let value = try evaluate(base)
            return try element(try evaluate(index), of: value, line)
        case .slice(let base, let start, let end, let step):
            return try slice(try evaluate(base), try bound(start), try bound(end), try bound(step) ?? 1, line)
        case .call(let callee, let arguments): return try call(callee, try evaluate(arguments, callee.line))
        case .filter(let base, let name, let arguments):
            let value = try evaluate(base)
            return try filter(name, value, try evaluate(arguments, line), line)
        case .test(let base, let name, let arguments):
            let value = try evaluate(base)
            return .bool(try test(name, value, try evaluate(arguments, line), line))
        case .not(let value): return .bool(!(try evaluate(value).isTrue))
        case .signed(let isNegative, let operand):
            let value = try evaluate(operand)
            guard value.numeric != nil else {
                throw error(line, "\(isNegative ? "-" : "+") of \(value.kind)")
            }
            return try arithmetic(isNegative ? "-" : "+", .integer(0), value, line)
        case .binary(let symbol, let left, let right): return try binary(symbol, left, right, line)
        case .comparison(let first, let operands): return try comparison(first, operands, line)
        case .concatenation(let operands):
            var joined = ""
            for operand in operands {
                let part = try text(of: try evaluate(operand), line)
                try budget.checkLength(joined.utf8.count + part.utf8.count, line)
                joined += part
            }
            return try made(.string(joined), line)
        case .conditional(let condition, let value, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            return try otherwise.map { try evaluate($0) } ?? .undefined("the value of an if without else")
        }
    }

    /// `value.name`: a method or an attribute, and then the value of the key.
    func attribute(_ name: String, of value: TemplateValue, _ line: Int) throws -> TemplateValue {
        if case .undefined = value { throw error(line, "\(name) of \(value.kind)") }
        if let member = member(name, of: value) { return member }
        guard case .dictionary(let dictionary) = value else { return .undefined(name) }
        return try lookUp(.string(name), in: dictionary, line) ?? .undefined(name)
    }

    /// `value[index]`: the value of the key or the element, and then a method or an attribute.
    func element(_ index: TemplateValue, of value: TemplateValue, _ line: Int) throws -> TemplateValue {
        let missing = TemplateValue.undefined("element \(index.kind)")
        func place(_ count: Int) -> Int? {
            guard let index = index.whole else { return nil }
            let position = index < 0 ? index &+ count : index
            return 0..<count ~= position ? position : nil
        }
        switch value {
        case .undefined: throw error(line, "\(index.kind) of \(value.kind)")
        case .dictionary(let dictionary):
            if case .dictionary = index { return missing }
            if index.list == nil, let found = try lookUp(index, in: dictionary, line) { return found }
        case .sequence(let sequence) where sequence.isIndexed:
            if let place = place(sequence.elements.count) { return sequence.elements[place] }
        case .string(let text), .markup(let text):
            guard index.whole != nil else { break }
            try budget.read(text, line)
            let scalars = text.unicodeScalars
            guard let place = place(scalars.count) else { return missing }
            return value.like(String(Character(scalars[scalars.index(scalars.startIndex, offsetBy: place)])))
        default: break
        }
        return index.text.flatMap { member($0, of: value) } ?? missing
    }

    private func bound(_ expression: TemplateExpression?) throws -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression)
        return value.isNone ? nil : try whole(value, expression.line)
    }

    private func slice(
        _ value: TemplateValue, _ start: Int?, _ end: Int?, _ step: Int, _ line: Int
    ) throws -> TemplateValue {
        guard step != 0, step > -1_000_000_000, step < 1_000_000_000 else {
            throw error(line, "a slice with the step \(step)")
        }
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
        case .sequence(let sequence) where sequence.isIndexed:
            let elements = indices(sequence.elements.count).map { sequence.elements[$0] }
            return try sequence.kind == .tuple ? made(.tuple(elements), line) : list(elements, line)
        case .string(let text), .markup(let text):
            try budget.charge(2 * TemplateBudget.reading * text.utf8.count, line)
            let scalars = Array(text.unicodeScalars)
            return try made(value.like(TemplateText.joined(indices(scalars.count).lazy.map { scalars[$0] })), line)
        case .undefined: throw error(line, "a slice of \(value.kind)")
        // Python finds no such element, and Jinja says that it is undefined.
        default: return .undefined("a slice of \(value.kind)")
        }
    }

    private func binary(
        _ symbol: String, _ leftSide: TemplateExpression, _ rightSide: TemplateExpression, _ line: Int
    ) throws -> TemplateValue {
        let left = try evaluate(leftSide)
        switch symbol {
        case "and": return left.isTrue ? try evaluate(rightSide) : left
        case "or": return left.isTrue ? left : try evaluate(rightSide)
        default: return try arithmetic(symbol, left, try evaluate(rightSide), line)
        }
    }

    private func comparison(
        _ first: TemplateExpression, _ operands: [(symbol: String, value: TemplateExpression)], _ line: Int
    ) throws -> TemplateValue {
        var left = try evaluate(first)
        for (symbol, operand) in operands {
            let right = try evaluate(operand)
            guard try compare(symbol, left, right, line) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }
}
