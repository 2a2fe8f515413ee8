import Support

extension TemplateRenderer {
    /// A new value, counted and checked.
    func made(_ value: TemplateValue, _ line: Int) throws -> TemplateValue {
        guard value.depth < JSONDialect.foreign.maximumDepth else {
            throw error(line, "a value that is nested too deeply")
        }
        try budget.made(value, line)
        return value
    }

    /// A value that a list, a dictionary or a namespace may hold.
    func data(_ value: TemplateValue, _ line: Int) throws -> TemplateValue {
        if case .object(let object) = value, (object as? TemplateFunction)?.isMacro != true {
            throw error(line, "expected a value, found \(object.kind)")
        }
        guard value.depth < JSONDialect.foreign.maximumDepth else {
            throw error(line, "a value that is nested too deeply")
        }
        return value
    }

    func list(_ elements: [TemplateValue], _ line: Int) throws -> TemplateValue { try made(.list(elements), line) }

    /// Elements that are made when they are asked for.
    func iterator(
        over value: TemplateValue, _ line: Int, _ elements: @escaping () throws -> [TemplateValue]
    ) throws -> TemplateValue {
        try made(.iterator(TemplateIterator(depth: value.depth, elements)), line)
    }

    func dictionary(of named: [(name: String, value: TemplateValue)], _ line: Int) throws -> TemplateValue {
        var dictionary = TemplateDictionary()
        for (name, value) in named { try set(.string(name), value, in: &dictionary, line) }
        return try made(.dictionary(dictionary), line)
    }

    func set(
        _ key: TemplateValue, _ value: TemplateValue, in dictionary: inout TemplateDictionary, _ line: Int
    ) throws {
        dictionary.set(try data(key, line), try data(value, line), at: try place(of: key, in: dictionary, line))
    }

    /// The value of a key, which may be anything that does not change.
    func lookUp(_ key: TemplateValue, in dictionary: TemplateDictionary, _ line: Int) throws -> TemplateValue? {
        try place(of: key, in: dictionary, line).map { dictionary.entries[$0].value }
    }

    private func place(of key: TemplateValue, in dictionary: TemplateDictionary, _ line: Int) throws -> Int? {
        switch key {
        case .dictionary: throw error(line, "a dictionary as a key")
        case .sequence(let sequence) where sequence.kind == .list: throw error(line, "a list as a key")
        default: break
        }
        if let text = key.text {
            try budget.charge(dictionary.entries.count * (16 + text.utf8.count / 8), line)
            return dictionary.entries.firstIndex { $0.key.text?.hasSameBytes(as: text) ?? false }
        }
        return try dictionary.entries.firstIndex { try areEqual($0.key, key, line) }
    }

    /// What a loop goes through: elements, keys, or characters.
    func elements(of value: TemplateValue, _ line: Int) throws -> [TemplateValue] {
        switch value {
        case .sequence(let sequence): return sequence.elements
        case .iterator(let iterator): return try iterator.rest()
        case .dictionary(let dictionary):
            try budget.charge(TemplateBudget.cell * dictionary.entries.count, line)
            return dictionary.entries.map(\.key)
        case .string(let text), .markup(let text):
            try budget.charge(2 * TemplateBudget.cell * text.utf8.count, line)
            return text.unicodeScalars.map { .string(String(Character($0))) }
        case .undefined: return []
        default: throw error(line, "cannot go through \(value.kind)")
        }
    }

    /// The value as text, as `{{ }}` writes it.
    func text(of value: TemplateValue, _ line: Int) throws -> String {
        if let text = value.text { return text }
        try budget.checkLength(try budget.visit(value, texts: true, line), line)
        return value.pythonText
    }

    func string(_ value: TemplateValue, _ line: Int) throws -> String {
        guard let text = value.text else { throw error(line, "expected a string, found \(value.kind)") }
        return text
    }

    func whole(_ value: TemplateValue, _ line: Int) throws -> Int {
        guard let whole = value.whole else { throw error(line, "expected an integer, found \(value.kind)") }
        return whole
    }

    /// A length or a count of characters. What is more than a text can have is cut down to that, so that a few of them can be
    /// added and subtracted.
    func size(_ value: TemplateValue, _ line: Int) throws -> Int {
        let most = TemplateBudget.maximumLength + 1
        return min(max(try whole(value, line), -most), most)
    }

    /// The number of elements or characters.
    func length(_ value: TemplateValue, _ line: Int) throws -> Int {
        switch value {
        case .string(let text), .markup(let text):
            try budget.read(text, line)
            return text.unicodeScalars.count
        case .sequence(let sequence): return sequence.elements.count
        case .dictionary(let dictionary): return dictionary.entries.count
        case .undefined: return 0
        default: throw error(line, "length of \(value.kind)")
        }
    }
}
