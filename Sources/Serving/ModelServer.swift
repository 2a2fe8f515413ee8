import Generation
import HTTPTypes
import Hummingbird
import Logging
import Models
import NIOCore
import NIOPosix
import ServiceLifecycle
import Support
import Tokenizers

/// A model behind HTTP, with the endpoints of OpenAI's API: see docs/serving.md.
public struct ModelServer: Sendable {
    private let service: ModelService
    private let logger: Logger
    /// One thread for all connections, as the others compute; it lives as long as the program.
    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// - Parameters:
    ///   - defaults: how tokens are picked where a request does not say.
    ///   - logger: gets a line for every request; never what is asked or answered.
    /// - Throws: `GenerationError.option` for options that make no sense or a folder that cannot be used, and `TensorError` when
    ///   memory runs out.
    public init(
        _ model: DecoderModel, tokenizer: Tokenizer, defaults: SamplingDefaults,
        options: ServerOptions = ServerOptions(), logger: Logger
    ) throws {
        service = try ModelService(model, tokenizer: tokenizer, defaults: defaults, options: options) {
            logger.warning("\($0)")
        }
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
        let options = service.options
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
                .init(service: SchedulerService(scheduler: service.scheduler, grace: .seconds(options.graceSeconds))),
            ],
            gracefulShutdownSignals: handlesSignals ? [.sigterm, .sigint] : [], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(options.graceSeconds + 10)
        defer {
            service.scheduler.stop()
            service.folder?.flush()
        }
        try await ServiceGroup(configuration: configuration).run()
    }

    /// All endpoints.
    private var router: Router<ServerContext> {
        let (service, router) = (service, Router(context: ServerContext.self))
        router.add(middleware: AnswerMiddleware())
        if !service.options.origins.isEmpty {
            router.add(middleware: OriginMiddleware(origins: service.options.origins))
        }
        router.add(middleware: KeyMiddleware(service.options.keys))

        for path in HealthPaths.all {
            router.get(RouterPath(path)) { _, _ in
                guard service.scheduler.isOpen else { throw APIError.shuttingDown }
                return Response.json(["status": "ok"])
            }
        }
        if service.options.servesPage {
            let page = WebPage()
            router.get(RouterPath(WebPage.path)) { _, _ in page.response() }
            router.head(RouterPath(WebPage.path)) { _, _ in page.response().createHeadResponse() }
        }
        router.get("/metrics") { _, _ in
            let text = service.metrics.text(service.scheduler.statistics, model: service.options.name)
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        router.get("/v1/models") { _, _ in Response.json(["object": "list", "data": [service.card]]) }
        router.get("/v1/models/:id") { _, context in
            let id = try context.parameters.require("id")
            guard id == service.options.name else { throw ModelService.unknown(id) }
            return Response.json(service.card)
        }
        router.post("/tokenize") { request, _ in
            var request = request
            var fields = try await RequestBodies.fields(&request, service.options)
            return Response.json(try TokenizerEndpoints.tokenize(&fields, service))
        }
        router.post("/detokenize") { request, _ in
            var request = request
            var fields = try await RequestBodies.fields(&request, service.options)
            return Response.json(try TokenizerEndpoints.detokenize(&fields, service))
        }
        router.get("/tokenizer_info") { _, _ in Response.json(try TokenizerEndpoints.information(service)) }
        let generation = GenerationEndpoint(service: service)
        router.post("/v1/completions") { try await generation.respond($0, $1, CompletionRequest.plan) }
        router.post("/v1/chat/completions") { try await generation.respond($0, $1, ChatRequest.plan) }
        ResponseEndpoints(service: service).add(to: router)
        SlotEndpoints(service: service).add(to: router)
        router.post("/v1/states") { try await StateEndpoints(service: service).upload($0, $1) }
        return router
    }
}

/// Ends what a scheduler does when the server is told to stop.
private struct SchedulerService: Service {
    let scheduler: Scheduler
    let grace: Duration

    func run() async throws {
        try? await gracefulShutdown()
        await scheduler.stop(within: grace)
    }
}
