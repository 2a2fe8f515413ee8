import Generation
import Support

/// The fields by which a request says what an answer is to be: `response_format`, and the tools that it may or must call.
struct OutputFields {
    /// What an answer is to be; nil where it is free.
    private(set) var constraint: SequenceConstraint?
    /// The tools that the model is told of.
    private(set) var tools: [ChatTool] = []
    /// How calls are written; nil where there are none.
    private(set) var toolFormat: ToolFormat?

    init(_ fields: inout RequestFields, _ service: ModelService) throws {
        let form = try Self.responseForm(&fields)
        let choice = try ToolChoice(&fields)
        let parallel = try fields.bool("parallel_tool_calls") ?? true
        let given = try Self.tools(&fields)
        guard !given.isEmpty else {
            guard !choice.callsTools else {
                throw APIError.invalid("tool_choice", "tool_choice: expected together with tools")
            }
            if let form { constraint = try Self.constraint(form, "response_format", service) }
            return
        }
        if case .named(let name) = choice, !given.contains(where: { $0.tool.name == name }) {
            throw APIError.invalid(
                "tool_choice", "tool_choice: expected the name of a tool, found \(ForeignText.line(name, limit: 80))")
        }
        guard choice != .none else {
            if let form { constraint = try Self.constraint(form, "response_format", service) }
            return
        }
        guard form == nil else {
            throw APIError.unsupported("response_format", "is not supported together with tools")
        }
        let format = ToolFormat(service.tokenizer)
        (tools, toolFormat) = (given.map(\.tool), format)
        let chosen: [Tool]
        if case .named(let name) = choice { chosen = given.filter { $0.tool.name == name } } else { chosen = given }
        let names = chosen.map { "\($0.field).function.parameters" }
        if choice == .auto {
            guard let (form, trigger) = format.begunForm(chosen.map(\.tool), names: names) else { return }
            do {
                constraint = try Self.constraint(form, "tools", service, after: trigger)
            } catch let error as APIError {
                // Calls that the model makes of itself are bound where that is possible, and where it was promised.
                if chosen.contains(where: \.isStrict) { throw error }
            }
            return
        }
        let severalCalls = parallel && choice == .required
        constraint = try Self.constraint(
            format.form(chosen.map(\.tool), severalCalls: severalCalls, names: names), "tools", service)
    }

    private static func constraint(
        _ form: TextForm, _ field: String, _ service: ModelService, after trigger: String = ""
    ) throws -> SequenceConstraint {
        do {
            return try SequenceConstraint(service.constraints.constraint(form), after: trigger)
        } catch let error as ConstraintError {
            throw APIError.invalid(field, "\(error)", code: "unsupported_schema")
        }
    }

    // MARK: response_format

    private static func responseForm(_ fields: inout RequestFields) throws -> TextForm? {
        guard let object = try fields.object("response_format") else { return nil }
        var format = RequestFields(object, in: "response_format.")
        let type = try format.string("type")
        switch type {
        case "text":
            try format.finish()
            return nil
        case "json_object":
            try format.finish()
            return .object
        case "json_schema":
            guard let inner = try format.object("json_schema") else {
                throw APIError.invalid(
                    "response_format.json_schema", "response_format.json_schema: expected an object, found none")
            }
            try format.finish()
            var described = RequestFields(inner, in: "response_format.json_schema.")
            guard let name = try described.string("name"), isName(name) else {
                throw APIError.invalid(
                    "response_format.json_schema.name",
                    "response_format.json_schema.name: expected 1 to 64 letters, digits, _ or -")
            }
            // What is not supported is refused in either case.
            _ = try described.bool("strict")
            _ = try described.string("description")
            guard let schema = described.value("schema") else {
                throw APIError.invalid(
                    "response_format.json_schema.schema",
                    "response_format.json_schema.schema: expected a JSON Schema, found none")
            }
            try described.finish()
            return .schema(schema, name: "response_format.json_schema.schema")
        default:
            throw APIError.invalid(
                "response_format.type",
                "response_format.type: expected text, json_object or json_schema, found "
                    + ForeignText.line(type ?? "none", limit: 80))
        }
    }

    private static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                let letter = byte | 0x20
                return (0x61...0x7A).contains(letter) || (0x30...0x39).contains(byte) || byte == 0x5F || byte == 0x2D
            }
    }

    // MARK: tools

    /// A tool as a request has it.
    private struct Tool {
        var tool: ChatTool
        var field: String
        var isStrict: Bool
    }

    /// The most tools of a request.
    private static let mostTools = 128

    private static func tools(_ fields: inout RequestFields) throws -> [Tool] {
        guard let values = try fields.array("tools") else { return [] }
        guard values.count <= mostTools else {
            throw APIError.invalid("tools", "tools: expected at most \(mostTools), found \(values.count)")
        }
        let tools = try values.enumerated().map { index, value in
            let field = "tools[\(index)]"
            guard let object = value.objectValue else {
                throw APIError.invalid(
                    field, "\(field): expected an object, found \(ForeignText.line(value.summary, limit: 80))")
            }
            var fields = RequestFields(object, in: field + ".")
            guard try fields.string("type") == "function" else {
                throw APIError.unsupported("\(field).type", "is not supported but as function")
            }
            guard let inner = try fields.object("function") else {
                throw APIError.invalid("\(field).function", "\(field).function: expected an object, found none")
            }
            try fields.finish()
            var function = RequestFields(inner, in: field + ".function.")
            guard let name = try function.string("name"), isName(name) else {
                throw APIError.invalid(
                    "\(field).function.name", "\(field).function.name: expected 1 to 64 letters, digits, _ or -")
            }
            _ = try function.string("description")
            let isStrict = try function.bool("strict") ?? false
            let parameters = try function.object("parameters")
            try function.finish()
            // Without parameters a function has none.
            let none: JSONObject = ["type": "object", "properties": [:]]
            return Tool(
                tool: ChatTool(name: name, parameters: .object(parameters ?? none), description: value), field: field,
                isStrict: isStrict)
        }
        var names: Set<String> = []
        for tool in tools where !names.insert(tool.tool.name).inserted {
            throw APIError.invalid(
                "\(tool.field).function.name",
                "\(tool.field).function.name: another tool has the name \(tool.tool.name)")
        }
        return tools
    }

    private enum ToolChoice: Equatable {
        case none, auto, required, named(String)

        init(_ fields: inout RequestFields) throws {
            switch fields.value("tool_choice") {
            case nil, .string("auto"): self = .auto
            case .string("none"): self = .none
            case .string("required"): self = .required
            case .object(let object):
                var choice = RequestFields(object, in: "tool_choice.")
                guard try choice.string("type") == "function", let inner = try choice.object("function") else {
                    throw APIError.unsupported("tool_choice", "is supported as none, auto, required or a function")
                }
                try choice.finish()
                var function = RequestFields(inner, in: "tool_choice.function.")
                guard let name = try function.string("name") else {
                    throw APIError.invalid(
                        "tool_choice.function.name", "tool_choice.function.name: expected a string, found none")
                }
                try function.finish()
                self = .named(name)
            case let value?: throw fields.mistake("tool_choice", "none, auto, required or a function", value)
            }
        }

        var callsTools: Bool { self != .none && self != .auto }
    }
}
