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

    /// How many tasks of Slurm's step this node has: "2(x3),1" is of four nodes.
    func stepTasksOfNode() throws -> Int? {
        guard let list = self["SLURM_STEP_TASKS_PER_NODE"] else { return nil }
        let node = try integer("SLURM_NODEID") ?? 0
        var end = 0
        for part in list.split(separator: ",") {
            // "2(x3)": 2 and 3.
            let numbers = part.split { !$0.isNumber }.compactMap { Int($0) }
            guard let tasks = numbers.first else { return nil }
            let (sum, overflows) = end.addingReportingOverflow(numbers.count > 1 ? numbers[1] : 1)
            if overflows || node < sum { return tasks }
            end = sum
        }
        return nil
    }

    /// Where rank 0 is: MASTER_ADDR, or else the first host of Slurm's step or job, or this one where all ranks are here.
    func address(isLocal: Bool, isStep: Bool = false) throws -> String {
        if let address = self["MASTER_ADDR"] { return address }
        if isLocal { return "127.0.0.1" }
        let step = isStep ? self["SLURM_STEP_NODELIST"] : nil
        if let nodes = step ?? self["SLURM_JOB_NODELIST"] ?? self["SLURM_NODELIST"], let first = Self.firstNode(nodes) {
            return first
        }
        throw CommunicationError.launch(
            name: "MASTER_ADDR", expected: "the host of rank 0, as mpirun -x MASTER_ADDR=HOST sets it on all ranks",
            found: "none")
    }

    /// The place of a rank of a launcher that does not say where ranks meet.
    /// - Parameter isStep: whether the ranks are the tasks of a step of Slurm's.
    func place(_ rank: Int, _ ranks: Int, isLocal: Bool, isStep: Bool = false) throws -> RankPlace {
        RankPlace(
            rank: rank, ranks: ranks, address: try address(isLocal: isLocal, isStep: isStep),
            port: try integer("MASTER_PORT") ?? jobPort(isStep: isStep))
    }

    /// A port that jobs on one host do not share, from what the launcher calls the job; of a step of Slurm's from that and its number.
    private func jobPort(isStep: Bool) throws -> Int {
        // Several of another launcher's may be in one job of Slurm's.
        let own = isStep ? nil : self["PMIX_NAMESPACE"] ?? self["OMPI_MCA_ess_base_jobid"] ?? self["PMI_JOBID"]
        if let own { return 15000 + Int(Array(own.utf8).withUnsafeBytes(XXHash64.hash) % 10_000) }
        guard let job = self["SLURM_JOB_ID"], let number = Int(job.suffix(4)) else { return Self.port }
        let step = try isStep ? integer("SLURM_STEP_ID") ?? 0 : 0
        return 15000 + (number + 1000 * (step % 10)) % 10_000
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
