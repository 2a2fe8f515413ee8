import Support

/// The text of a message, given as a string or as parts.
enum MessageText {
    /// The `content` of a message, or another field, whose fields stand behind `place`, "messages[0].".
    /// - Parameters:
    ///   - types: of the parts that are taken.
    ///   - named: those that an error tells of.
    ///   - ignored: what parts have beside their text.
    static func content(
        _ fields: inout RequestFields, _ place: String, field: String = "content", types: Set<String>, named: String,
        ignored: [String] = []
    ) throws -> String {
        switch fields.value(field) {
        case .string(let text): return text
        case .array(let parts):
            return try parts.enumerated().map { index, part in
                let name = "\(place)\(field)[\(index)]"
                guard let object = part.objectValue else {
                    throw APIError.invalid(name, "\(name): expected an object")
                }
                var fields = RequestFields(object, in: name + ".")
                guard let type = try fields.string("type"), types.contains(type), let text = try fields.string("text")
                else { throw APIError.unsupported(name, "is not supported: only parts of type \(named) are") }
                fields.ignore(ignored)
                try fields.finish()
                return text
            }.joined()
        default: throw APIError.invalid(place + field, "\(place)\(field): expected a string or parts of text")
        }
    }
}
