import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Logging
import Models
import Serving
import Support
import Tokenizers

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve a model over HTTP, with the endpoints of OpenAI's API.",
        discussion: """
            POST /v1/completions, /v1/chat/completions, /v1/responses; GET /v1/models; POST /tokenize, /detokenize; GET \
            /tokenizer_info, /health, /metrics, /slots. GET / is a page for people. Requests are continued together, a token each per step, and join and leave at any token; long \
            prompts are read in between. The states after prompts and answers are kept, so that the next turn of a \
            conversation reads only what is new; with --state-folder they outlive the server. previous_response_id of \
            /v1/responses goes on from any earlier answer.

            Fields that a request has and the server does not know are refused by name. Sampling that a request does not \
            say is as the model's generation_config.json recommends, else temperature 1. docs/serving.md says more.

            Try it with:
              curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
                -d '{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32}'

            SIGTERM and SIGINT end it: no more requests are taken, those that run have --grace seconds, and the exit code is 0. \
            The log, on standard error, has a line for each request and never what was asked or answered.
            """)

    @OptionGroup var model: ModelArgument
    @Option(help: "The address to listen at; 0.0.0.0 for all of this machine's.") var host = "127.0.0.1"
    @Option(help: "The port to listen at; 0 for a free one.") var port = 8080
    @Option(help: "What clients call the model. (default: the last part of its path)") var name: String?
    @Option(help: "The most sequences that are continued at once. (default: 8, on a GPU 64)") var batch: Int?
    @Option(help: "The most requests that wait; further ones are answered with 429.") var queue = 256
    @Option(
        help: ArgumentHelp(
            "Ask for a key, as Authorization: Bearer KEY: one of the lines of this file. Each has states of its own.",
            valueName: "file"))
    var apiKeyFile: String?
    @Option(
        help: ArgumentHelp(
            "Let web pages of this origin, such as https://example.org, ask; * for any. Repeatable.",
            valueName: "origin"))
    var corsOrigin: [String] = []
    @Flag(
        inversion: .prefixedNo,
        help: "Serve a page for people at /, which is within the program and fetches nothing from elsewhere.")
    var page = true
    @Option(help: "Bytes of memory for states; the least recently used go first.") var stateCacheSize = ByteSize(
        bytes: 500_000_000)
    @Option(
        help: ArgumentHelp(
            """
            Keep states and conversations in this folder too, so that they are there again after a restart, also after kill -9. One \
            server at a time uses it.
            """, valueName: "folder"))
    var stateFolder: String?
    @Option(
        help: """
            Bytes that states may take in the folder, and saved slots the same; conversations a tenth of it. The least recently \
            used go first.
            """)
    var stateDiskSize = ByteSize(bytes: 10_000_000_000)
    @Option(
        help: """
            Which states a prompt may go on from: the longest, whose continuation is the same up to rounding; those that are \
            exact; or none.
            """)
    var stateReuse = SchedulerOptions.StateReuse.longest
    @Option(help: "The most bytes of a request's body.") var maxBody = ByteSize(bytes: 32_000_000)
    @Option(help: "The most tokens of a prompt.") var maxPromptTokens = 131_072
    @Option(help: "The most tokens of an answer; also of a conversation's where a request does not say.")
    var maxTokens = 32_768
    @Option(help: "Seconds after which a request ends with what it has come to.") var requestTimeout = 600.0
    @Option(help: "The most connections at a time; others wait.") var connections = 1024
    @Option(help: "Seconds that running requests have when the server is told to stop.") var grace = 10.0
    @Option(help: "What the log tells: trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info
    @OptionGroup var weights: WeightOptions

    func validate() throws {
        do { try options(name: name ?? "model", keys: []).check() } catch let error as GenerationError {
            throw Failure(FlagWords.text(of: error))
        }
    }

    func run() throws {
        let keys = try apiKeyFile.map { try Self.keys($0) } ?? []
        let files = try ModelFiles.noted(self.model.path)
        let (model, tokenizer) = try weights.load(files)
        let defaults = try SamplingArguments.recommended(files) ?? SamplingDefaults(temperature: 1)
        let path = URL(fileURLWithPath: files.path).standardizedFileURL
        let ownName = path.pathExtension == "gguf" ? path.deletingPathExtension() : path
        let name = name ?? ownName.lastPathComponent
        var logger = Logger(label: "moult", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = logLevel
        let server = try ModelServer(
            model, tokenizer: tokenizer, defaults: defaults, options: options(name: name, keys: keys), logger: logger)
        if keys.isEmpty, !["127.0.0.1", "::1", "localhost"].contains(host) {
            Terminal.note("warning: everybody who reaches \(host) may ask; --api-key-file names who may")
        }
        let host = host
        do {
            try waiting {
                try await server.run { port in Terminal.note("serving \(name) at http://\(host):\(port)") }
            }
        } catch {
            throw Failure("--host \(host) --port \(port): cannot serve there: \(error)")
        }
    }

    private func options(name: String, keys: [String]) -> ServerOptions {
        var options = ServerOptions()
        (options.host, options.port, options.name) = (host, port, name)
        (options.keys, options.origins, options.servesPage) = (keys, corsOrigin, page)
        (options.scheduler.batch, options.scheduler.queue) = (
            batch ?? (weights.device.traits.recordsWork ? 64 : 8), queue
        )
        (options.scheduler.stateBytes, options.scheduler.reuse) = (stateCacheSize.bytes, stateReuse)
        (options.stateFolder, options.stateDiskBytes) = (stateFolder, stateDiskSize.bytes)
        (options.maximumBody, options.maximumPrompt, options.maximumTokens) = (
            maxBody.bytes, maxPromptTokens, maxTokens
        )
        (options.requestSeconds, options.connections, options.graceSeconds) = (requestTimeout, connections, grace)
        return options
    }

    /// The keys of a file: its lines, but for empty ones and those that begin with #.
    static func keys(_ path: String) throws -> [String] {
        let data: Data
        do { data = try RegularFile.contents(path, limit: 1 << 20) } catch {
            throw Failure("--api-key-file \(path): \(error.description)")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Failure("--api-key-file \(path): expected UTF-8 text, found other bytes")
        }
        let keys = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !keys.isEmpty else { throw Failure("--api-key-file \(path): expected a key a line, found none") }
        return keys
    }
}

extension SchedulerOptions.StateReuse: ExpressibleByArgument {}
extension Logger.Level: @retroactive ExpressibleByArgument {}
