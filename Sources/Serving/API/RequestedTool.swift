import Generation
import Support

/// A tool as a request has it.
struct RequestedTool {
    var tool: ChatTool
    /// What stands before the names of its fields.
    var field: String
    var isStrict: Bool

    /// The most tools of a request.
    private static let most = 128

    static func all(_ fields: inout RequestFields, _ style: OutputFields.Style) throws -> [RequestedTool] {
        guard let values = try fields.array("tools") else { return [] }
        guard values.count <= most else {
            throw APIError.invalid("tools", "tools: expected at most \(most), found \(values.count)")
        }
        let tools = try values.enumerated().map { try RequestedTool($1, in: "tools[\($0)]", style) }
        var names: Set<String> = []
        for tool in tools where !names.insert(tool.tool.name).inserted {
            throw APIError.invalid(
                "\(tool.field)name", "\(tool.field)name: another tool has the name \(tool.tool.name)")
        }
        return tools
    }

    private init(_ value: JSONValue, in place: String, _ style: OutputFields.Style) throws {
        guard let object = value.objectValue else {
            throw APIError.invalid(
                place, "\(place): expected an object, found \(ForeignText.line(value.summary, limit: 80))")
        }
        var fields = RequestFields(object, in: place + ".")
        guard try fields.string("type") == "function" else {
            throw APIError.unsupported("\(place).type", "is not supported but as function")
        }
        if style == .chat { fields = try fields.inner("function") }
        let name = try fields.name()
        _ = try fields.string("description")
        isStrict = try fields.bool("strict") ?? false
        let parameters = try fields.object("parameters")
        try fields.finish()
        field = style == .chat ? "\(place).function." : "\(place)."
        var description = value
        if style == .responses {
            var function = object
            (function["type"], function["strict"]) = (nil, nil)
            description = ["type": "function", "function": .object(function)]
        }
        // Without parameters a function has none.
        let none: JSONObject = ["type": "object", "properties": [:]]
        tool = ChatTool(name: name, parameters: .object(parameters ?? none), description: description)
    }
}

/// Whether tools may or must be called.
enum ToolChoice: Equatable {
    case none, auto, required, named(String)

    init(_ fields: inout RequestFields, _ style: OutputFields.Style) throws {
        switch fields.value("tool_choice") {
        case nil, .string("auto"): self = .auto
        case .string("none"): self = .none
        case .string("required"): self = .required
        case .object(let object):
            var choice = RequestFields(object, in: "tool_choice.")
            guard try choice.string("type") == "function" else {
                throw APIError.unsupported("tool_choice", "is supported as none, auto, required or a function")
            }
            if style == .chat { choice = try choice.inner("function") }
            let name = try choice.name()
            try choice.finish()
            self = .named(name)
        case let value?: throw fields.mistake("tool_choice", "none, auto, required or a function", value)
        }
    }

    var callsTools: Bool { self != .none && self != .auto }
}

extension RequestFields {
    /// The fields of the object `name`, which must be there, and beside which nothing else may be left.
    mutating func inner(_ name: String) throws -> RequestFields {
        guard let inner = try object(name) else {
            throw APIError.invalid(prefix + name, "\(prefix)\(name): expected an object, found none")
        }
        try finish()
        return RequestFields(inner, in: "\(prefix)\(name).")
    }

    /// The field `name` of a schema or a function.
    mutating func name() throws -> String {
        guard let name = try string("name"), Self.isName(name) else {
            throw APIError.invalid("\(prefix)name", "\(prefix)name: expected 1 to 64 letters, digits, _ or -")
        }
        return name
    }

    private static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && name.utf8.allSatisfy(\.isOfPlainName)
    }
}
