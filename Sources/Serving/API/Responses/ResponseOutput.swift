import Generation
import Support

/// What a response says, as it comes: a message, calls of functions, and the events that tell of them.
struct ResponseOutput {
    /// An event's name, and what it has beside that and its number.
    typealias Event = (name: String, fields: [(String, JSONValue)])

    /// Items that are complete.
    private(set) var items: [JSONValue] = []
    /// All text of messages.
    private(set) var text = ""
    /// All calls, as templates read them.
    private(set) var calls: [JSONValue] = []
    private let format: ToolFormat?
    private var parser: ToolCallParser?
    /// The message that is being written.
    private var message: (id: String, text: String)?

    /// - Parameter format: how the model writes calls; nil where none are looked for.
    init(_ format: ToolFormat?) { (self.format, parser) = (format, format.map(ToolCallParser.init)) }

    /// The prompt is read. What is no call for sure begins a message.
    mutating func begin() -> [Event] { format == nil ? open() : [] }

    mutating func add(_ text: String) -> [Event] { parser == nil ? write(text) : take(parser?.push(text) ?? []) }

    /// - Parameter status: of a message that has not ended before.
    mutating func finish(_ status: String) -> [Event] {
        var events = take(parser?.finish() ?? [])
        if message == nil, items.isEmpty { events += open() }
        return events + close(status)
    }

    private mutating func take(_ parts: [ToolCallParser.Part]) -> [Event] {
        parts.flatMap { part in
            switch part {
            case .text(let text): write(text)
            case .call(let call): close("completed") + tell(call)
            }
        }
    }

    // MARK: Messages

    private mutating func write(_ more: String) -> [Event] {
        guard !more.isEmpty else { return [] }
        let events = open()
        message?.text += more
        text += more
        return events + [("output_text.delta", place + [("delta", .string(more)), ("logprobs", [])])]
    }

    private mutating func open() -> [Event] {
        guard message == nil else { return [] }
        message = ("msg_" + RandomID.text(), "")
        return [
            ("output_item.added", [index, ("item", item("in_progress", []))]),
            ("content_part.added", place + [("part", Self.part(""))]),
        ]
    }

    private mutating func close(_ status: String) -> [Event] {
        guard let text = message?.text else { return [] }
        let (part, item) = (Self.part(text), item(status, [Self.part(text)]))
        let events: [Event] = [
            ("output_text.done", place + [("text", .string(text)), ("logprobs", [])]),
            ("content_part.done", place + [("part", part)]), ("output_item.done", [index, ("item", item)]),
        ]
        items.append(item)
        message = nil
        return events
    }

    private var index: (String, JSONValue) { ("output_index", .integer(items.count)) }

    private var place: [(String, JSONValue)] {
        [("item_id", .string(message?.id ?? "")), index, ("content_index", 0)]
    }

    private func item(_ status: String, _ content: JSONValue) -> JSONValue {
        [
            "id": .string(message?.id ?? ""), "type": "message", "status": .string(status), "role": "assistant",
            "content": content,
        ]
    }

    private static func part(_ text: String) -> JSONValue {
        ["type": "output_text", "text": .string(text), "annotations": [], "logprobs": []]
    }

    // MARK: Calls

    /// A call is told when it is complete.
    private mutating func tell(_ call: ChatToolCall) -> [Event] {
        let (id, callID) = ("fc_" + RandomID.text(), format?.newCallID ?? "")
        func item(_ status: String, _ arguments: String) -> JSONValue {
            [
                "id": .string(id), "type": "function_call", "status": .string(status), "call_id": .string(callID),
                "name": .string(call.name), "arguments": .string(arguments),
            ]
        }
        let whole = item("completed", call.arguments)
        let place = [("item_id", .string(id)), index]
        let events: [Event] = [
            ("output_item.added", [index, ("item", item("in_progress", ""))]),
            ("function_call_arguments.delta", place + [("delta", .string(call.arguments))]),
            (
                "function_call_arguments.done",
                place + [("name", .string(call.name)), ("arguments", .string(call.arguments))]
            ),
            ("output_item.done", [index, ("item", whole)]),
        ]
        items.append(whole)
        calls.append(ChatPrompt.call(call.name, call.arguments, id: callID))
        return events
    }
}
