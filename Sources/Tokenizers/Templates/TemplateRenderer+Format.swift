extension TemplateRenderer {
    /// `format % values`, as Python writes it.
    func formatted(_ format: String, with values: TemplateValue, _ line: Int) throws -> String {
        var rest = Array(format.unicodeScalars)[...]
        var positional: [TemplateValue] = [values]
        if case .sequence(let sequence) = values, sequence.kind == .tuple { positional = sequence.elements }
        var used = 0, result = ""
        func take() throws -> TemplateValue {
            guard used < positional.count else { throw error(line, "not enough values for the format") }
            defer { used += 1 }
            return positional[used]
        }
        func count() throws -> Int? {
            if rest.first == "*" {
                rest.removeFirst()
                return try whole(try take(), line)
            }
            var digits = ""
            while let digit = rest.first, "0"..."9" ~= digit {
                digits.unicodeScalars.append(digit)
                rest.removeFirst()
            }
            guard !digits.isEmpty else { return nil }
            guard let count = Int(digits) else { throw error(line, "a number that is too large in a format") }
            return count
        }
        var usesKeys = false
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            var value: TemplateValue?
            if rest.first == "(" {
                guard let end = rest.firstIndex(of: ")") else {
                    throw error(line, "a format with a key without an end")
                }
                guard case .dictionary(let dictionary) = values else {
                    throw error(line, "a format that needs a dictionary")
                }
                let key = TemplateText.joined(rest[(rest.startIndex + 1)..<end])
                guard let found = try lookUp(.string(key), in: dictionary, line) else {
                    throw error(line, "no \"\(key)\" for the format")
                }
                value = found
                usesKeys = true
                rest = rest[(end + 1)...]
            }
            var specification = PythonFormat()
            while let flag = rest.first, "-+ #0".unicodeScalars.contains(flag) {
                specification.setFlag(flag)
                rest.removeFirst()
            }
            specification.width = try count() ?? 0
            if rest.first == "." {
                rest.removeFirst()
                specification.precision = try count() ?? 0
            }
            guard let type = rest.popFirst() else { throw error(line, "a format that ends in the middle") }
            if type == "%" {
                result += "%"
                continue
            }
            result += try percent(type, try value ?? take(), specification, line)
            try budget.charge(result.utf8.count, line)
            try budget.checkLength(result.utf8.count, line)
        }
        if used < positional.count, !usesKeys {
            // A dictionary or a list may have more than is asked for.
            if case .dictionary = values { return result }
            guard values.list != nil else { throw error(line, "a format that does not use all values") }
        }
        return result
    }

    private func percent(
        _ type: Unicode.Scalar, _ value: TemplateValue, _ format: PythonFormat, _ line: Int
    ) throws -> String {
        var format = format
        switch type {
        case "s", "r", "a":
            format.fillsWithZeros = false
            if format.alignment == nil { format.alignment = ">" }
            let text = try type == "s" ? text(of: value, line) : value.representation
            return try written(format, text: text, line)
        case "d", "i", "u", "x", "X", "o":
            var whole = value.whole
            if case .number(let number) = value, type != "x", type != "X", type != "o" {
                whole = Int(exactly: number.rounded(.towardZero))
            }
            guard let whole else { throw error(line, "%\(type) takes a whole number, found \(value.kind)") }
            format.type = type == "i" || type == "u" ? "d" : Character(type)
            if let digits = format.precision { format.leastDigits = digits }
            format.precision = nil
            return try written(format, .integer(whole), line)
        case "e", "E", "f", "F", "g", "G":
            guard let number = value.numeric else { throw error(line, "%\(type) takes a number, found \(value.kind)") }
            format.type = Character(type)
            return try written(format, .number(number), line)
        case "c":
            if let text = value.text, text.unicodeScalars.count == 1 { return try written(format, text: text, line) }
            guard let scalar = value.whole.flatMap({ UInt32(exactly: $0) }).flatMap({ Unicode.Scalar($0) }) else {
                throw error(line, "%c takes a character")
            }
            return try written(format, text: String(Character(scalar)), line)
        default: throw error(line, "the format %\(type) is not known")
        }
    }

    /// `format.format(values)`, as Python writes it.
    func formatted(_ format: String, _ arguments: Arguments, isMap: Bool, _ line: Int) throws -> String {
        var arguments = arguments
        if isMap {
            guard case .dictionary(let dictionary)? = arguments.positional.first else {
                throw error(line, "format_map() needs a dictionary")
            }
            arguments = Arguments(named: try dictionary.entries.map { (try string($0.key, line), $0.value) })
        }
        var next = 0
        return try replacingFields(Array(format.unicodeScalars)[...], arguments, &next, depth: 0, line)
    }

    private func replacingFields(
        _ format: ArraySlice<Unicode.Scalar>, _ arguments: Arguments, _ next: inout Int, depth: Int, _ line: Int
    ) throws -> String {
        guard depth < 3 else { throw error(line, "a format with too many fields in one another") }
        var rest = format, result = ""
        while let scalar = rest.popFirst() {
            if scalar == "{" || scalar == "}", rest.first == scalar {
                rest.removeFirst()
                result.unicodeScalars.append(scalar)
            } else if scalar == "}" {
                throw error(line, "a single } in a format")
            } else if scalar == "{" {
                var open = 1
                guard
                    let end = rest.firstIndex(where: {
                        open += $0 == "{" ? 1 : $0 == "}" ? -1 : 0
                        return open == 0
                    })
                else { throw error(line, "a single { in a format") }
                result += try field(rest[..<end], arguments, &next, depth: depth, line)
                rest = rest[(end + 1)...]
            } else {
                result.unicodeScalars.append(scalar)
            }
            try budget.checkLength(result.utf8.count, line)
        }
        return result
    }

    /// What stands for `name!conversion:specification`.
    private func field(
        _ field: ArraySlice<Unicode.Scalar>, _ arguments: Arguments, _ next: inout Int, depth: Int, _ line: Int
    ) throws -> String {
        let colon = field.firstIndex(of: ":") ?? field.endIndex
        var name = field[..<colon], conversion: Unicode.Scalar?
        if name.count >= 2, name[name.endIndex - 2] == "!" {
            conversion = name.last
            name = name.dropLast(2)
        }
        var value = try fieldValue(TemplateText.joined(name), arguments, &next, line)
        let specification = try replacingFields(field[colon...].dropFirst(), arguments, &next, depth: depth + 1, line)
        switch conversion {
        case nil: break
        case "s": value = .string(try text(of: value, line))
        case "r", "a": value = .string(value.representation)
        default: throw error(line, "a format with an unknown conversion")
        }
        if specification.isEmpty { return try text(of: value, line) }
        guard let format = PythonFormat(specification) else {
            throw error(line, "the format \"\(specification)\" is not known")
        }
        if value.text == nil, value.numeric != nil, format.type != "s" { return try written(format, value, line) }
        guard value.text != nil || value.isUndefined, format.type == nil || format.type == "s" else {
            throw error(line, "the format \"\(specification)\" for \(value.kind)")
        }
        return try written(format, text: try text(of: value, line), line)
    }

    private func fieldValue(
        _ name: String, _ arguments: Arguments, _ next: inout Int, _ line: Int
    ) throws -> TemplateValue {
        var path = name.split(separator: ".", omittingEmptySubsequences: false).flatMap { part in
            part.split(separator: "[", omittingEmptySubsequences: false).map {
                $0.hasSuffix("]") ? String($0.dropLast()) : String($0)
            }
        }
        var first = path.removeFirst()
        if first.isEmpty {
            first = "\(next)"
            next += 1
        }
        var value: TemplateValue
        if let index = Int(first) {
            guard arguments.positional.indices.contains(index) else {
                throw error(line, "no value \(index) for the format")
            }
            value = arguments.positional[index]
        } else {
            guard let named = arguments.named.first(where: { $0.name == first }) else {
                throw error(line, "no \"\(first)\" for the format")
            }
            value = named.value
        }
        for part in path {
            value = try element(Int(part).map { .integer($0) } ?? .string(part), of: value, line)
            if value.isUndefined { throw error(line, "no \"\(part)\" for the format") }
        }
        return value
    }
}
