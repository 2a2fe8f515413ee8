import Foundation
import Generation
import Hummingbird
import Models
import Support

/// /slots, with the fields of llama-server's: a slot is a place among the sequences that run, and remembers the state in which
/// the last one that had it ended. A saved slot is a state with a name.
struct SlotEndpoints: Sendable {
    let shelf: ModelShelf

    func add(to router: Router<ServerContext>) {
        router.get("/slots") { request, context in
            let service = try await shelf.use(request.model)
            let slots = try await service.scheduler.slots(scope: context.scope)
            return Response.json(
                .array(
                    slots.map { slot in
                        [
                            "id": .integer(slot.id), "n_ctx": .integer(service.options.maximumPrompt),
                            "speculative": false, "is_processing": .bool(slot.isProcessing),
                            "n_tokens": .integer(slot.tokens),
                        ]
                    }))
        }
        router.post("/slots/:id") { request, context in try await act(request, context) }
    }

    private func act(_ request: Request, _ context: ServerContext) async throws -> Response {
        let text = try context.parameters.require("id")
        let service = try await shelf.use(request.model)
        guard let slot = Int(text), (0..<service.options.scheduler.batch).contains(slot) else {
            throw APIError(
                status: .notFound, message: "there are slots 0 to \(service.options.scheduler.batch - 1)",
                type: "invalid_request_error", param: "id", code: "slot_not_found")
        }
        let action = request.uri.queryParameters["action"].map(String.init)
        guard let action, ["save", "restore", "erase"].contains(action) else {
            throw APIError.invalid("action", "action: expected save, restore or erase")
        }
        if action == "erase" {
            let count = try await service.scheduler.eraseSlot(slot, scope: context.scope)
            return Response.json(["id_slot": .integer(slot), "n_erased": .integer(count)])
        }
        guard let folder = service.folder, service.options.scheduler.reuse != .none else {
            throw APIError(
                status: .notImplemented, message: "slots are saved by a server with --state-folder that reuses states",
                type: "not_supported_error", code: "not_supported")
        }
        var request = request
        var fields = try await RequestBodies.fields(&request, service.options)
        let name = try Self.name(&fields)
        try fields.finish()
        let saved = SavedStates(
            model: service.model, folder: folder, scope: context.scope, limit: service.options.stateDiskBytes)
        let start = ContinuousClock.now
        func milliseconds() -> JSONValue { .number(start.duration(to: .now) / .milliseconds(1)) }
        if action == "save" {
            guard let state = try await service.scheduler.state(ofSlot: slot, scope: context.scope) else {
                throw APIError.invalid("id", "slot \(slot) has no state to save", code: "slot_is_empty")
            }
            let count = state.tokens.count
            let bytes = try await service.aside { try saved.save(state, name) }
            return Response.json([
                "id_slot": .integer(slot), "filename": .string(name), "n_saved": .integer(count),
                "n_written": .integer(bytes), "timings": ["save_ms": milliseconds()],
            ])
        }
        let (state, bytes) = try await service.aside { try saved.load(name) }
        guard service.options.scheduler.reuse != .exact || state.isExact else {
            throw APIError.invalid(
                "filename", "the state is not exact, and the server goes on from exact ones alone (--state-reuse)")
        }
        try await service.scheduler.keep(state, scope: context.scope, slot: slot, isDurable: false)
        return Response.json([
            "id_slot": .integer(slot), "filename": .string(name), "n_restored": .integer(state.tokens.count),
            "n_read": .integer(bytes), "timings": ["restore_ms": milliseconds()],
        ])
    }

    /// A file's name without a path.
    private static func name(_ fields: inout RequestFields) throws -> String {
        let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        guard let name = try fields.string("filename"), (1...128).contains(name.utf8.count),
            name.allSatisfy(letters.contains), !name.hasPrefix(".")
        else {
            throw APIError.invalid(
                "filename",
                "filename: expected a name of 1 to 128 ASCII letters, digits and -_. that begins with no dot")
        }
        return name
    }
}

/// States with names, a folder of them for each scope.
struct SavedStates: Sendable {
    let model: DecoderModel
    let folder: StateFolder
    let scope: String
    /// Bytes that those of all scopes may take.
    let limit: Int

    private var root: String { "\(folder.path)/slots" }
    private var place: String { "\(root)/\(String(folder.tag(scope), radix: 16))" }

    /// - Returns: the bytes of the file.
    func save(_ state: StoredState, _ name: String) throws -> Int {
        let bytes = try folder.file(of: state)
        let path = "\(place)/\(name)"
        let others = FolderContents.names(root).flatMap { scope in
            FolderContents.names("\(root)/\(scope)").map { "\(root)/\(scope)/\($0)" }
        }
        let taken = others.filter { $0 != path }.reduce(0) { total, path in
            var status = stat()
            return total + (lstat(path, &status) == 0 ? Int(status.st_size) : 0)
        }
        guard taken + bytes.count <= limit else {
            throw APIError(
                status: .init(code: 507, reasonPhrase: "Insufficient Storage"),
                message: "saved slots take \(taken) bytes of \(limit) already",
                type: "invalid_request_error", param: "filename", code: "no_room")
        }
        do {
            _ = try MadeFolders(place)
            try StagedFile.write(bytes, to: path, replacing: .file(beginning: StateFile.magic))
        } catch {
            throw APIError.invalid("filename", "\(name): the slot cannot be saved: \(error.description)")
        }
        return bytes.count
    }

    /// - Returns: the state, and the bytes of its file.
    func load(_ name: String) throws -> (StoredState, bytes: Int) {
        do {
            let data = try RegularFile.contents("\(place)/\(name)")
            return (try StoredState(data, path: name, model: model), data.count)
        } catch let fault as RegularFile.Fault {
            throw APIError(
                status: fault.code == ENOENT ? .notFound : .badRequest,
                message: "\(name): the slot cannot be restored: \(fault.description)", type: "invalid_request_error",
                param: "filename", code: fault.code == ENOENT ? "file_not_found" : nil)
        } catch let error as GenerationError {
            throw APIError.invalid("filename", "\(error)", code: "state_refused")
        }
    }
}
