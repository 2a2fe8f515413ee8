import Generation
import Support

/// The fields by which a request says what an answer is to be: its form, and the tools that it may or must call.
struct OutputFields {
    /// Where an endpoint of OpenAI's has them.
    enum Style {
        /// `response_format`; what a schema, a tool and a choice of one are stands in an object within.
        case chat
        /// `text.format`; all of it stands there itself.
        case responses

        /// Where the form stands.
        var form: String { self == .chat ? "response_format" : "text.format" }
    }

    /// What an answer is to be; nil where it is free.
    private(set) var constraint: SequenceConstraint?
    /// The tools that the model is told of.
    private(set) var tools: [ChatTool] = []
    /// How calls are written; nil where there are none.
    private(set) var toolFormat: ToolFormat?

    init(_ fields: inout RequestFields, _ style: Style, _ service: ModelService) throws {
        let form = try Self.form(&fields, style)
        let choice = try ToolChoice(&fields, style)
        let parallel = try fields.bool("parallel_tool_calls") ?? true
        let given = try RequestedTool.all(&fields, style)
        guard !given.isEmpty, choice != .none else {
            guard !choice.callsTools else {
                throw APIError.invalid("tool_choice", "tool_choice: expected together with tools")
            }
            if let form { constraint = try Self.constraint(form, style.form, service) }
            return
        }
        if case .named(let name) = choice, !given.contains(where: { $0.tool.name == name }) {
            throw APIError.invalid(
                "tool_choice", "tool_choice: expected the name of a tool, found \(ForeignText.line(name, limit: 80))")
        }
        guard form == nil else {
            throw APIError.unsupported(style.form, "is not supported together with tools")
        }
        let format = ToolFormat(service.tokenizer)
        (tools, toolFormat) = (given.map(\.tool), format)
        let chosen: [RequestedTool]
        if case .named(let name) = choice { chosen = given.filter { $0.tool.name == name } } else { chosen = given }
        let names = chosen.map { "\($0.field)parameters" }
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

    private static func form(_ fields: inout RequestFields, _ style: Style) throws -> TextForm? {
        switch style {
        case .chat: return try fields.object("response_format").flatMap { try form($0, style) }
        case .responses:
            guard let object = try fields.object("text") else { return nil }
            var text = RequestFields(object, in: "text.")
            let format = try text.object("format")
            try text.refuse(["verbosity"], unless: ["medium"])
            try text.finish()
            return try format.flatMap { try form($0, style) }
        }
    }

    private static func form(_ object: JSONObject, _ style: Style) throws -> TextForm? {
        var place = style.form + "."
        var format = RequestFields(object, in: place)
        let type = try format.string("type")
        switch type {
        case "text":
            try format.finish()
            return nil
        case "json_object":
            try format.finish()
            return .object
        case "json_schema":
            if style == .chat {
                format = try format.inner("json_schema")
                place += "json_schema."
            }
            _ = try format.name()
            // What is not supported is refused in either case.
            _ = try format.bool("strict")
            _ = try format.string("description")
            guard let schema = format.value("schema") else {
                throw APIError.invalid("\(place)schema", "\(place)schema: expected a JSON Schema, found none")
            }
            try format.finish()
            return .schema(schema, name: "\(place)schema")
        default:
            throw APIError.invalid(
                "\(place)type",
                "\(place)type: expected text, json_object or json_schema, found "
                    + ForeignText.line(type ?? "none", limit: 80))
        }
    }
}
