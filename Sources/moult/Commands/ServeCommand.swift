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
        commandName: "serve", abstract: "Serve models over HTTP, with the endpoints of OpenAI's API.",
        discussion: """
            POST /v1/completions, /v1/chat/completions, /v1/responses; GET /v1/models; POST /tokenize, /detokenize; GET \
            /tokenizer_info, /health, /metrics, /slots; POST /memory. GET / is a page for people. Requests are continued together, a token each per step, and join and leave at any token; long \
            prompts are read in between. The states after prompts and answers are kept, so that the next turn of a \
            conversation reads only what is new; with --state-folder they outlive the server. previous_response_id of \
            /v1/responses goes on from any earlier answer.

            Of several models a request picks one by its field model; it is loaded when it is first asked for. With --model-memory \
            models that nobody uses make room for others, the least recently used first.

            Fields that a request has and the server does not know are refused by name. Sampling that a request does not \
            say is as the model's generation_config.json recommends, else temperature 1. docs/serving.md says more.

            Try it with:
              curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
                -d '{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32}'

            SIGTERM and SIGINT end it: no more requests are taken, those that run have --grace seconds, and the exit code is 0. \
            The log, on standard error, has a line for each request and never what was asked or answered.
            """)

    @Argument(
        help: ArgumentHelp(
            "Hugging Face folders or .gguf files; NAME=MODEL says what clients call one.", valueName: "model"))
    var places: [String] = []
    @Option(name: [.customLong("model"), .customShort("m")], help: "The same, as an option. Repeatable.")
    var options: [String] = []
    @Option(help: "The address to listen at; 0.0.0.0 for all of this machine's.") var host = "127.0.0.1"
    @Option(help: "The port to listen at; 0 for a free one.") var port = 8080
    @Option(help: "What clients call the model, of one alone. (default: the last part of its path)") var name: String?
    @Option(help: "Bytes that the weights of several models may take together. (default: no limit)")
    var modelMemory: ByteSize?
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
    @Option(help: "Bytes of memory for states of each model; the least recently used go first.") var stateCacheSize =
        ByteSize(
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
            Bytes that states of a model may take in the folder, and saved slots the same; conversations a tenth of it. The least \
            recently used go first.
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
        guard !(places + options).isEmpty else {
            throw ValidationError("Expected a model, a Hugging Face folder or a .gguf file, found none.")
        }
        guard name == nil || (places + options).count == 1 else {
            throw ValidationError("--name: expected one model, found several; NAME=MODEL names each.")
        }
        do { try serverOptions(keys: []).check() } catch let error as GenerationError {
            throw Failure(FlagWords.text(of: error))
        }
    }

    func run() throws {
        let keys = try apiKeyFile.map { try Self.keys($0) } ?? []
        let models = try (places + options).map(served)
        var logger = Logger(label: "moult", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = logLevel
        let server: ModelServer
        do {
            server = try ModelServer(models, options: serverOptions(keys: keys), logger: logger)
        } catch GenerationError.option(name: "name", let expected, let found) {
            throw Failure("MODEL: expected \(expected), as NAME=MODEL, found \(found)")
        }
        if keys.isEmpty, !["127.0.0.1", "::1", "localhost"].contains(host) {
            Terminal.note("warning: everybody who reaches \(host) may ask; --api-key-file names who may")
        }
        let (host, names) = (host, models.map(\.name).joined(separator: ", "))
        do {
            try waiting {
                try await server.run { port in Terminal.note("serving \(names) at http://\(host):\(port)") }
            }
        } catch {
            throw Failure("--host \(host) --port \(port): cannot serve there: \(error)")
        }
    }

    /// The model that an argument names.
    private func served(_ argument: String) throws -> ServedModel {
        var (place, given) = (argument, name)
        // A path may have such a sign too.
        if let sign = argument.firstIndex(of: "="), !FileManager.default.fileExists(atPath: argument) {
            (place, given) = (String(argument[argument.index(after: sign)...]), String(argument[..<sign]))
            guard name == nil else {
                throw Failure("--name: expected one name of the model, found '\(name ?? "")' and '\(given ?? "")'")
            }
        }
        // What is no model is told now, and not when it is asked for.
        let files = try ModelFiles.noted(place)
        let path = URL(fileURLWithPath: files.path).standardizedFileURL
        let ownName = (path.pathExtension == "gguf" ? path.deletingPathExtension() : path).lastPathComponent
        let weights = weights
        return ServedModel(given ?? ownName, bytes: try weights.byteCount(files)) { [path = files.path] in
            let files = try ModelFiles.open(path)
            let (model, tokenizer) = try weights.load(files)
            let defaults = try SamplingArguments.recommended(files) ?? SamplingDefaults(temperature: 1)
            return ServedModel.Contents(model, tokenizer: tokenizer, defaults: defaults)
        }
    }

    private func serverOptions(keys: [String]) -> ServerOptions {
        var options = ServerOptions()
        (options.host, options.port, options.modelBytes) = (host, port, modelMemory?.bytes)
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
