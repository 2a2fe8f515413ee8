import Foundation
import Generation
import Logging
import Models
import Serving
import Synchronization
import TestSupport
import Testing
import Tokenizers

/// ChatML, as small models have it.
let chatTemplate = """
    {% for m in messages %}<|im_start|>{{ m.role }}
    {{ m.content }}<|im_end|>
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
    {% endif %}
    """

/// Lines of a log.
final class LoggedLines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LoggedLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }.map { "\($0)=\($1)" }.sorted().joined(
                separator: " ")
            lines.lines.withLock { $0.append("\(event.level) \(event.message) \(all)") }
        }
    }
}

/// A tiny model to serve.
func served(
    _ name: String = "tiny", of fixture: String = "moult-gsa-window", template: String? = chatTemplate
) -> ServedModel {
    ServedModel(name, bytes: 100) { try tinyContents(of: fixture, template: template) }
}

/// What is served of a tiny model.
func tinyContents(
    of fixture: String = "moult-gsa-window", template: String? = chatTemplate
) throws -> ServedModel.Contents {
    .init(
        try tinyModel(fixture), tokenizer: try asciiTokenizer(chatTemplate: template, pieces: true),
        defaults: SamplingDefaults())
}

/// Runs `body` with a client of a server of a tiny model, or of others.
func serving(
    _ name: String = "moult-gsa-window", template: String? = chatTemplate, models: [ServedModel]? = nil,
    log: LoggedLines = LoggedLines(), options change: (inout ServerOptions) -> Void = { _ in },
    _ body: @escaping @Sendable (Client) async throws -> Void
) async throws {
    var options = ServerOptions()
    (options.port, options.graceSeconds) = (0, 1)
    options.maximumTokens = 100_000
    change(&options)
    let server = try ModelServer(
        models ?? [served(of: name, template: template)], options: options, logger: log.logger)
    let (ports, port) = AsyncStream<Int>.makeStream()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try? await server.run(handlesSignals: false) { port.yield($0) } }
        group.addTask {
            guard let port = await ports.first(where: { _ in true }) else { return }
            try await body(Client(port: port))
        }
        // The server runs until it is cancelled.
        try await group.next()
        group.cancelAll()
    }
}
