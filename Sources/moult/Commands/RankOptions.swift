import ArgumentParser
import Communication
import Foundation
import Tensors
import Training

/// Several processes that train together: how many, and which of them this one is.
struct RankOptions: ParsableArguments {
    @Option(help: "Train on as many GPUs of this machine, a process each. (docs/scaling.md)") var gpus: Int?
    @Option(
        help: "Train in as many processes of this machine: on cuda a GPU each, on cpu for small clusters and tests.")
    var ranks: Int?

    func validate() throws {
        if gpus != nil, ranks != nil { throw ValidationError("--gpus and --ranks: expected one of them, found both.") }
        for (name, value) in [("--gpus", gpus), ("--ranks", ranks)] {
            if let value, !(1...1024).contains(value) {
                throw ValidationError("\(name): expected 1 to 1024, found \(value).")
            }
        }
    }

    /// What starts the run again with as many processes.
    var words: String { gpus.map { " --gpus \($0)" } ?? ranks.map { " --ranks \($0)" } ?? "" }

    private static var environment: [String: String] { ProcessInfo.processInfo.environment }

    /// Whether this process was started by another of this program.
    static var isChild: Bool { environment["MOULT_RANK"] != nil }

    /// Where this process stands; nil when it trains by itself.
    func launch() throws -> Launch? {
        guard let launch = try Launch.detect(Self.environment) else { return nil }
        return launch.place.ranks > 1 ? launch : nil
    }

    /// The processes that this one is to start, instead of training itself; none when it trains.
    func children() throws -> [Launch] {
        if Self.isChild { return [] }
        let launch = try Launch.detect(Self.environment)
        let isPod = [.pytorchJob, .kubeflowTrainer, .indexedJob].contains(launch?.launcher)
        guard let count = try gpus ?? ranks ?? (isPod ? Launch.perHost(Self.environment) : nil) else { return [] }
        guard let launch else { return count > 1 ? try Launch.here(count) : [] }
        if launch.localRanks == 1 { return count > 1 ? launch.divided(into: count) : [] }
        guard launch.localRanks == count else {
            throw CommunicationError.launch(
                name: gpus == nil ? "--ranks" : "--gpus",
                expected: "as many as \(launch.launcher.rawValue) has started here, \(launch.localRanks)",
                found: "\(count)")
        }
        return []
    }

    /// This process's device.
    func device(_ asked: Device, _ launch: Launch?) throws -> Device {
        let kind = gpus == nil ? asked : .cuda(asked.index)
        guard let launch, kind.traits.joinsGroups else { return kind }
        guard kind.index == 0 else {
            throw CommunicationError.launch(
                name: "--device", expected: "cuda, of which each rank has its own", found: "\(kind)")
        }
        return .cuda(launch.deviceIndex(Self.environment))
    }

    /// Meets the other ranks.
    /// - Parameters:
    ///   - run: a hash of what is to be done.
    ///   - version: of this program.
    static func meet(
        _ launch: Launch, run: String, version: String, on device: Device
    ) throws -> any Communicator {
        let place = launch.place
        // Such as for a host whose name means another one here.
        let waiting = DispatchWorkItem {
            Terminal.note("rank \(place.rank) waits for the others at \(place.address):\(place.port)")
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + 10, execute: waiting)
        defer { waiting.cancel() }
        let sockets = try SocketCommunicator(place, run: run, version: version)
        let isSilent = isSilent(launch)
        // Whatever this process is doing: what it cannot be brought back from ends with it.
        sockets.whenLost { error in
            Thread.detachNewThread {
                sleep(15)
                if isSilent(error) { _exit(silentFailure.rawValue) }
                Terminal.note("Error: \(error)")
                _exit(EXIT_FAILURE)
            }
        }
        if place.rank == 0 {
            Terminal.note("\(place.ranks) ranks (\(launch.launcher.rawValue)): \(places(sockets.hosts))")
        }
        return device.traits.joinsGroups ? try DeviceCommunicator(sockets, device: device) : sockets
    }

    /// "0 to 3 on a, 4 to 7 on b".
    private static func places(_ hosts: [String]) -> String {
        var stretches: [(host: String, ranks: ClosedRange<Int>)] = []
        for (rank, host) in hosts.enumerated() {
            if let last = stretches.last, last.host == host {
                stretches[stretches.count - 1].ranks = last.ranks.lowerBound...rank
            } else {
                stretches.append((host, rank...rank))
            }
        }
        return stretches.map { host, ranks in
            "\(ranks.count == 1 ? "\(ranks.lowerBound)" : "\(ranks.lowerBound) to \(ranks.upperBound)") on \(host)"
        }.joined(separator: ", ")
    }

    /// With which a rank ends that leaves it to another to say why.
    static let silentFailure = ExitCode(3)

    /// Whether another process says what there is to say of an error: of those that one command has started, the first that is
    /// left does.
    static func isSilent(_ launch: Launch) -> @Sendable (any Error) -> Bool {
        let (isChild, rank) = (isChild, launch.place.rank)
        return { error in
            guard isChild, rank > 0 else { return false }
            guard let error = error as? CommunicationError, case .lost(rank: 0, _, _) = error else { return true }
            return rank > 1 || error.isToldElsewhere
        }
    }
}
