import Generation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// Models behind HTTP, with the endpoints of OpenAI's API: see docs/serving.md.
public struct ModelServer: Sendable {
    private let shelf: ModelShelf
    private let logger: Logger
    /// One thread for all connections, as the others compute; it lives as long as the program.
    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// - Parameters:
    ///   - models: loaded when they are first asked for; one alone is loaded now. Where a request names none the first is meant.
    ///   - logger: gets a line for every request; never what is asked or answered.
    /// - Throws: `GenerationError.option` for options that make no sense or a folder that cannot be used, `TensorError` when
    ///   memory runs out, and what loading the model throws.
    public init(_ models: [ServedModel], options: ServerOptions = ServerOptions(), logger: Logger) throws {
        shelf = try ModelShelf(models, options: options) { logger.warning("\($0)") }
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT arrives, or the task is cancelled; then takes no more requests, lets those that run come to
    /// an end, and ends the streams that have not.
    /// - Parameters:
    ///   - handlesSignals: whether the signals are waited for.
    ///   - started: called with the port once requests are taken.
    /// - Throws: what the system says of an address that cannot be used.
    public func run(
        handlesSignals: Bool = true, started: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws {
        let options = shelf.options
        let application = Application(
            responder: router.buildResponder(),
            server: .http1(configuration: .init(idleTimeout: .milliseconds(Int64(options.idleSeconds * 1000)))),
            configuration: ApplicationConfiguration(
                address: .hostname(options.host, port: options.port), serverName: "moult",
                availableConnectionsDelegate: .maximum(options.connections, logger: logger)),
            onServerRunning: { channel in started(channel.localAddress?.port ?? options.port) },
            eventLoopGroupProvider: .shared(Self.loop), logger: logger)
        var configuration = ServiceGroupConfiguration(
            services: [
                .init(service: application),
                // Stopped first, as it stands last: connections close when their answers have ended.
                .init(service: ShelfService(shelf: shelf, grace: .seconds(options.graceSeconds))),
            ],
            gracefulShutdownSignals: handlesSignals ? [.sigterm, .sigint] : [], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(options.graceSeconds + 10)
        defer { shelf.end() }
        try await ServiceGroup(configuration: configuration).run()
    }

    /// All endpoints.
    private var router: Router<ServerContext> {
        let (shelf, router) = (shelf, Router(context: ServerContext.self))
        router.add(middleware: AnswerMiddleware())
        if !shelf.options.origins.isEmpty {
            router.add(middleware: OriginMiddleware(origins: shelf.options.origins))
        }
        router.add(middleware: KeyMiddleware(shelf.options.keys))

        for path in HealthPaths.all {
            router.get(RouterPath(path)) { _, _ in
                guard shelf.isOpen else { throw APIError.shuttingDown }
                return Response.json(["status": "ok"])
            }
        }
        if shelf.options.servesPage {
            let page = WebPage()
            router.get(RouterPath(WebPage.path)) { _, _ in page.response() }
            router.head(RouterPath(WebPage.path)) { _, _ in page.response().createHeadResponse() }
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: shelf.metrics)))
        }
        router.get("/v1/models") { _, _ in Response.json(["object": "list", "data": .array(shelf.cards)]) }
        router.get("/v1/models/:id") { _, context in
            let id = try context.parameters.require("id")
            guard let place = shelf.names.firstIndex(of: id) else { throw ModelShelf.unknown(id) }
            return Response.json(shelf.cards[place])
        }
        for (path, answer) in [
            ("/tokenize", TokenizerEndpoints.tokenize), ("/detokenize", TokenizerEndpoints.detokenize),
        ] {
            router.post(RouterPath(path)) { request, _ in
                var request = request
                var fields = try await RequestBodies.fields(&request, shelf.options)
                return Response.json(try answer(&fields, try await shelf.use(&fields)))
            }
        }
        router.get("/tokenizer_info") { request, _ in
            Response.json(try TokenizerEndpoints.information(try await shelf.use(request.model)))
        }
        router.post("/v1/completions") { try await GenerationEndpoint.respond($0, $1, shelf, CompletionRequest.plan) }
        router.post("/v1/chat/completions") { try await GenerationEndpoint.respond($0, $1, shelf, ChatRequest.plan) }
        router.post("/memory") { try await MemoryEndpoint.respond($0, $1, shelf) }
        ResponseEndpoints(shelf: shelf).add(to: router)
        SlotEndpoints(shelf: shelf).add(to: router)
        router.post("/v1/states") { request, context in
            try await StateEndpoints(service: try await shelf.use(request.model)).upload(request, context)
        }
        return router
    }
}

extension Request {
    /// The model that is named behind `?`, where there is no body to name it in.
    var model: String? { uri.queryParameters["model"].map(String.init) }
}

/// Ends what the models do when the server is told to stop.
private struct ShelfService: Service {
    let shelf: ModelShelf
    let grace: Duration

    func run() async throws {
        try? await gracefulShutdown()
        await shelf.stop(within: grace)
    }
}
