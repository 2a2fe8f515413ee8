import ArgumentParser
import Foundation
import Support
import Text
import Tokenizers

/// Renders chat templates, for comparison with another implementation.
struct TemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug-template", abstract: "Print the texts of conversations by chat templates.",
        shouldDisplay: false)

    @Argument(
        help: """
            A file with a JSON object a line: "source", the template; "messages"; "variables", those of the template \
            besides; "add_generation_prompt". For each line, the text is printed as {"text": …}, or {"error": …}.
            """) var data: String

    func run() throws {
        // One template may have many lines.
        var last: (source: String, template: ChatTemplate)?
        for line in try TextFile.read(data).split(separator: "\n") {
            let result: JSONValue
            do {
                result = ["text": .string(try Self.render(try JSONValue(parsing: Data(line.utf8), .python), &last))]
            } catch {
                result = ["error": .string("\(error)")]
            }
            try Output.text(result.json + "\n")
        }
    }

    private static func render(
        _ conversation: JSONValue, _ last: inout (source: String, template: ChatTemplate)?
    ) throws -> String {
        guard let source = conversation["source"]?.stringValue, let messages = conversation["messages"]?.arrayValue
        else { throw Failure("expected an object with a source and messages.") }
        let variables = conversation["variables"]?.objectValue?.pairs.map { ($0.key, $0.value) } ?? []
        let template = last?.source == source ? last?.template : nil
        let parsed = try template ?? ChatTemplate(source)
        last = (source, parsed)
        return try parsed.render(
            messages: messages, addGenerationPrompt: conversation["add_generation_prompt"]?.boolValue ?? false,
            variables: Dictionary(variables, uniquingKeysWith: { $1 }))
    }
}
