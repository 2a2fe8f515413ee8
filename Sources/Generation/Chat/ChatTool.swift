import Support

/// A function that a model may ask for.
public struct ChatTool: Sendable, Equatable {
    /// What it is called by.
    public var name: String
    /// The JSON Schema of its arguments.
    public var parameters: JSONValue
    /// The tool as the client describes it: `{"type": "function", "function": {...}}`, which templates read.
    public var description: JSONValue

    /// A function `name`.
    public init(name: String, parameters: JSONValue, description: JSONValue) {
        (self.name, self.parameters, self.description) = (name, parameters, description)
    }
}

/// A call of a function that a model has written.
public struct ChatToolCall: Sendable, Equatable {
    /// The function.
    public var name: String
    /// A JSON object, as the model has written it.
    public var arguments: String

    /// A call of `name`.
    public init(name: String, arguments: String) { (self.name, self.arguments) = (name, arguments) }
}
