import Support

/// The variables of an environment, read as numbers, hosts and ports.
struct LaunchVariables {
    private let environment: [String: String]

    /// PyTorch's port, where nothing tells one.
    static let port = 29500

    init(_ environment: [String: String]) { self.environment = environment }

    /// Nil for what is empty too.
    subscript(name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// - Throws: ``CommunicationError/launch(name:expected:found:)`` for what is no whole number from 0 on.
    func integer(_ name: String) throws -> Int? {
        guard let text = self[name] else { return nil }
        guard let value = Int(text), value >= 0 else {
            throw CommunicationError.launch(name: name, expected: "a whole number", found: "'\(text)'")
        }
        return value
    }

    func required(_ name: String, beside other: String) throws -> Int {
        guard let value = try integer(name) else {
            throw CommunicationError.launch(name: name, expected: "a number beside \(other)", found: "none")
        }
        return value
    }

    /// Whether a job of Slurm's runs here.
    var isSlurm: Bool { self["SLURM_JOB_ID"] != nil }

    /// Where rank 0 is: MASTER_ADDR, or else the first host of Slurm's job, or this one where all ranks are here.
    func address(isLocal: Bool) throws -> String {
        if let address = self["MASTER_ADDR"] { return address }
        if isLocal { return "127.0.0.1" }
        if let nodes = self["SLURM_JOB_NODELIST"] ?? self["SLURM_NODELIST"], let first = Self.firstNode(nodes) {
            return first
        }
        throw CommunicationError.launch(
            name: "MASTER_ADDR", expected: "the host of rank 0, as mpirun -x MASTER_ADDR=HOST sets it on all ranks",
            found: "none")
    }

    /// The place of a rank of a launcher that does not say where ranks meet.
    func place(_ rank: Int, _ ranks: Int, isLocal: Bool) throws -> RankPlace {
        RankPlace(
            rank: rank, ranks: ranks, address: try address(isLocal: isLocal),
            port: try integer("MASTER_PORT") ?? jobPort)
    }

    /// A port that jobs on one host do not share, from what the launcher calls the job.
    private var jobPort: Int {
        if let job = self["SLURM_JOB_ID"], let number = Int(job.suffix(4)) { return 15000 + number }
        // Every launcher's own name for it.
        guard let job = self["PMIX_NAMESPACE"] ?? self["OMPI_MCA_ess_base_jobid"] ?? self["PMI_JOBID"] else {
            return Self.port
        }
        return 15000 + Int(Array(job.utf8).withUnsafeBytes(XXHash64.hash) % 10_000)
    }

    /// The first host of a list as Slurm writes it: "a[03-07,9],b" is a03.
    static func firstNode(_ list: String) -> String? {
        let name = list.prefix { $0 != "[" && $0 != "," }
        let rest = list[name.endIndex...]
        guard rest.first == "[" else { return name.isEmpty ? nil : String(name) }
        let number = rest.dropFirst().prefix { $0.isNumber }
        // What follows the bracket is a part of the name too.
        let tail = rest.drop { $0 != "]" }.dropFirst().prefix { $0 != "," && $0 != "[" }
        return number.isEmpty ? nil : String(name + number + tail)
    }
}
