extension TemplateValue {
    /// The value as Python's `str` writes it.
    var pythonText: String {
        if let text { return text }
        if case .undefined = self { return "" }
        return representation
    }

    /// The value as Python's `repr` writes it.
    var representation: String {
        var text = ""
        represent(to: &text)
        return text
    }

    private func represent(to text: inout String) {
        switch self {
        case .undefined: text += "Undefined"
        case .none: text += "None"
        case .bool(let value): text += value ? "True" : "False"
        case .integer(let value): text += "\(value)"
        case .number(let value): text += PythonNumber.text(value)
        case .string(let value): Self.represent(value, to: &text)
        case .markup(let value):
            text += "Markup("
            Self.represent(value, to: &text)
            text += ")"
        case .sequence(let sequence): sequence.represent(to: &text)
        case .dictionary(let dictionary):
            text += "{"
            for (index, entry) in dictionary.entries.enumerated() {
                if index > 0 { text += ", " }
                entry.key.represent(to: &text)
                text += ": "
                entry.value.represent(to: &text)
            }
            text += "}"
        case .iterator: text += "<generator object>"
        case .object(let object as TemplateNamespace):
            text += "<Namespace "
            TemplateValue.dictionary(
                TemplateDictionary(object.variables.map { .init(key: .string($0.key), value: $0.value) })
            ).represent(to: &text)
            text += ">"
        case .object(let object): text += "<\(object.kind)>"
        }
    }

    static func represent(elements: [TemplateValue], to text: inout String) {
        for (index, element) in elements.enumerated() {
            if index > 0 { text += ", " }
            element.represent(to: &text)
        }
    }

    private static func represent(_ value: String, to text: inout String) {
        let hasSingle = value.utf8.contains(UInt8(ascii: "'")), hasDouble = value.utf8.contains(UInt8(ascii: "\""))
        let quote: Unicode.Scalar = hasSingle && !hasDouble ? "\"" : "'"
        var scalars = String.UnicodeScalarView()
        scalars.append(quote)
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": scalars.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": scalars.append(contentsOf: "\\n".unicodeScalars)
            case "\r": scalars.append(contentsOf: "\\r".unicodeScalars)
            case "\t": scalars.append(contentsOf: "\\t".unicodeScalars)
            case quote: scalars.append(contentsOf: "\\\(quote)".unicodeScalars)
            case _ where TemplateText.isPrintable(scalar): scalars.append(scalar)
            default: scalars.append(contentsOf: TemplateText.escaped(scalar).unicodeScalars)
            }
        }
        scalars.append(quote)
        text += String(scalars)
    }
}

extension TemplateSequence {
    fileprivate func represent(to text: inout String) {
        switch kind {
        case .list:
            text += "["
            TemplateValue.represent(elements: elements, to: &text)
            text += "]"
        case .tuple:
            text += "("
            TemplateValue.represent(elements: elements, to: &text)
            text += elements.count == 1 ? ",)" : ")"
        case .range(let start, let end, let step):
            text += step == 1 ? "range(\(start), \(end))" : "range(\(start), \(end), \(step))"
        case .view(let name):
            text += "\(name)(["
            TemplateValue.represent(elements: elements, to: &text)
            text += "])"
        }
    }
}
