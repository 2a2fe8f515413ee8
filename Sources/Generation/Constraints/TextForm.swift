import Support

/// What a text must look like.
public indirect enum TextForm: Sendable, Equatable {
    /// JSON that is valid by this schema: see docs/serving.md for what schemas may have. `name` says in errors where it stands.
    case schema(JSONValue, name: String = "")
    /// Any JSON object.
    case object
    /// This text.
    case text(String)
    /// One after another.
    case sequence([TextForm])
    /// One of several.
    case choice([TextForm])
    /// The form once or several times, at most so often, with text between.
    case repeated(TextForm, separator: String, most: Int)

    /// What tells it from other forms, the order of keys included.
    package var identity: String {
        switch self {
        case .schema(let schema, let name): JSONValue.array(["schema", schema, .string(name)]).text()
        case .object: "object"
        case .text(let text): JSONValue.string(text).text()
        case .sequence(let forms): "(\(forms.map(\.identity).joined(separator: ",")))"
        case .choice(let forms): "[\(forms.map(\.identity).joined(separator: "|"))]"
        case .repeated(let form, let separator, let most):
            "{\(form.identity),\(JSONValue.string(separator).text()),\(most)}"
        }
    }
}
